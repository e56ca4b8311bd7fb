"""The migrations and tables.py describe the same database."""

from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from services.core.adapters.sql_records import open_postgres, open_sqlite
from services.core.adapters.sql_records.tables import metadata
from tests.servers.postgres import Postgres


def test_migrations_make_exactly_the_tables(tmp_path: Path) -> None:
    file = tmp_path / "records.db"
    open_sqlite(file).close()
    _check_tables(f"sqlite:///{file}")


@pytest.mark.servers
def test_migrations_make_exactly_the_tables_of_a_server(postgres: Postgres) -> None:
    url = postgres.empty_database()
    open_postgres(url).close()
    _check_tables(url.replace("postgresql:", "postgresql+psycopg:"))


@pytest.mark.servers
def test_every_text_of_a_server_is_in_the_order_of_bytes(postgres: Postgres) -> None:
    url = postgres.empty_database()
    open_postgres(url).close()
    engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    columns = sa.text(
        "SELECT table_name || '.' || column_name, collation_name FROM information_schema.columns"
        " WHERE table_schema = 'public' AND table_name <> 'alembic_version'"
        " AND data_type IN ('text', 'character varying')"
    )
    with engine.connect() as connection:
        found = {row[0]: row[1] for row in connection.execute(columns)}
    engine.dispose()
    assert len(found) > 30
    assert set(found.values()) == {"C"}, found


def test_migrating_twice_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "records.db"
    open_sqlite(file).close()
    before = _schema(file)
    open_sqlite(file).close()
    assert before == _schema(file)


def _check_tables(url: str) -> None:
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        made = set(sa.inspect(connection).get_table_names()) - {"alembic_version"}
        differences = compare_metadata(context, metadata)
    engine.dispose()
    assert made == set(metadata.tables)
    assert differences == []


def _schema(file: Path) -> list[tuple[str, str]]:
    engine = sa.create_engine(f"sqlite:///{file}")
    with engine.connect() as connection:
        rows = connection.execute(sa.text("SELECT name, coalesce(sql, '') FROM sqlite_master"))
        found = sorted((name, sql) for name, sql in rows)
    engine.dispose()
    return found
