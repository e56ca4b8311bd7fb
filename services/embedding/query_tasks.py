"""Celery edge of the query photos: a thread a photo, which share forward passes in the gate."""

import secrets
import time
from collections.abc import Callable
from typing import Any

import structlog
from celery.exceptions import Reject
from structlog.contextvars import bound_contextvars

from services.core.adapters.celery_queue import QueueApp, task_headers
from services.core.adapters.query_wire import (
    CONTENT_TYPE,
    IN_PLACE,
    SERIALIZER,
    read_query,
    register_serializer,
    write_answer,
    write_pictures,
)
from services.core.dead_letter_headers import (
    CONTENT_TYPE_REFUSED,
    TOO_LARGE,
    UNDECODABLE,
    UNKNOWN_TASK,
)
from services.core.domain.errors import (
    DeadlineExceeded,
    NotFound,
    ShelflensError,
    Unavailable,
)
from services.core.messages import EmbedQuery
from services.core.ports import ObjectStore
from services.core.runtime.amqp_broker import COMPRESSION
from services.core.runtime.celery_app import make_app
from services.core.runtime.fatal import FatalWorkerError
from services.core.runtime.refusals import Refused
from services.embedding.handlers import QueryEmbedder
from services.embedding.query_replies import Replies

QUERY_QUEUES = (EmbedQuery.QUEUE,)
_MOST_BYTES = IN_PLACE + (1 << 16)  # the JSON before the photo is a few hundred
_LONGEST_ID = 100
_log = structlog.get_logger(__name__)


class QueryAnswers:
    """What the worker answers to the body of a query."""

    def __init__(self, embedder: QueryEmbedder, objects: ObjectStore) -> None:
        self._embedder = embedder
        self._objects = objects

    def answer(self, body: bytes) -> bytes | None:
        """The body of the answer, None where nobody waits for it any more.

        Raises FatalWorkerError alone.
        """
        try:
            message, photo = read_query(body)
            left = message.expires - time.time()
            if left <= 0:
                _log.info("query.expired", id=message.id, late=round(-left, 3))
                return None
            photo, left = self._photo(message, photo, left)
            if message.explain:
                return write_pictures(
                    self._embedder.explain_here(photo, message.explain, message.model_digest, left)
                )
            return write_answer(self._embedder.embed_here(photo, message.model_digest, left))
        except DeadlineExceeded as error:
            _log.info("query.expired", error=error.message)
            return None
        except FatalWorkerError:
            raise
        except ShelflensError as error:
            return write_answer(error)
        except Exception as error:  # whoever waits must hear of it
            id_ = secrets.token_hex(8)
            _log.error("query.failed", error_id=id_, exc_info=error)
            return write_answer(
                Unavailable(
                    "the embedding worker failed at this photo: its log has the reason under "
                    f"{id_}",
                    reason="EMBEDDING_FAILED",
                    metadata={"error_id": id_},
                )
            )

    def _photo(self, message: EmbedQuery, photo: bytes, left: float) -> tuple[bytes, float]:
        """The photo and the seconds that are left for it."""
        if not message.object:
            return photo, left
        try:
            photo = self._objects.get(message.object)
        except NotFound as error:  # its caller has left and taken it away
            raise DeadlineExceeded("the photo is gone") from error
        return photo, message.expires - time.time()


def query_app(
    broker_url: str, answers: QueryAnswers, replies: Replies, prefix: str = ""
) -> QueueApp:
    """The application of a query worker, to be run over QUERY_QUEUES.

    With as many threads as photos may be in hand; as many again wait in the process. How many
    share a forward pass, and how long they wait for others, is the gate's.
    """
    register_serializer()
    app = make_app(broker_url, QUERY_QUEUES, prefix)
    app.conf.update(accept_content=[SERIALIZER], worker_prefetch_multiplier=2)
    app.admit, app.buries = _admit, False  # users' photos are never kept
    app.task(bind=True, name=EmbedQuery.TASK, shared=False)(_function(app, answers, replies))
    return app


def _admit(message: Any) -> dict[str, Any]:
    """The headers to run a message with. Raises Refused."""
    if len(message.body) > _MOST_BYTES:
        raise Refused(TOO_LARGE, f"{len(message.body)} bytes, {_MOST_BYTES} are taken at most")
    headers = getattr(message, "wire_headers", message.headers)
    if message.content_type != CONTENT_TYPE or headers.get(COMPRESSION):
        raise Refused(CONTENT_TYPE_REFUSED, f"{message.content_type!r}; only {CONTENT_TYPE}")
    if headers.get("task") != EmbedQuery.TASK:
        raise Refused(UNKNOWN_TASK, f"its task is not {EmbedQuery.TASK}")
    id_ = headers.get("id")
    if not isinstance(id_, str) or len(id_) > _LONGEST_ID:
        raise Refused(UNDECODABLE, "its headers hold no id")
    return task_headers(EmbedQuery.TASK, id_)


def _function(app: QueueApp, answers: QueryAnswers, replies: Replies) -> Callable[..., None]:
    def run(task: Any, body: bytes) -> None:
        request = task.request
        with bound_contextvars(task=EmbedQuery.TASK, id=request.id):
            try:
                answer = answers.answer(body)
            except FatalWorkerError as error:
                if app.on_fatal is not None:
                    app.on_fatal(error)
                    raise Reject(error.reason, requeue=True) from error  # another worker's
                answer = write_answer(error)
            if answer is not None:
                replies.send(str(request.reply_to), str(request.correlation_id), answer)

    return run
