"""RecordStore over SQLAlchemy: SQLite and PostgreSQL through the same code."""

from services.core.adapters.sql_records.postgresql import PostgresLimits, open_postgres
from services.core.adapters.sql_records.store import SqlRecords, open_sqlite

__all__ = ["PostgresLimits", "SqlRecords", "open_postgres", "open_sqlite"]
