"""The records on a PostgreSQL server: its failures, its limits, and starts side by side."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime

import psycopg
import pytest

from services.core.adapters.sql_records import PostgresLimits, open_postgres
from services.core.adapters.sql_records.postgresql import PostgresRecords
from services.core.domain.catalog import ProductFields
from services.core.domain.errors import FailedPrecondition, InvalidArgument, Unavailable
from services.core.record_ports import RecordStore
from tests.contract.record_stores import DIGEST, MODEL, NOW, SPEC
from tests.servers.postgres import Postgres

pytestmark = pytest.mark.servers
SECONDS = 60.0


@pytest.fixture
def url(postgres: Postgres) -> str:
    return postgres.database()


@pytest.fixture
def store(url: str) -> Iterator[PostgresRecords]:
    """With a catalogue `shop`."""
    with closing(open_postgres(url)) as made:
        with made.begin(write=True) as tx:
            tx.models.put(MODEL, DIGEST, SPEC, NOW)
            tx.catalogs.create("shop", "Shop", MODEL, NOW)
        yield made


def write(store: RecordStore, sku: str) -> int:
    with store.begin(write=True) as tx:
        revision = tx.catalogs.next_revision("shop")
        tx.products.create("shop", ProductFields(sku), revision, NOW)
    return revision


def products(store: RecordStore) -> list[str]:
    with store.begin() as tx:
        return [each.id for each in tx.products.page("shop", "", 99)]


def test_a_writer_whose_session_is_ended_leaves_nothing_and_the_next_call_works(
    postgres: Postgres, url: str, store: PostgresRecords
) -> None:
    def cut_off() -> None:
        with store.begin(write=True) as tx:
            tx.products.create("shop", ProductFields("half"), 1, NOW)
            assert postgres.end_sessions(url) > 0
            tx.catalogs.next_revision("shop")

    with pytest.raises(Unavailable) as caught:
        cut_off()
    assert caught.value.reason == "RECORDS_UNAVAILABLE"
    assert products(store) == []
    assert write(store, "whole") == 1


def test_a_session_ended_between_two_calls_fails_neither(
    postgres: Postgres, url: str, store: PostgresRecords
) -> None:
    assert write(store, "a") == 1
    assert postgres.end_sessions(url) > 0
    assert products(store) == ["a"]
    assert postgres.end_sessions(url) > 0
    assert write(store, "b") == 2


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_restart_of_the_server_is_survived(
    postgres: Postgres, store: PostgresRecords, end: str
) -> None:
    write(store, "before")
    getattr(postgres, end)()
    try:
        with pytest.raises(Unavailable):
            products(store)
        with pytest.raises(Unavailable):
            write(store, "meanwhile")
    finally:
        postgres.start()
    assert products(store) == ["before"]
    assert write(store, "after") == 2


def test_a_server_that_is_killed_under_a_writer_has_nothing_of_its_transaction(
    postgres: Postgres, store: PostgresRecords
) -> None:
    def write_and_lose() -> None:
        with store.begin(write=True) as tx:
            tx.products.create("shop", ProductFields("half"), 1, NOW)
            postgres.kill()

    try:
        with pytest.raises(Unavailable):
            write_and_lose()
    finally:
        postgres.start()
    assert products(store) == []
    assert write(store, "whole") == 1


def test_writers_wait_for_each_other_but_not_for_ever(url: str, store: PostgresRecords) -> None:
    impatient = PostgresLimits(lock_timeout=0.2)
    with closing(open_postgres(url, impatient)) as other, store.begin(write=True):
        with pytest.raises(Unavailable) as caught:
            write(other, "a")
        assert caught.value.reason == "RECORDS_UNAVAILABLE"
        assert products(other) == []  # readers do not wait at all
    assert write(store, "b") == 1


def test_writers_of_one_process_wait_no_longer(url: str) -> None:
    with closing(open_postgres(url, PostgresLimits(lock_timeout=0.2))) as store:

        def try_to_write() -> None:
            with store.begin(write=True):
                pass

        with store.begin(write=True), ThreadPoolExecutor(1) as pool, pytest.raises(Unavailable):
            pool.submit(try_to_write).result(SECONDS)


def test_a_writer_that_hangs_is_ended_and_keeps_nobody_waiting(
    url: str, store: PostgresRecords
) -> None:
    written = threading.Event()

    def hang(hanging: RecordStore) -> None:
        with hanging.begin(write=True) as tx:
            tx.products.create("shop", ProductFields("half"), 1, NOW)
            write(store, "whole")  # waits until the session above is ended
            written.set()
            tx.catalogs.next_revision("shop")

    with closing(open_postgres(url, PostgresLimits(idle_timeout=0.3))) as hanging:
        with pytest.raises(Unavailable):
            hang(hanging)
        assert written.is_set()
        assert products(hanging) == ["whole"]


def test_a_statement_that_takes_too_long_is_given_up(url: str) -> None:
    def sleep(store: PostgresRecords) -> None:
        with store._connected() as connection:
            connection.exec_driver_sql("SELECT pg_sleep(30)")

    with closing(open_postgres(url, PostgresLimits(statement_timeout=0.1))) as store:
        with pytest.raises(Unavailable):
            sleep(store)
        with store.begin() as tx:
            assert tx.catalogs.page("", 9) == []


def test_a_pool_without_a_free_connection_is_said(url: str) -> None:
    few = PostgresLimits(pool_size=1, pool_overflow=0, pool_timeout=0.1)
    with closing(open_postgres(url, few)) as store, store.begin():
        with pytest.raises(Unavailable) as caught, store.begin():
            pass
        assert "connection" in caught.value.message


def test_processes_that_start_at_once_make_the_schema_once(postgres: Postgres) -> None:
    url = postgres.empty_database()
    start = threading.Barrier(4)

    def open_it() -> PostgresRecords:
        start.wait(SECONDS)
        return open_postgres(url)

    with ThreadPoolExecutor(4) as pool:
        stores = [each.result(SECONDS) for each in [pool.submit(open_it) for _ in range(4)]]
    for each in stores:
        with each.begin() as tx:
            assert tx.catalogs.page("", 9) == []
        each.close()


def test_records_of_a_newer_version_are_refused(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(FailedPrecondition) as caught:
        open_postgres(url)
    assert caught.value.reason == "SCHEMA_NEWER"


def test_texts_are_in_the_order_of_bytes_whatever_the_locale_of_the_database(
    postgres: Postgres,
) -> None:
    url = postgres.empty_database(
        "LOCALE 'C.UTF-8' LOCALE_PROVIDER icu ICU_LOCALE 'en-US-u-ka-shifted'"
    )
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT 'a-b' < 'aa'").fetchone()
    assert row == (False,)  # as dictionaries have it
    ids = ["a-b", "aa", "a0", "a"]
    with closing(open_postgres(url)) as store:
        with store.begin(write=True) as tx:
            tx.models.put(MODEL, DIGEST, SPEC, NOW)
            for each in ids:
                tx.catalogs.create(each, "", MODEL, NOW)
        with store.begin() as tx:
            assert [each.id for each in tx.catalogs.page("", 9)] == sorted(ids)
            assert [each.id for each in tx.catalogs.page("a-b", 9)] == ["a0", "aa"]


def test_a_server_that_is_not_there_is_said_without_its_password() -> None:
    with pytest.raises(Unavailable) as caught:
        open_postgres("postgresql://somebody:secret@127.0.0.1:1/db")
    assert "secret" not in caught.value.message


@pytest.mark.parametrize("bad", ["", "mysql://u:secret@h/db", "not a url: secret"])
def test_a_url_of_something_else_is_refused_without_showing_it(bad: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        open_postgres(bad)
    assert caught.value.reason == "INVALID_RECORDS_URL"
    assert "secret" not in caught.value.message


def test_connections_carry_the_name_of_their_service(url: str) -> None:
    query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s"
    named = open_postgres(url, application="shelflens-test")
    with closing(named), named.begin(), psycopg.connect(url) as connection:
        assert connection.execute(query, ["shelflens-test"]).fetchone() == (1,)


def test_plans_made_for_empty_tables_are_not_kept(store: PostgresRecords) -> None:
    for number in range(20):
        write(store, f"p{number}")
    query = "SELECT sum(generic_plans), sum(custom_plans) > 20 FROM pg_prepared_statements"
    with store._connected() as connection:  # the one that did all of it
        assert connection.exec_driver_sql(query).one() == (0, True)


def test_the_clock_is_that_of_the_server(store: PostgresRecords) -> None:
    clock = store.clock()
    times = [clock.now() for _ in range(3)]
    assert times == sorted(times)
    assert abs((times[0] - datetime.now(UTC)).total_seconds()) < 5  # the same computer here
