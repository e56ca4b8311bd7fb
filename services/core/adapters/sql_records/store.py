"""Opening the database, and transactions on it."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.engine.interfaces import DBAPIConnection

from services.core.adapters.sql_records.calibrations import SqlCalibrations
from services.core.adapters.sql_records.catalogs import SqlCatalogs
from services.core.adapters.sql_records.datasets import SqlDatasets
from services.core.adapters.sql_records.dead_letters import SqlDeadLetters
from services.core.adapters.sql_records.deployments import SqlDeployments
from services.core.adapters.sql_records.duplicates import SqlDuplicates
from services.core.adapters.sql_records.embeddings import SqlEmbeddings
from services.core.adapters.sql_records.erasing import SqlErasing
from services.core.adapters.sql_records.evaluations import SqlEvaluations
from services.core.adapters.sql_records.exporting import SqlExport
from services.core.adapters.sql_records.failures import sqlite_failure
from services.core.adapters.sql_records.feedback import SqlFeedback
from services.core.adapters.sql_records.feeds import SqlFeeds
from services.core.adapters.sql_records.imports import SqlImports
from services.core.adapters.sql_records.migrating import migrate
from services.core.adapters.sql_records.models import SqlModels
from services.core.adapters.sql_records.operations import SqlOperations, SqlRequests
from services.core.adapters.sql_records.products import SqlProducts
from services.core.adapters.sql_records.shards import SqlShards
from services.core.domain.errors import Unavailable
from services.core.record_ports import Records, RecordStore


class SqlTransaction:
    """The repositories on one connection."""

    def __init__(self, connection: sa.Connection) -> None:
        self.catalogs = SqlCatalogs(connection)
        self.models = SqlModels(connection)
        self.deployments = SqlDeployments(connection)
        self.products = SqlProducts(connection)
        self.imports = SqlImports(connection)
        self.feeds = SqlFeeds(connection)
        self.embeddings = SqlEmbeddings(connection)
        self.operations = SqlOperations(connection)
        self.shards = SqlShards(connection)
        self.requests = SqlRequests(connection)
        self.erasing = SqlErasing(connection)
        self.export = SqlExport(connection)
        self.duplicates = SqlDuplicates(connection)
        self.dead_letters = SqlDeadLetters(connection)
        self.datasets = SqlDatasets(connection)
        self.evaluations = SqlEvaluations(connection)
        self.calibrations = SqlCalibrations(connection)
        self.feedback = SqlFeedback(connection)


@dataclass(frozen=True, slots=True)
class Begin:
    """How transactions begin and fail on one kind of database.

    One writer at a time: the repositories read and then write what they read. `write` therefore
    begins with a lock on all of the records; readers never wait for it.
    """

    read: str
    write: str
    failure: Callable[[exc.DBAPIError], Exception]
    longest_wait: float = -1.0  # seconds for the writers of this process; -1: any time


class SqlRecords(RecordStore):
    """RecordStore on a SQLAlchemy engine whose schema is up to date and which begins nothing."""

    def __init__(self, engine: sa.Engine, begin: Begin) -> None:
        self._engine = engine
        self._begin = begin
        # Queueing here does not poll, and takes one connection a process instead of one a writer.
        self._writer = threading.Lock()

    @contextmanager
    def begin(self, *, write: bool = False, snapshot: bool = True) -> Iterator[Records]:
        if not write and not snapshot:
            with self._connected() as connection:
                yield SqlTransaction(connection)
            return
        if not write:
            with self._transaction(self._begin.read) as records:
                yield records
            return
        if not self._writer.acquire(timeout=self._begin.longest_wait):
            raise Unavailable(
                f"other writes took more than {self._begin.longest_wait:g} s; try again",
                reason="RECORDS_UNAVAILABLE",
            )
        try:
            with self._transaction(self._begin.write) as records:
                yield records
        finally:
            self._writer.release()

    @contextmanager
    def _transaction(self, statement: str) -> Iterator[Records]:
        with self._connected() as connection:
            connection.exec_driver_sql(statement)
            yield SqlTransaction(connection)
            connection.commit()

    @contextmanager
    def _connected(self) -> Iterator[sa.Connection]:
        try:
            with self._engine.connect() as connection:  # rolls back what is not committed
                yield connection
        except exc.DBAPIError as error:
            raise self._begin.failure(error) from error
        except exc.TimeoutError as error:
            raise Unavailable(
                f"every connection to the records is taken: {error}", reason="RECORDS_UNAVAILABLE"
            ) from error

    def close(self) -> None:
        self._engine.dispose()


_SQLITE = Begin(read="BEGIN", write="BEGIN IMMEDIATE", failure=sqlite_failure)


def open_sqlite(path: Path) -> SqlRecords:
    """Opens or makes the database file and brings its schema up to date.

    Raises FailedPrecondition (SCHEMA_NEWER) for a file of a newer Shelflens. Durable against the
    death of the process; a power cut may lose the last transactions, never the consistency.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(
        f"sqlite:///{path}",
        pool_size=8,
        max_overflow=32,
        connect_args={"check_same_thread": False, "timeout": 30, "cached_statements": 512},
    )
    sa.event.listen(engine, "connect", _configure_sqlite)
    migrate(engine)
    return SqlRecords(engine, _SQLITE)


def _configure_sqlite(connection: DBAPIConnection, _record: object) -> None:
    # begin() says BEGIN itself: the driver's own begins would not take the write lock early.
    connection.isolation_level = None
    for pragma in (
        "journal_mode=WAL",
        "synchronous=NORMAL",
        "busy_timeout=30000",
        "cache_size=-8000",
        "temp_store=MEMORY",
    ):
        connection.execute(f"PRAGMA {pragma}")
