"""SQL that SQLite and PostgreSQL spell through different SQLAlchemy dialects."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

_FEW = 30_000  # parameters, which every SQLite takes in one statement


def among(
    connection: sa.Connection, column: sa.ColumnElement[str], values: Iterable[str]
) -> sa.ColumnElement[bool]:
    """`column IN values` for as many values as a hostile manifest may have images in one shard."""
    listed = list(values)
    if connection.dialect.name == "postgresql":
        return column == sa.any_(sa.cast(listed, postgresql.ARRAY(sa.Text)))
    if len(listed) <= _FEW:
        return column.in_(listed)
    return column.in_(
        sa.select(sa.func.json_each(json.dumps(listed)).table_valued("value").c.value)
    )


def insert_missing(
    connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]
) -> None:
    """Inserts rows; those whose primary or unique key exists are left as they are."""
    if rows:
        dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
        connection.execute(dialect.insert(table).on_conflict_do_nothing(), list(rows))


def upsert(connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Inserts rows; of those whose primary key exists every other column is replaced."""
    if not rows:
        return
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(table)
    keys = [column.name for column in table.primary_key]
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=keys,
            set_={name: statement.excluded[name] for name in rows[0] if name not in keys},
        ),
        list(rows),
    )
