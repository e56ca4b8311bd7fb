"""What the server answers, as plain values. Times are UTC; scores: higher is nearer."""

from shelflens.values.as_json import to_json
from shelflens.values.catalogs import Catalog, Image, ImageEmbedding, Product
from shelflens.values.dead_letters import DeadLetter
from shelflens.values.imports import (
    ImportCounts,
    ProductChange,
    PruneResult,
    Rejection,
    StageTime,
)
from shelflens.values.models import (
    Comparison,
    Deployment,
    Embedder,
    FillProgress,
    LinearPart,
    Model,
    ModelMember,
    WeightsProgress,
)
from shelflens.values.operations import Erasure, Operation
from shelflens.values.search import Hit, SearchResponse, SearchResult

__all__ = [
    "Catalog",
    "Comparison",
    "DeadLetter",
    "Deployment",
    "Embedder",
    "Erasure",
    "FillProgress",
    "Hit",
    "Image",
    "ImageEmbedding",
    "ImportCounts",
    "LinearPart",
    "Model",
    "ModelMember",
    "Operation",
    "Product",
    "ProductChange",
    "PruneResult",
    "Rejection",
    "SearchResponse",
    "SearchResult",
    "StageTime",
    "WeightsProgress",
    "to_json",
]
