"""Celery edge of the evaluation worker."""

from services.core.evaluation_messages import EvaluateModel, FreezeDataset, ReportEvaluation
from services.core.messages import FitLinear
from services.core.runtime.worker import Handlers
from services.evaluation.handlers import EvaluationHandlers

QUEUES = (FitLinear.QUEUE,)


def handlers(worker: EvaluationHandlers) -> Handlers:
    """Message type -> handler."""
    return {
        FitLinear: worker.fitter.fit,
        FreezeDataset: worker.freezer.freeze,
        EvaluateModel: worker.evaluator.evaluate,
        ReportEvaluation: worker.reporter.report,
    }
