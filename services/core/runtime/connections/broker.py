"""RabbitMQ."""

from collections.abc import Callable, Sequence

from kombu.entity import Queue

from services.core.adapters.celery_queue import CeleryQueue, QueueApp
from services.core.adapters.dead_letter_queue import DeadLetterQueue
from services.core.dead_letter_headers import DEAD_QUEUE
from services.core.dead_letter_reading import DeadMessage
from services.core.messages import EmbedQuery
from services.core.runtime.celery_app import make_app
from services.core.runtime.declaring import declare_all, kombu_queue
from services.core.runtime.service_settings import BrokerSettings
from services.core.runtime.startup import wait_for
from services.core.runtime.topology import topology
from services.core.runtime.worker import Handlers, register


def open_queue(settings: BrokerSettings) -> CeleryQueue:
    """Returns when the broker answers and has every queue.

    Raises FailedPrecondition (QUEUE_MISMATCH).
    """
    url, prefix = settings.broker_url.get_secret_value(), settings.broker_prefix
    wait_for("broker", lambda: declare_all(url, prefix))
    return CeleryQueue(make_app(url, prefix=prefix))


def worker_app(
    settings: BrokerSettings, queues: Sequence[str], handlers: Handlers, queue: CeleryQueue
) -> QueueApp:
    """An application for one worker over `queues`, which reports through `queue`."""
    url = settings.broker_url.get_secret_value()
    app = make_app(url, queues, settings.broker_prefix)
    register(app, handlers, queue.publish)
    return app


def dead_letters(
    settings: BrokerSettings, handle: Callable[[DeadMessage], None]
) -> DeadLetterQueue:
    """What reads the dead queue, not started yet."""
    url, prefix = settings.broker_url.get_secret_value(), settings.broker_prefix
    app = make_app(url, prefix=prefix)
    return DeadLetterQueue(app.connection_for_read, handle, prefix + DEAD_QUEUE)


def query_queue(settings: BrokerSettings) -> Queue:
    """Where query photos go."""
    table = topology(settings.broker_prefix)
    return kombu_queue(table.routes[EmbedQuery.QUEUE], table)
