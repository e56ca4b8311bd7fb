"""The tables of datasets, evaluations, calibrations and feedback. Use them through tables.py."""

from sqlalchemy import JSON, Boolean, Column, Index, String, Table

from services.core.adapters.sql_records.column_types import FreeText, UtcTime
from services.core.adapters.sql_records.schema import metadata

datasets = Table(
    "datasets",
    metadata,
    Column("id", String(63), primary_key=True),
    Column("catalog", String(63), nullable=False, index=True),
    Column("display_name", FreeText, nullable=False),
    Column("allow_absent", Boolean, nullable=False),
    Column("build", String(63), nullable=False),
    Column("operation", String(63), nullable=False),
    Column("state", String(12), nullable=False),
    Column("counts", JSON, nullable=False),
    Column("create_time", UtcTime, nullable=False),
    Column("error_reason", String(64), nullable=False),
    Column("error_message", FreeText, nullable=False),
)

evaluations = Table(
    "evaluations",
    metadata,
    Column("id", String(63), primary_key=True),
    Column("dataset", String(63), nullable=False),
    Column("catalog", String(63), nullable=False, index=True),
    Column("stages", FreeText, nullable=False),
    Column("options", FreeText, nullable=False),
    # Of each model its name, digest, metrics and calibration.
    Column("models", JSON, nullable=False),
    Column("operation", String(63), nullable=False),
    Column("state", String(12), nullable=False),
    Column("create_time", UtcTime, nullable=False),
    Column("end_time", UtcTime),
    Column("report", String(300), nullable=False),
    Column("differences", JSON, nullable=False),
    Column("error_reason", String(64), nullable=False),
    Column("error_message", FreeText, nullable=False),
    Index("evaluations_dataset", "dataset", "id"),
)

calibrations = Table(
    "calibrations",
    metadata,
    Column("catalog", String(63), primary_key=True),
    Column("model_digest", String(64), primary_key=True),
    Column("stages", String(1000), primary_key=True),
    Column("evaluation", String(63), nullable=False),
    Column("fitted", JSON, nullable=False),
    Column("create_time", UtcTime, nullable=False),
    sqlite_with_rowid=False,
)

feedback = Table(
    "feedback",
    metadata,
    Column("id", String(63), primary_key=True),
    Column("catalog", String(63), nullable=False),
    Column("photo", String(64), nullable=False),
    Column("product", String(63), nullable=False),
    Column("image", String(64), nullable=False),
    Column("right", Boolean, nullable=False),
    Column("expected", String(63), nullable=False),
    Column("model_digest", String(64), nullable=False),
    Column("stages", FreeText, nullable=False),
    Column("create_time", UtcTime, nullable=False),
    # Until when the photo is kept; empty where it is not.
    Column("expire_time", UtcTime, index=True),
    Index("feedback_catalog", "catalog", "id"),
    Index("feedback_photo", "photo", "catalog"),
)
