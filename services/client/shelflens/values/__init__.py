"""What the server answers, as plain values. Times are UTC; scores: higher is nearer."""

from shelflens.values.as_json import to_json
from shelflens.values.catalogs import Catalog, Image, ImageEmbedding, Product
from shelflens.values.dead_letters import DeadLetter
from shelflens.values.evaluations import (
    Calibration,
    CategoryScore,
    Dataset,
    Estimate,
    Evaluation,
    EvaluationOptions,
    ModelDifference,
    ModelMetrics,
)
from shelflens.values.feedback import Feedback
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
    GateOutcome,
    LinearPart,
    Model,
    ModelMember,
    WeightsProgress,
)
from shelflens.values.operations import Erasure, Operation
from shelflens.values.search import Hit, SearchResponse, SearchResult, Verdict
from shelflens.values.stages import Diversify, Expand, Fold, RankingStages, Rerank

__all__ = [
    "Calibration",
    "Catalog",
    "CategoryScore",
    "Comparison",
    "Dataset",
    "DeadLetter",
    "Deployment",
    "Diversify",
    "Embedder",
    "Erasure",
    "Estimate",
    "Evaluation",
    "EvaluationOptions",
    "Expand",
    "Feedback",
    "FillProgress",
    "Fold",
    "GateOutcome",
    "Hit",
    "Image",
    "ImageEmbedding",
    "ImportCounts",
    "LinearPart",
    "Model",
    "ModelDifference",
    "ModelMember",
    "ModelMetrics",
    "Operation",
    "Product",
    "ProductChange",
    "PruneResult",
    "RankingStages",
    "Rejection",
    "Rerank",
    "SearchResponse",
    "SearchResult",
    "StageTime",
    "Verdict",
    "WeightsProgress",
    "to_json",
]
