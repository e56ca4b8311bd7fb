"""Datasets, evaluations, calibrations, and what users say about results."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    _make_datasets()
    _make_evaluations()
    op.create_table(
        "calibrations",
        sa.Column("catalog", sa.String(length=63), nullable=False),
        sa.Column("model_digest", sa.String(length=64), nullable=False),
        sa.Column("stages", sa.String(length=1000), nullable=False),
        sa.Column("evaluation", sa.String(length=63), nullable=False),
        sa.Column("fitted", sa.JSON(), nullable=False),
        sa.Column("create_time", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("catalog", "model_digest", "stages"),
        sqlite_with_rowid=False,
    )
    _make_feedback()
    with op.batch_alter_table("catalogs", schema=None) as batch_op:
        for name in ("calibration_version", "feedback_photo_days"):
            batch_op.add_column(sa.Column(name, sa.Integer(), nullable=False, server_default="0"))
    with op.batch_alter_table("deployments", schema=None) as batch_op:
        batch_op.add_column(sa.Column("gate", sa.JSON(), nullable=False, server_default="{}"))
    # From here on every deployment says it itself.
    with op.batch_alter_table("deployments", schema=None) as batch_op:
        batch_op.alter_column("gate", server_default=None)


def _make_datasets() -> None:
    op.create_table(
        "datasets",
        sa.Column("id", sa.String(length=63), nullable=False),
        sa.Column("catalog", sa.String(length=63), nullable=False),
        sa.Column("display_name", sa.Text(), nullable=False),
        sa.Column("allow_absent", sa.Boolean(), nullable=False),
        sa.Column("build", sa.String(length=63), nullable=False),
        sa.Column("operation", sa.String(length=63), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("counts", sa.JSON(), nullable=False),
        sa.Column("create_time", sa.DateTime(), nullable=False),
        sa.Column("error_reason", sa.String(length=64), nullable=False),
        sa.Column("error_message", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("datasets", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_datasets_catalog"), ["catalog"], unique=False)


def _make_evaluations() -> None:
    op.create_table(
        "evaluations",
        sa.Column("id", sa.String(length=63), nullable=False),
        sa.Column("dataset", sa.String(length=63), nullable=False),
        sa.Column("catalog", sa.String(length=63), nullable=False),
        sa.Column("stages", sa.Text(), nullable=False),
        sa.Column("options", sa.Text(), nullable=False),
        sa.Column("models", sa.JSON(), nullable=False),
        sa.Column("operation", sa.String(length=63), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("create_time", sa.DateTime(), nullable=False),
        sa.Column("end_time", sa.DateTime(), nullable=True),
        sa.Column("report", sa.String(length=300), nullable=False),
        sa.Column("differences", sa.JSON(), nullable=False),
        sa.Column("error_reason", sa.String(length=64), nullable=False),
        sa.Column("error_message", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("evaluations", schema=None) as batch_op:
        batch_op.create_index("evaluations_dataset", ["dataset", "id"], unique=False)
        batch_op.create_index(batch_op.f("ix_evaluations_catalog"), ["catalog"], unique=False)


def _make_feedback() -> None:
    op.create_table(
        "feedback",
        sa.Column("id", sa.String(length=63), nullable=False),
        sa.Column("catalog", sa.String(length=63), nullable=False),
        sa.Column("photo", sa.String(length=64), nullable=False),
        sa.Column("product", sa.String(length=63), nullable=False),
        sa.Column("image", sa.String(length=64), nullable=False),
        sa.Column("right", sa.Boolean(), nullable=False),
        sa.Column("expected", sa.String(length=63), nullable=False),
        sa.Column("model_digest", sa.String(length=64), nullable=False),
        sa.Column("stages", sa.Text(), nullable=False),
        sa.Column("create_time", sa.DateTime(), nullable=False),
        sa.Column("expire_time", sa.DateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("feedback", schema=None) as batch_op:
        batch_op.create_index("feedback_catalog", ["catalog", "id"], unique=False)
        batch_op.create_index("feedback_photo", ["photo", "catalog"], unique=False)
        batch_op.create_index(batch_op.f("ix_feedback_expire_time"), ["expire_time"], unique=False)
