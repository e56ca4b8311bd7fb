"""Celery applications, all with the same settings."""

from collections.abc import Sequence
from typing import Any

from celery import Celery

from services.core.messages import QUEUES
from services.core.runtime.topology import declarations

_MEMORY_TRANSPORT = "services.core.runtime.memory_broker:Transport"
_SETTINGS: dict[str, Any] = {
    # A message stays with the broker until its task ends; an exception dead-letters it.
    "task_acks_late": True,
    "task_reject_on_worker_lost": True,
    "task_acks_on_failure": False,
    "task_acks_on_timeout": False,
    "worker_prefetch_multiplier": 1,
    "worker_cancel_long_running_tasks_on_connection_loss": True,
    "broker_connection_retry_on_startup": True,
    "broker_connection_max_retries": None,
    "task_publish_retry_policy": {
        "max_retries": 60,
        "interval_start": 0.2,
        "interval_step": 0.2,
        "interval_max": 1,
    },
    # Nothing that arrives is unpickled, and no queue appears because of a typing error.
    "task_serializer": "json",
    "result_serializer": "json",
    "accept_content": ["json"],
    "task_create_missing_queues": False,
    "task_ignore_result": True,
    # Logging belongs to runtime.logs; probes look at a heartbeat file, not at remote control.
    "worker_hijack_root_logger": False,
    "worker_enable_remote_control": False,
    "worker_send_task_events": False,
    "enable_utc": True,
}


def make_app(broker_url: str, queues: Sequence[str] = QUEUES) -> Celery:
    """An application that knows `queues`, those it publishes to included. Connects to nothing.

    `memory://NAME/` is a broker in this process. Workers need one application each (see
    runtime.worker); publishers may share any.
    """
    app = Celery("shelflens", broker=broker_url, set_as_current=False)
    app.conf.update(_SETTINGS)
    app.conf.update(task_queues=declarations(queues), task_default_queue=queues[0])
    if broker_url.startswith("memory:"):
        app.conf.broker_transport = _MEMORY_TRANSPORT
    else:
        app.conf.broker_transport_options = {"confirm_publish": True}
    return app
