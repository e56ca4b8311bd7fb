"""What nightly feeds need: products to spare, and what the last row said of each product."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "spared",
        sa.Column("operation", sa.String(length=63), nullable=False),
        sa.Column("product", sa.String(length=63), nullable=False),
        sa.Column("met", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("operation", "product"),
        sqlite_with_rowid=False,
    )
    op.add_column("products", sa.Column("row_digest", sa.String(length=33), nullable=True))
