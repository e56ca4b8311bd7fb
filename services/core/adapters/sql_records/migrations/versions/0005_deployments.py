"""Models with names of their own, and deployments beside the live one."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    names = op.create_table(
        "model_names",
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("notes", sa.JSON(), nullable=False),
        sa.Column("create_time", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    with op.batch_alter_table("model_names", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_model_names_digest"), ["digest"], unique=False)
    _take_names(names)
    op.create_table(
        "query_workers",
        sa.Column("id", sa.String(length=100), nullable=False),
        sa.Column("models", sa.JSON(), nullable=False),
        sa.Column("seen_time", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("catalogs", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("comparing", sa.Integer(), nullable=False, server_default="0")
        )
    _extend_deployments()


def _extend_deployments() -> None:
    """Those that there are answer for their catalogues, and did from the start."""
    said: dict[str, tuple[sa.types.TypeEngine[Any], str]] = {
        "state": (sa.String(length=10), "live"),
        "tenant": (sa.String(length=100), ""),
        "storage": (sa.JSON(), "{}"),
        "comparison": (sa.JSON(), "{}"),
    }
    with op.batch_alter_table("deployments", schema=None) as batch_op:
        batch_op.add_column(sa.Column("switch_time", sa.DateTime(), nullable=True))
        for name, (kind, value) in said.items():
            batch_op.add_column(sa.Column(name, kind, nullable=False, server_default=value))
    # From here on every deployment says it all itself.
    with op.batch_alter_table("deployments", schema=None) as batch_op:
        for name in said:
            batch_op.alter_column(name, server_default=None)
        batch_op.create_index("deployments_model", ["model_digest"], unique=False)
    op.execute("UPDATE deployments SET switch_time = create_time")


def _take_names(names: sa.Table) -> None:
    """The newest model of each name."""
    models = sa.table(
        "models",
        sa.column("digest", sa.String),
        sa.column("name", sa.String),
        sa.column("create_time", sa.DateTime),
    )
    connection = op.get_bind()
    oldest_first = sa.select(models).order_by(models.c.create_time, models.c.digest)
    newest = {}
    for row in connection.execute(oldest_first):
        newest[row.name] = {
            "name": row.name,
            "digest": row.digest,
            "notes": [],
            "create_time": row.create_time,
        }
    if newest:
        connection.execute(names.insert(), list(newest.values()))
