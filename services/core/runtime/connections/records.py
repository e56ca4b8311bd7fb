"""The PostgreSQL server."""

from services.core.adapters.sql_records.postgresql import PostgresRecords, open_postgres
from services.core.runtime.service_settings import RecordSettings
from services.core.runtime.startup import wait_for


def open_records(settings: RecordSettings, application: str) -> PostgresRecords:
    """Returns when the server answers and the schema is up to date.

    Raises InvalidArgument (INVALID_RECORDS_URL), FailedPrecondition (SCHEMA_NEWER).
    """
    url = settings.records_url.get_secret_value()
    return wait_for("records", lambda: open_postgres(url, application=f"shelflens-{application}"))
