"""Bringing the schema of a database up to date."""

from pathlib import Path

import sqlalchemy as sa
from alembic import command, util
from alembic.config import Config

from services.core.adapters.sql_records.tables import metadata
from services.core.domain.errors import FailedPrecondition

MIGRATIONS = Path(__file__).parent / "migrations"
_LOCK = 0x5368_656C_6600  # "Shelf"; the key of writers is the next one
# One process migrates at a time; the others find nothing to do. It may take as long as it needs.
_BEGIN = {
    "sqlite": ("BEGIN IMMEDIATE",),
    "postgresql": (
        "BEGIN",
        "SET LOCAL lock_timeout = 0",
        "SET LOCAL statement_timeout = 0",
        f"SELECT pg_advisory_xact_lock({_LOCK})",
    ),
}
_OTHER_COLLATIONS = sa.text(
    "SELECT table_name, column_name, data_type, character_maximum_length"
    " FROM information_schema.columns"
    " WHERE table_schema = current_schema() AND table_name = ANY(:tables)"
    " AND data_type IN ('text', 'character varying') AND collation_name IS DISTINCT FROM 'C'"
)


def migrate(engine: sa.Engine) -> None:
    """Any number of processes may call this at once. Raises FailedPrecondition (SCHEMA_NEWER)."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.connect() as connection:
        for statement in _BEGIN[engine.dialect.name]:
            connection.exec_driver_sql(statement)
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except util.CommandError as error:
            raise FailedPrecondition(
                f"the records were written by a newer version of Shelflens ({error}); update it",
                reason="SCHEMA_NEWER",
            ) from error
        if engine.dialect.name == "postgresql":
            _order_by_bytes(connection)
        connection.commit()


def _order_by_bytes(connection: sa.Connection) -> None:
    """Texts are in the order of their bytes, as in SQLite and Python, whatever the database's
    locale: pages are the same everywhere, and no update of a C library spoils an index."""
    quote = connection.dialect.identifier_preparer.quote
    for row in connection.execute(_OTHER_COLLATIONS, {"tables": list(metadata.tables)}).all():
        length = row.character_maximum_length
        kind = f"varchar({length})" if length else row.data_type
        connection.exec_driver_sql(
            f"ALTER TABLE {quote(row.table_name)} ALTER COLUMN {quote(row.column_name)}"
            f' TYPE {kind} COLLATE "C"'
        )
