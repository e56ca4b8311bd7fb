"""From protobuf messages to the values that users get."""

from shelflens.convert.catalogs import catalog, embeddings, image, product
from shelflens.convert.dead_letters import dead_letter
from shelflens.convert.evaluations import calibration, dataset, evaluation
from shelflens.convert.feedback import feedback
from shelflens.convert.models import deployment, model
from shelflens.convert.operations import operation
from shelflens.convert.search import search_response

__all__ = [
    "calibration",
    "catalog",
    "dataset",
    "dead_letter",
    "deployment",
    "embeddings",
    "evaluation",
    "feedback",
    "image",
    "model",
    "operation",
    "product",
    "search_response",
]
