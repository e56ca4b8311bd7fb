"""Celery edge of the coordinator."""

from services.coordinator.handlers import Coordinator
from services.coordinator.models import OfferedModels
from services.core.messages import ModelOffered, ModelsLoaded, OperationAccepted, Report
from services.core.runtime.worker import Handlers

QUEUES = (Report.QUEUE,)


def handlers(coordinator: Coordinator, models: OfferedModels | None = None) -> Handlers:
    """Message type -> handler. Without `models`, the process registers its own at its start."""
    table: Handlers = {
        Report: coordinator.report,
        OperationAccepted: coordinator.accepted,
        ModelsLoaded: coordinator.serving.loaded,
    }
    return table if models is None else {**table, ModelOffered: models.offered}
