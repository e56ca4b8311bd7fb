"""The launcher of the chaos suite kills a service at the point that it was told."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from services.core.adapters.sql_records import open_sqlite
from tests.chaos.crash_points import Countdown, Point

_SCRIPT = """
import sys
from pathlib import Path
from tests.chaos import crash_points
from services.core.adapters.sql_records import open_sqlite
from services.core.domain.operations import OperationKind
from services.core.adapters.system_clock import SystemClock

records = open_sqlite(Path(sys.argv[1]))
point = crash_points.Point(sys.argv[2])
crash_points.plant(point, crash_points.Countdown(2, crash_points._die))
for number in range(3):
    with records.begin() as tx:
        tx.operations.active()
    with records.begin(write=True) as tx:
        tx.operations.create(OperationKind.CHANGE, "c", number, {}, SystemClock().now())
"""


@pytest.mark.parametrize(("point", "kept"), [(Point.BEFORE_COMMIT, 1), (Point.COMMITTED, 2)])
def test_a_commit_is_the_border_between_lost_and_kept(
    tmp_path: Path, point: Point, kept: int
) -> None:
    path = tmp_path / "records.db"
    ended = subprocess.run([sys.executable, "-c", _SCRIPT, path, point], timeout=60, check=False)
    assert ended.returncode == -signal.SIGKILL
    records = open_sqlite(path)
    with records.begin() as tx:
        assert len(tx.operations.active()) == kept
    records.close()


def test_a_countdown_ends_once_at_its_last_pass() -> None:
    ends: list[str] = []
    countdown = Countdown(2, lambda: ends.append("end"))
    for expected in (0, 1, 1):
        countdown.passed()
        assert len(ends) == expected


@pytest.mark.parametrize("point", list(Point))
def test_every_point_names_methods_that_exist(point: Point) -> None:
    script = (
        "from tests.chaos.crash_points import *\n"
        f"plant(Point({point.value!r}), Countdown(1, lambda: None))"
    )
    subprocess.run([sys.executable, "-c", script], timeout=60, check=True)
