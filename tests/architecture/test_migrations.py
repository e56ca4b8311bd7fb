"""The migrations and tables.py describe the same database."""

from pathlib import Path

import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from services.core.adapters.sql_records import open_sqlite
from services.core.adapters.sql_records.tables import metadata


def test_migrations_make_exactly_the_tables(tmp_path: Path) -> None:
    file = tmp_path / "records.db"
    open_sqlite(file).close()
    engine = sa.create_engine(f"sqlite:///{file}")
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        made = set(sa.inspect(connection).get_table_names()) - {"alembic_version"}
        differences = compare_metadata(context, metadata)
    engine.dispose()
    assert made == set(metadata.tables)
    assert differences == []


def test_migrating_twice_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "records.db"
    open_sqlite(file).close()
    before = _schema(file)
    open_sqlite(file).close()
    assert before == _schema(file)


def _schema(file: Path) -> list[tuple[str, str]]:
    engine = sa.create_engine(f"sqlite:///{file}")
    with engine.connect() as connection:
        rows = connection.execute(sa.text("SELECT name, coalesce(sql, '') FROM sqlite_master"))
        found = sorted((name, sql) for name, sql in rows)
    engine.dispose()
    return found
