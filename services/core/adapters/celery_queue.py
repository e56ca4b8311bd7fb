"""The TaskQueue over Celery, for memory:// and RabbitMQ alike."""

from celery import Celery
from celery.exceptions import CeleryError
from kombu.exceptions import KombuError

from services.core.domain.errors import InvalidArgument, Unavailable
from services.core.messages import Message
from services.core.ports import TaskQueue


class CeleryQueue(TaskQueue):
    """Publishes a message as task `TASK` with argument `message` to queue `QUEUE`.

    Threads share one instance; Celery's pool gives each a connection.
    """

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._queues = frozenset(queue.name for queue in app.conf.task_queues)

    def publish(self, message: Message) -> None:
        if message.QUEUE not in self._queues:
            raise InvalidArgument(
                f"this process does not know the queue {message.QUEUE}: it knows "
                f"{', '.join(sorted(self._queues))}",
                reason="UNKNOWN_QUEUE",
            )
        try:
            self._app.send_task(
                message.TASK,
                kwargs={"message": message.to_json()},
                queue=message.QUEUE,
                ignore_result=True,
                add_to_parent=False,
            )
        except (KombuError, CeleryError, OSError) as error:
            raise Unavailable(
                f"the message broker does not take {message.TASK}: {error}",
                reason="BROKER_UNAVAILABLE",
            ) from error
