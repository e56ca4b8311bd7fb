"""What the evaluation worker does with its messages."""

import structlog

from services.core.domain.errors import InvalidArgument
from services.core.domain.model import Model
from services.core.messages import FitLinear
from services.core.outcomes import LinearFitted
from services.core.ports import ObjectStore
from services.evaluation.evaluating import Evaluator
from services.evaluation.freezing import Freezer
from services.evaluation.gallery import Gallery
from services.evaluation.report import Reporter
from services.retrieval.composing import join
from services.retrieval.fitting import Fit, check_fit, fit_pca, fit_whitening
from services.retrieval.linear_store import LinearStore
from services.retrieval.moments import Moments

_METHODS = ("whitening", "pca")
_log = structlog.get_logger(__name__)


class EvaluationHandlers:
    """One handler of each kind of message, over one object store."""

    def __init__(self, objects: ObjectStore) -> None:
        self.fitter = Fitter(objects)
        self.freezer = Freezer(objects)
        self.evaluator = Evaluator(objects)
        self.reporter = Reporter(objects)


class Fitter:
    """Fits linear parts to the embeddings of a gallery. Every call may be repeated: the same
    plans give the same bytes, under the same key."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects
        self._linears = LinearStore(objects)

    def fit(self, message: FitLinear) -> LinearFitted:
        """Returns when the linear part is stored.

        What cannot be is refused before any embedding is read. Raises InvalidArgument
        (UNKNOWN_METHOD, MODEL_HAS_LINEAR, NORMS_OF_ENSEMBLE, DIMENSION_TOO_LARGE,
        TOO_MANY_DIMENSIONS, INVALID_SHRINKAGE, and as Gallery), FailedPrecondition
        (TOO_FEW_EMBEDDINGS), NotFound or DataLoss for files that are missing or damaged.
        """
        model = Model.from_json(message.model)
        _check(message, model)
        moments = self._moments(message, model)
        fit = _fit(message, moments)
        fitted = LinearFitted(
            sha256=self._linears.put(fit.linear),
            input_dim=fit.linear.input_dim,
            output_dim=fit.linear.output_dim,
            samples=moments.count,
            explained=fit.explained,
        )
        _log.info("linear.fitted", method=message.method, samples=fitted.samples)
        return fitted

    def _moments(self, message: FitLinear, model: Model) -> Moments:
        moments = Moments(model.concatenated_dim)
        linears = self._linears.of(model)
        for parts in Gallery(self._objects, len(model.members)).parts(message.plans):
            moments.add(join(model, parts, linears, norms=message.norms))
        return moments


def _check(message: FitLinear, model: Model) -> None:
    if message.method not in _METHODS:
        raise InvalidArgument.field(
            "method",
            f"'{message.method}' is none of {', '.join(_METHODS)}",
            reason="UNKNOWN_METHOD",
        )
    if model.linear or (len(model.members) == 1 and model.members[0].linear):
        raise InvalidArgument.field(
            "model",
            "it has a linear part already: fit another to the model without it",
            reason="MODEL_HAS_LINEAR",
        )
    if message.norms and len(model.members) > 1:
        raise InvalidArgument.field(
            "norms",
            "the members of an ensemble are brought to length 1 before they are put together",
            reason="NORMS_OF_ENSEMBLE",
        )
    if message.method == "pca" and message.shrinkage:
        raise InvalidArgument.field(
            "shrinkage", "PCA only turns: use 0, or whitening", reason="INVALID_SHRINKAGE"
        )
    check_fit(model.concatenated_dim, message.dimension, message.shrinkage)


def _fit(message: FitLinear, moments: Moments) -> Fit:
    if message.method == "pca":
        return fit_pca(moments, message.dimension)
    return fit_whitening(moments, message.dimension, message.shrinkage)
