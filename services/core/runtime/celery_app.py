"""Celery applications, all with the same settings."""

# mypy: disable-error-code="no-untyped-call"

from collections.abc import Sequence
from typing import Any

from kombu.connection import Connection

from services.core.adapters.celery_queue import QueueApp
from services.core.messages import QUEUES
from services.core.runtime.declaring import declare, kombu_queue
from services.core.runtime.topology import topology

_MEMORY_TRANSPORT = "services.core.runtime.memory_broker:Transport"
_AMQP_TRANSPORTS = {
    "amqp": "services.core.runtime.amqp_broker:Transport",
    "amqps": "services.core.runtime.amqp_broker:SecureTransport",
}
_HEARTBEAT = 10  # seconds; a broker, or a worker, that is silent for twice as long is gone
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


def make_app(broker_url: str, queues: Sequence[str] = QUEUES, prefix: str = "") -> QueueApp:
    """An application that knows `queues`, those it publishes to included. Connects to nothing.

    `memory://NAME/` is a broker in this process. Workers need one application each (see
    runtime.worker); publishers may share any. `prefix` goes before the names of all queues and
    exchanges, so that installations can share a broker.
    """
    app = QueueApp("shelflens", broker=broker_url, set_as_current=False)
    table = topology(prefix, queues)
    declared = [kombu_queue(route, table) for route in table.routes.values()]
    app.conf.update(_SETTINGS)
    app.conf.update(task_queues=declared, task_default_queue=declared[0].name)
    app.prefix = prefix
    if broker_url.startswith("memory:"):
        app.conf.broker_transport = _MEMORY_TRANSPORT
        app.declare = lambda connection: _declare_in_memory(app, connection)
    else:
        app.conf.broker_transport = _AMQP_TRANSPORTS[broker_url.split(":")[0]]
        app.conf.broker_transport_options = {"confirm_publish": True}
        # Threads cannot be cancelled: a task goes on, and its message is delivered again.
        app.conf.worker_cancel_long_running_tasks_on_connection_loss = False
        app.conf.broker_heartbeat = _HEARTBEAT
        app.declare = lambda connection: declare(connection, topology(prefix))
        app.delay_exchange = lambda seconds: table.delay(seconds).exchange
    return app


def _declare_in_memory(app: QueueApp, connection: Connection) -> None:
    """Only what messages are taken from: dead ones would pile up, and records know what is left."""
    with connection.channel() as channel:
        for queue in app.queues.values():
            queue(channel).declare()
