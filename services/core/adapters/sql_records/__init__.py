"""RecordStore over SQLAlchemy: SQLite here, PostgreSQL through the same code."""

from services.core.adapters.sql_records.store import SqlRecords, open_sqlite

__all__ = ["SqlRecords", "open_sqlite"]
