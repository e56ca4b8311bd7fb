"""Settings of the indexing worker."""

from pydantic import Field

from services.core.runtime.service_settings import (
    BrokerSettings,
    ObjectSettings,
    VectorSettings,
    WorkerSettings,
)


class IndexingSettings(WorkerSettings, BrokerSettings, ObjectSettings, VectorSettings):
    """Of `python -m services.indexing`."""

    index_threads: int = Field(2, ge=1, le=64, description="shards at a time")
