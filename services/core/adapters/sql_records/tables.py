"""The tables. Changes need a migration; a test holds the two together."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    text,
)

from services.core.adapters.sql_records.column_types import FreeText, UtcTime
from services.core.adapters.sql_records.evaluation_tables import calibrations as calibrations
from services.core.adapters.sql_records.evaluation_tables import datasets as datasets
from services.core.adapters.sql_records.evaluation_tables import evaluations as evaluations
from services.core.adapters.sql_records.evaluation_tables import feedback as feedback
from services.core.adapters.sql_records.schema import metadata as metadata

# Models and embedders; `name` is the first one that it had, empty for a part of a model.
models = Table(
    "models",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("name", String(63), nullable=False, index=True),
    Column("spec", JSON, nullable=False),
    Column("create_time", UtcTime, nullable=False),
)

model_names = Table(
    "model_names",
    metadata,
    Column("name", String(63), primary_key=True),
    Column("digest", String(64), nullable=False, index=True),
    Column("notes", JSON, nullable=False),
    Column("create_time", UtcTime, nullable=False),
)

catalogs = Table(
    "catalogs",
    metadata,
    Column("id", String(63), primary_key=True),
    Column("display_name", FreeText, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("deployment", Integer, nullable=False),
    Column("deleting", Boolean, nullable=False),
    Column("create_time", UtcTime, nullable=False),
    Column("update_time", UtcTime, nullable=False),
    Column("index_time", UtcTime),
    # The deployment that searches are compared with; 0: none.
    Column("comparing", Integer, nullable=False, server_default="0"),
    # Counts the changes of its calibrations.
    Column("calibration_version", Integer, nullable=False, server_default="0"),
    Column("feedback_photo_days", Integer, nullable=False, server_default="0"),
)

deployments = Table(
    "deployments",
    metadata,
    Column("catalog", String(63), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("model", String(63), nullable=False),
    Column("model_digest", String(64), nullable=False),
    Column("collection", String(200), nullable=False),
    Column("dimension", Integer, nullable=False),
    Column("distance", String(20), nullable=False),
    Column("create_time", UtcTime, nullable=False),
    Column("state", String(10), nullable=False),
    Column("switch_time", UtcTime),
    Column("tenant", String(100), nullable=False),
    Column("storage", JSON, nullable=False),
    Column("comparison", JSON, nullable=False),
    Column("gate", JSON, nullable=False),
    Index("deployments_model", "model_digest"),
)

# Which models the workers that embed queries have loaded.
query_workers = Table(
    "query_workers",
    metadata,
    Column("id", String(100), primary_key=True),
    Column("models", JSON, nullable=False),
    Column("seen_time", UtcTime, nullable=False),
)

products = Table(
    "products",
    metadata,
    Column("catalog", String(63), primary_key=True),
    Column("id", String(63), primary_key=True),
    Column("sku", FreeText, nullable=False),
    Column("title", FreeText, nullable=False),
    Column("description", FreeText, nullable=False),
    Column("categories", JSON, nullable=False),
    Column("labels", JSON, nullable=False),
    Column("parent", FreeText, nullable=False),
    Column("price", Float),
    Column("stock", Float),
    Column("attributes", JSON, nullable=False),
    Column("revision", BigInteger, nullable=False),
    # The last import that listed the product, and the last that listed its images.
    Column("seen_revision", BigInteger, nullable=False),
    Column("listed_revision", BigInteger, nullable=False),
    # What that import did to it: created, updated, unchanged, or same (unchanged, its only row
    # said the same as before).
    Column("outcome", String(10), nullable=False),
    # Digest of the one row that the product and its imported images are exactly as it says.
    Column("row_digest", String(33)),
    # Whether the last import that listed its images folds near-duplicates; empty: no.
    Column("folds", Boolean),
    Column("deleted", Boolean, nullable=False),
    Column("update_time", UtcTime, nullable=False),
    Index("products_listed", "catalog", "listed_revision"),
    sqlite_with_rowid=False,
)

product_images = Table(
    "product_images",
    metadata,
    Column("catalog", String(63), primary_key=True),
    Column("product", String(63), primary_key=True),
    Column("sha256", String(64), primary_key=True),
    Column("state", String(10), nullable=False),
    Column("refusal", String(64), nullable=False),
    Column("source", FreeText, nullable=False),
    Column("origin", String(10), nullable=False),
    # Where the last import that listed it did so first (merging.position).
    Column("position", BigInteger),
    Column("revision", BigInteger, nullable=False),
    Column("plan_revision", BigInteger),
    Column("deleted", Boolean, nullable=False),
    Column("create_time", UtcTime, nullable=False),
    Index("product_images_planned", "catalog", "plan_revision"),
    # All that is looked at to count the products that show a picture.
    Index("product_images_hash", "catalog", "sha256", "deleted"),
    # Few images are kept out of search, and the end of every import asks which.
    Index(
        "product_images_withheld",
        "catalog",
        "sha256",
        sqlite_where=text("state = 'withheld'"),
        postgresql_where=text("state = 'withheld'"),
    ),
    Index(
        "product_images_folded",
        "catalog",
        "product",
        sqlite_where=text("state = 'folded'"),
        postgresql_where=text("state = 'folded'"),
    ),
    sqlite_with_rowid=False,
)

embedding_files = Table(
    "embedding_files",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("key", String(300), nullable=False, unique=True),
)

embeddings = Table(
    "embeddings",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("sha256", String(64), primary_key=True),
    Column("file", Integer, nullable=False),
    Column("row", Integer, nullable=False),
    # near_duplicates.fingerprint of the pixels that were embedded; empty for older ones.
    Column("picture_hash", String(16)),
    sqlite_with_rowid=False,
)

image_refusals = Table(
    "image_refusals",
    metadata,
    Column("sha256", String(64), primary_key=True),
    Column("reason", String(64), nullable=False),
    sqlite_with_rowid=False,
)

claims = Table(
    "claims",
    metadata,
    Column("operation", String(63), primary_key=True),
    Column("sha256", String(64), primary_key=True),
    Column("refusal", String(64), nullable=False),
    sqlite_with_rowid=False,
)

operations = Table(
    "operations",
    metadata,
    Column("id", String(63), primary_key=True),
    Column("kind", String(20), nullable=False),
    Column("catalog", String(63), nullable=False, index=True),
    Column("revision", BigInteger, nullable=False),
    Column("state", String(12), nullable=False, index=True),
    Column("request", JSON, nullable=False),
    Column("counts", JSON, nullable=False),
    Column("total_rows", BigInteger, nullable=False),
    Column("result", JSON, nullable=False),
    Column("error_reason", String(64), nullable=False),
    Column("error_message", FreeText, nullable=False),
    Column("create_time", UtcTime, nullable=False),
    Column("update_time", UtcTime, nullable=False),
    Column("end_time", UtcTime),
)

# Products that a full feed must not remove: it had a rejected row with their SKU, or, of a dry
# run, which writes nothing else, it has met them.
spared = Table(
    "spared",
    metadata,
    Column("operation", String(63), primary_key=True),
    Column("product", String(63), primary_key=True),
    Column("met", Boolean, nullable=False),
    sqlite_with_rowid=False,
)

shards = Table(
    "shards",
    metadata,
    Column("operation", String(63), primary_key=True),
    Column("sequence", Integer, primary_key=True, autoincrement=False),
    Column("stage", String(10), nullable=False),
    Column("state", String(10), nullable=False),
    Column("message", JSON, nullable=False),
    Column("report", JSON),
    Column("attempts", Integer, nullable=False),
    Column("lease_until", UtcTime),
    Column("notes", JSON, nullable=False),
    # Every step of the coordinator looks for the lowest of a stage and for those in a state;
    # an operation may have a hundred thousand shards.
    Index("shards_by_stage", "operation", "stage", "sequence"),
    Index("shards_by_state", "state", "operation", "stage", "sequence"),
)

requests = Table(
    "requests",
    metadata,
    Column("rpc", String(63), primary_key=True),
    Column("request_id", String(36), primary_key=True),
    Column("digest", String(64), nullable=False),
    Column("answer", LargeBinary, nullable=False),
    Column("create_time", UtcTime, nullable=False, index=True),
)

# Messages that no worker took. `body` is the first part of a long one.
dead_letters = Table(
    "dead_letters",
    metadata,
    Column("id", String(63), primary_key=True),
    # The same dead message is delivered again until it is acknowledged, and recorded once.
    Column("message_digest", String(64), nullable=False, unique=True),
    Column("queue", String(255), nullable=False),
    Column("routing_key", String(255), nullable=False),
    Column("task", String(255), nullable=False),
    Column("operation", String(63), nullable=False),
    # The id of the message within its operation, the same for every publication of it.
    Column("message", String(255), nullable=False),
    Column("reason", String(64), nullable=False),
    Column("detail", FreeText, nullable=False),
    Column("content_type", String(255), nullable=False),
    Column("content_encoding", String(255), nullable=False),
    Column("headers", JSON, nullable=False),
    Column("properties", JSON, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("deaths", Integer, nullable=False),
    Column("create_time", UtcTime, nullable=False),
    Index("dead_letters_reason", "reason", "id"),
    Index("dead_letters_queue", "queue", "id"),
    Index("dead_letters_message", "message"),
)
