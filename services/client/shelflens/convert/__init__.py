"""From protobuf messages to the values that users get."""

from shelflens.convert.catalogs import catalog, embeddings, image, product
from shelflens.convert.dead_letters import dead_letter
from shelflens.convert.models import deployment, model
from shelflens.convert.operations import operation
from shelflens.convert.search import search_response

__all__ = [
    "catalog",
    "dead_letter",
    "deployment",
    "embeddings",
    "image",
    "model",
    "operation",
    "product",
    "search_response",
]
