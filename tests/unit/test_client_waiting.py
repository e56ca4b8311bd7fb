"""How long a client waits for an operation when the server does not answer."""

import pytest

from shelflens.errors import Unavailable
from shelflens.waiting import PATIENCE_S, Patience

AWAY = Unavailable("connection refused")


def test_a_server_that_never_answered_is_not_waited_for() -> None:
    with pytest.raises(Unavailable):
        Patience("operations/o", None, answered=False).failed(AWAY)


def test_a_server_that_answered_this_client_before_may_restart() -> None:
    assert Patience("operations/o", None, answered=True).failed(AWAY) > 0


def test_a_server_that_stays_away_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("shelflens.waiting.time.monotonic", lambda: now[0])
    patience = Patience("operations/o", None, answered=True)
    now[0] = PATIENCE_S - 1
    patience.failed(AWAY)
    now[0] = PATIENCE_S + 1
    with pytest.raises(Unavailable):
        patience.failed(AWAY)
