"""Celery edge of the embedding worker."""

from services.core.evaluation_messages import ExplainPairs
from services.core.messages import EmbedShard, EmbedSingle, PrepareModel
from services.core.runtime.worker import Handlers
from services.embedding.explaining import Explainer
from services.embedding.handlers import BulkEmbedder
from services.embedding.preparing import ModelPreparer

BULK_QUEUES = (EmbedShard.QUEUE,)
SINGLE_QUEUES = (EmbedSingle.QUEUE,)


def handlers(embedder: BulkEmbedder, preparer: ModelPreparer, explainer: Explainer) -> Handlers:
    """Message type -> handler."""
    return {
        EmbedShard: embedder.embed_shard,
        EmbedSingle: embedder.embed_shard,
        ExplainPairs: explainer.explain_pairs,
        PrepareModel: preparer.prepare_model,
    }
