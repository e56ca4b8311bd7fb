"""Celery edge of the ingestion worker."""

from services.core.messages import IngestManifest, IngestShard
from services.core.runtime.worker import Handlers
from services.ingestion.handlers import Ingestor

QUEUES = (IngestManifest.QUEUE, IngestShard.QUEUE)


def handlers(ingestor: Ingestor) -> Handlers:
    """Message type -> handler."""
    return {IngestManifest: ingestor.cut_manifest, IngestShard: ingestor.ingest_shard}
