"""Which images show the same, and which of them are kept out of search."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("products", sa.Column("folds", sa.Boolean(), nullable=True))
    op.add_column("product_images", sa.Column("position", sa.BigInteger(), nullable=True))
    op.add_column("embeddings", sa.Column("picture_hash", sa.String(length=16), nullable=True))
    op.drop_index("product_images_hash", "product_images")
    op.create_index("product_images_hash", "product_images", ["catalog", "sha256", "deleted"])
    for state, column in (("withheld", "sha256"), ("folded", "product")):
        only = sa.text(f"state = '{state}'")
        op.create_index(
            f"product_images_{state}",
            "product_images",
            ["catalog", column],
            sqlite_where=only,
            postgresql_where=only,
        )
