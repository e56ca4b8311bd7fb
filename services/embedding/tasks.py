"""Celery edge of the embedding worker."""

from services.core.messages import EmbedShard, EmbedSingle
from services.core.runtime.worker import Handlers
from services.embedding.handlers import BulkEmbedder

BULK_QUEUES = (EmbedShard.QUEUE,)
SINGLE_QUEUES = (EmbedSingle.QUEUE,)


def handlers(embedder: BulkEmbedder) -> Handlers:
    """Message type -> handler."""
    return {EmbedShard: embedder.embed_shard, EmbedSingle: embedder.embed_shard}
