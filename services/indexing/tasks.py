"""Celery edge of the indexing worker."""

from services.core.messages import DropCollection, IndexShard, VerifyCollection
from services.core.runtime.worker import Handlers
from services.indexing.handlers import Indexer

QUEUES = (IndexShard.QUEUE,)


def handlers(indexer: Indexer) -> Handlers:
    """Message type -> handler."""
    return {
        IndexShard: indexer.index_shard,
        VerifyCollection: indexer.verify,
        DropCollection: indexer.drop,
    }
