"""Celery edge of the embedding worker."""

from services.core.messages import EmbedShard, EmbedSingle, PrepareModel
from services.core.runtime.worker import Handlers
from services.embedding.handlers import BulkEmbedder
from services.embedding.preparing import ModelPreparer

BULK_QUEUES = (EmbedShard.QUEUE,)
SINGLE_QUEUES = (EmbedSingle.QUEUE,)


def handlers(embedder: BulkEmbedder, preparer: ModelPreparer) -> Handlers:
    """Message type -> handler."""
    return {
        EmbedShard: embedder.embed_shard,
        EmbedSingle: embedder.embed_shard,
        PrepareModel: preparer.prepare_model,
    }
