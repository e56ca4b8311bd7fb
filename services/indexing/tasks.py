"""Celery edge of the indexing worker."""

from services.core.messages import DropCollection, IndexShard
from services.core.runtime.worker import Handlers
from services.indexing.handlers import Indexer

QUEUES = (IndexShard.QUEUE,)


def handlers(indexer: Indexer) -> Handlers:
    """Message type -> handler."""
    return {IndexShard: indexer.index_shard, DropCollection: indexer.drop}
