"""A writer that vanishes does not keep the others from the records."""

import time
from contextlib import suppress

import pytest

from services.core.adapters.sql_records.postgresql import PostgresLimits, open_postgres
from services.core.domain.errors import Unavailable
from tests.chaos.tcp_proxy import Proxies
from tests.servers.postgres import Postgres

pytestmark = pytest.mark.servers

SILENCE = 3


def test_the_lock_of_a_writer_that_vanished_is_given_up(postgres: Postgres) -> None:
    url = postgres.database()
    limits = PostgresLimits(silence=SILENCE)
    with Proxies() as proxies:
        proxy = proxies.to(postgres.port)
        vanishing = open_postgres(url.replace(f":{postgres.port}/", f":{proxy.port}/"), limits)
        other = open_postgres(url, limits)
        with suppress(Unavailable), vanishing.begin(write=True):
            proxy.vanish()
            began = time.monotonic()
            with other.begin(write=True) as tx:
                assert tx.operations.active() == []
            assert time.monotonic() - began < 4 * SILENCE
        vanishing.close()
        other.close()
