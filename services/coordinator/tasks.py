"""Celery edge of the coordinator."""

from services.coordinator.handlers import Coordinator
from services.core.messages import OperationAccepted, Report
from services.core.runtime.worker import Handlers

QUEUES = (Report.QUEUE,)


def handlers(coordinator: Coordinator) -> Handlers:
    """Message type -> handler."""
    return {Report: coordinator.report, OperationAccepted: coordinator.accepted}
