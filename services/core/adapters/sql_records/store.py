"""Opening the database, and transactions on it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from alembic import command, util
from alembic.config import Config
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import OperationalError

from services.core.adapters.sql_records.catalogs import SqlCatalogs, SqlModels
from services.core.adapters.sql_records.duplicates import SqlDuplicates
from services.core.adapters.sql_records.embeddings import SqlEmbeddings
from services.core.adapters.sql_records.erasing import SqlErasing
from services.core.adapters.sql_records.exporting import SqlExport
from services.core.adapters.sql_records.feeds import SqlFeeds
from services.core.adapters.sql_records.imports import SqlImports
from services.core.adapters.sql_records.operations import SqlOperations, SqlRequests
from services.core.adapters.sql_records.products import SqlProducts
from services.core.adapters.sql_records.shards import SqlShards
from services.core.domain.errors import FailedPrecondition, ResourceExhausted, Unavailable
from services.core.record_ports import Records, RecordStore

MIGRATIONS = Path(__file__).parent / "migrations"


class SqlTransaction:
    """The repositories on one connection."""

    def __init__(self, connection: sa.Connection) -> None:
        self.catalogs = SqlCatalogs(connection)
        self.models = SqlModels(connection)
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


class SqlRecords(RecordStore):
    """RecordStore on a SQLAlchemy engine whose schema is up to date."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._sqlite = engine.dialect.name == "sqlite"
        # SQLite has one writer; queueing here is fair and does not poll.
        self._writer = threading.Lock()

    @contextmanager
    def begin(self, *, write: bool = False) -> Iterator[Records]:
        if self._sqlite and write:
            with self._writer, self._transaction("BEGIN IMMEDIATE") as records:
                yield records
        else:
            with self._transaction("BEGIN" if self._sqlite else None) as records:
                yield records

    @contextmanager
    def _transaction(self, statement: str | None) -> Iterator[Records]:
        with self._engine.connect() as connection:
            try:
                if statement:
                    connection.exec_driver_sql(statement)
                yield SqlTransaction(connection)
                connection.commit()
            except OperationalError as error:
                connection.rollback()
                raise _translated(error) from error
            except BaseException:
                connection.rollback()
                raise

    def close(self) -> None:
        self._engine.dispose()


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
    return SqlRecords(engine)


def migrate(engine: sa.Engine) -> None:
    """Brings the schema up to date. Raises FailedPrecondition (SCHEMA_NEWER)."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except util.CommandError as error:
            raise FailedPrecondition(
                f"the records were written by a newer version of Shelflens ({error}); update it",
                reason="SCHEMA_NEWER",
            ) from error


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


def _translated(error: OperationalError) -> Exception:
    text = str(error.orig)
    if "disk is full" in text:
        return ResourceExhausted(f"the records cannot grow: {text}", reason="STORAGE_FULL")
    return Unavailable(f"the records do not answer: {text}", reason="RECORDS_UNAVAILABLE")
