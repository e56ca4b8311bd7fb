"""The TaskQueue over Celery, for memory:// and RabbitMQ alike."""

import json
import threading
import uuid
from collections.abc import Callable, Iterable
from typing import Any

from celery import Celery
from kombu.connection import Connection
from kombu.entity import Queue

from services.core.adapters.confirmed_publisher import ConfirmedPublisher, Outgoing
from services.core.domain.errors import InvalidArgument
from services.core.messages import Message
from services.core.ports import RawMessage, TaskQueue

PUBLISH_SECONDS = 10.0
# What a raw message keeps; the broker checks or changes the others.
LASTING = ("correlation_id", "reply_to", "message_id", "type", "app_id")
EMBED = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}


class QueueApp(Celery):  # type: ignore[misc]
    """A Celery application whose queues have aliases: their names without the prefix.

    Made by runtime.celery_app.make_app.
    """

    prefix: str = ""
    declare: Callable[[Connection], None]
    # Seconds -> the exchange by which a message comes back after about so long. None: the worker
    # itself holds it so long.
    delay_exchange: Callable[[float], str] | None = None
    # Called with an error after which this process can do no more work. None: nobody would start
    # another one, and the error is as any other.
    on_fatal: Callable[[Exception], None] | None = None
    # Looks at a message before Celery does and returns its headers, or raises refusals.Refused.
    # None: refusals.admitted, for messages in JSON.
    admit: Callable[[Any], dict[str, Any]] | None = None
    # False: a refused message is dropped, because nothing of it may be kept.
    buries: bool = True

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.kinds: dict[str, type[Message]] = {}  # messages that its tasks take, by task
        self.draining = threading.Event()  # its worker begins no more tasks

    @property
    def queues(self) -> dict[str, Queue]:
        """The queues that it knows, by alias."""
        return {queue.alias or queue.name: queue for queue in self.conf.task_queues}


def task_headers(task: str, id_: str, retries: int = 0) -> dict[str, Any]:
    """The headers of Celery's message protocol 2 that a worker needs, and no others."""
    return {
        "lang": "py",
        "task": task,
        "id": id_,
        "root_id": id_,
        "parent_id": None,
        "group": None,
        "retries": retries,
        "timelimit": [None, None],
        "eta": None,
        "expires": None,
        "argsrepr": "()",
        "kwargsrepr": "{}",
        "ignore_result": True,
    }


class CeleryQueue(TaskQueue):
    """Publishes a message as task `TASK` with argument `message` to queue `QUEUE`.

    Written as Celery's workers read it, but sent without Celery, which confirms more slowly and
    does not say when no queue takes a message. Threads share one instance.
    """

    def __init__(self, app: QueueApp, publish_timeout: float = PUBLISH_SECONDS) -> None:
        self._queues = app.queues
        self._publisher = ConfirmedPublisher(app.connection_for_write, app.declare, publish_timeout)

    def publish(self, message: Message) -> None:
        """Returns when the broker has stored the message.

        Raises InvalidArgument (UNKNOWN_QUEUE), FailedPrecondition (QUEUE_MISMATCH) and Unavailable:
        QUEUE_FULL at once, BROKER_UNAVAILABLE after `publish_timeout` seconds of trying, UNROUTABLE
        for a queue that was deleted.
        """
        queue = self._queue(message)
        self._send(message, queue.exchange.name, queue.routing_key, retries=0)

    def publish_later(self, message: Message, retries: int, exchange: str) -> None:
        """The same by way of `exchange`, whose queue keeps it for a while (topology.delays)."""
        self._send(message, exchange, self._queue(message).routing_key, retries)

    def republish(self, message: RawMessage) -> None:
        """Straight to the queue, by the default exchange: UNROUTABLE when there is none."""
        if (queue := self._queues.get(message.queue)) is None:
            raise _unknown(message.queue, self._queues)
        kept = {name: message.properties.get(name) for name in LASTING}
        self._publisher.publish(
            Outgoing(
                exchange="",
                routing_key=queue.name,
                body=message.body,
                headers=message.headers,
                content_type=message.content_type,
                content_encoding=message.content_encoding,
                properties={name: each for name, each in kept.items() if isinstance(each, str)},
            )
        )

    def close(self) -> None:
        """Closes the connections."""
        self._publisher.close()

    def _queue(self, message: Message) -> Queue:
        if (queue := self._queues.get(message.QUEUE)) is None:
            raise _unknown(message.QUEUE, self._queues)
        return queue

    def _send(self, message: Message, exchange: str, routing_key: str, retries: int) -> None:
        id_ = str(uuid.uuid4())
        body = json.dumps([[], {"message": message.to_json()}, EMBED]).encode()
        self._publisher.publish(
            Outgoing(
                exchange=exchange,
                routing_key=routing_key,
                body=body,
                headers=task_headers(message.TASK, id_, retries),
                properties={"correlation_id": id_},
            )
        )


def _unknown(queue: str, known: Iterable[str]) -> InvalidArgument:
    return InvalidArgument(
        f"this process does not know the queue {queue}: it knows {', '.join(sorted(known))}",
        reason="UNKNOWN_QUEUE",
    )
