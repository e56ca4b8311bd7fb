"""Settings of the evaluation worker."""

from services.core.runtime.service_settings import BrokerSettings, ObjectSettings, WorkerSettings


class EvaluationSettings(WorkerSettings, BrokerSettings, ObjectSettings):
    """Of `python -m services.evaluation`."""
