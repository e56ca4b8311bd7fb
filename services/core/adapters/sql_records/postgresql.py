"""The records on a PostgreSQL server."""

import select
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import psycopg
import sqlalchemy as sa
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from services.core.adapters.sql_records.clock import RecordClock
from services.core.adapters.sql_records.failures import postgres_failure
from services.core.adapters.sql_records.migrating import migrate
from services.core.adapters.sql_records.store import Begin, SqlRecords
from services.core.domain.errors import InvalidArgument
from services.core.ports import Clock

_IDLE_SINCE = "shelflens_idle_since"
_ASKED_AFTER = 5.0  # seconds
_WRITERS = 0x5368_656C_6601
# Readers see one snapshot. Writers take turns over all catalogues, as on SQLite: the lock comes
# before anything is read, and READ COMMITTED then shows all that earlier writers committed. It
# ends with the transaction, also where the connection or the server dies.
_READ = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_WRITE = (
    "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;"
    f" SELECT pg_catalog.pg_advisory_xact_lock({_WRITERS})"
)


@dataclass(frozen=True, slots=True)
class PostgresLimits:
    """Of one process. Times are seconds.

    `pool_size` connections are kept, up to `pool_overflow` more are opened under load; a caller
    waits `pool_timeout` for one. A write waits `lock_timeout` for the writes of others, and a
    transaction that does nothing for `idle_timeout` is ended: it would keep the others waiting.
    A connection whose other end is gone is noticed within about `silence`, by us and by the server,
    where a writer that is gone would keep all others waiting.
    """

    pool_size: int = 8
    pool_overflow: int = 8
    pool_timeout: float = 10.0
    connect_timeout: int = 5
    statement_timeout: float = 120.0
    lock_timeout: float = 30.0
    idle_timeout: float = 60.0
    silence: int = 15


class PostgresRecords(SqlRecords):
    """Records that many processes share."""

    def clock(self) -> Clock:
        """The server's clock: leases of coordinators whose own clocks differ hold for all."""
        return RecordClock(self._time)

    def _time(self) -> datetime:
        with self._connected() as connection:
            now = connection.exec_driver_sql("SELECT clock_timestamp() AT TIME ZONE 'UTC'")
            measured: datetime = now.scalar_one()
        return measured.replace(tzinfo=UTC)


def open_postgres(
    url: str, limits: PostgresLimits = PostgresLimits(), application: str = "shelflens"
) -> PostgresRecords:
    """Connects and brings the schema up to date; any number of processes may do so at once.

    `url` is postgresql://user:password@host:port/database, with libpq's parameters behind a "?".
    `application` names the connections in the server's views and logs. Raises InvalidArgument
    (INVALID_RECORDS_URL), Unavailable (RECORDS_UNAVAILABLE), FailedPrecondition (SCHEMA_NEWER).
    """
    engine = sa.create_engine(
        _with_driver(url),
        isolation_level="AUTOCOMMIT",  # SqlRecords.begin() says BEGIN itself
        pool_size=limits.pool_size,
        max_overflow=limits.pool_overflow,
        pool_timeout=limits.pool_timeout,
        pool_use_lifo=True,
        connect_args=_connect_args(limits, application),
    )
    sa.event.listen(engine, "checkin", _note_time)
    sa.event.listen(engine, "checkout", _check_life)
    begin = Begin(_READ, _WRITE, postgres_failure, limits.lock_timeout)
    try:
        migrate(engine)
    except sa.exc.DBAPIError as error:
        engine.dispose()
        raise postgres_failure(error) from error
    return PostgresRecords(engine, begin)


def _note_time(_connection: DBAPIConnection | None, record: ConnectionPoolEntry) -> None:
    record.info[_IDLE_SINCE] = time.monotonic()


def _check_life(connection: Any, record: ConnectionPoolEntry, _proxy: object) -> None:
    """Replaces a connection that the server has ended, so that its restart fails no call.

    The server says good-bye, which can be seen without asking; one that vanished is asked, but
    only after a pause: each question costs a search as much as its records do.
    """
    idle = time.monotonic() - record.info.get(_IDLE_SINCE, time.monotonic())
    try:
        said = select.poll()
        said.register(connection.fileno(), select.POLLIN)
        if said.poll(0) or idle > _ASKED_AFTER:
            connection.execute("SELECT 1")
    except (psycopg.Error, OSError, ValueError) as error:
        raise sa.exc.DisconnectionError from error


def _with_driver(url: str) -> sa.URL:
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError:
        parsed = None
    # The URL may hold a password: it is never shown.
    if parsed is None or parsed.get_backend_name() not in ("postgresql", "postgres"):
        raise InvalidArgument(
            "the records' URL is not like postgresql://user:password@host:5432/database",
            reason="INVALID_RECORDS_URL",
        )
    return parsed.set(drivername="postgresql+psycopg")


def _connect_args(limits: PostgresLimits, application: str) -> dict[str, object]:
    quiet = max(1, limits.silence // 3)
    settings = {
        "statement_timeout": round(limits.statement_timeout * 1000),
        "lock_timeout": round(limits.lock_timeout * 1000),
        "idle_in_transaction_session_timeout": round(limits.idle_timeout * 1000),
        # A plan made for an empty table and kept is many times slower once an import fills it.
        "plan_cache_mode": "force_custom_plan",
        # How the server looks at us; below is how we look at it.
        "tcp_keepalives_idle": quiet,
        "tcp_keepalives_interval": quiet,
        "tcp_keepalives_count": 2,
        "tcp_user_timeout": limits.silence * 1000,
    }
    return {
        "application_name": application,
        "connect_timeout": limits.connect_timeout,
        "client_encoding": "utf8",
        "options": " ".join(f"-c {name}={value}" for name, value in settings.items()),
        "keepalives": 1,
        "keepalives_idle": quiet,
        "keepalives_interval": quiet,
        "keepalives_count": 2,
        "tcp_user_timeout": limits.silence * 1000,
    }
