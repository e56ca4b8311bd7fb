"""Celery edge of the evaluation worker."""

from services.core.messages import FitLinear
from services.core.runtime.worker import Handlers
from services.evaluation.handlers import Fitter

QUEUES = (FitLinear.QUEUE,)


def handlers(fitter: Fitter) -> Handlers:
    """Message type -> handler."""
    return {FitLinear: fitter.fit}
