"""The Embedder over RabbitMQ: photos to the embedding workers, embeddings back."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

from kombu.entity import Queue

from services.core.adapters.celery_queue import task_headers
from services.core.adapters.query_calls import Call, Calls
from services.core.adapters.query_link import QueryLink, broker_unavailable
from services.core.adapters.query_wire import (
    IN_PLACE,
    QUERY_PREFIX,
    read_answer,
    read_pictures,
    write_query,
)
from services.core.domain import names
from services.core.domain.errors import DeadlineExceeded, ShelflensError
from services.core.domain.explaining import check_explained
from services.core.messages import EmbedQuery
from services.core.ports import Embedder, ObjectStore, QueryEmbedding


class QueueEmbedder(Embedder):
    """Embeds through `queue` of the broker at `url`; needs no connection to begin with.

    At most `in_flight` photos wait at a time. Photos over 1 MiB lie in `objects` under `queries/`
    until their call has ended. Loops and threads may share one instance.
    """

    def __init__(
        self,
        url: str,
        queue: Queue,
        objects: ObjectStore,
        *,
        in_flight: int = 256,
        grace: float = 1.0,
        nobody_seconds: float = 1.0,
    ) -> None:
        self._objects = objects
        self._calls = Calls(in_flight)
        self._link = QueryLink(url, queue, self._calls, grace=grace, nobody_seconds=nobody_seconds)
        self._deletions: set[asyncio.Future[None]] = set()

    async def embed(
        self,
        photo: bytes,
        model_digest: str,
        timeout: float,  # noqa: ASYNC109 - what is left of a deadline
    ) -> QueryEmbedding:
        """`timings_ms` has decode and embed as the worker took them, and queue: all the rest.

        Raises what the port names, and Unavailable (BROKER_UNAVAILABLE, NO_QUERY_WORKERS,
        BAD_ANSWER), ResourceExhausted (TOO_MANY_QUERIES).
        """
        started = time.perf_counter()
        answer = read_answer(await self._ask(photo, model_digest, timeout))
        whole = 1e3 * (time.perf_counter() - started)
        timings = _with_queue(answer.timings_ms, whole)
        return QueryEmbedding(answer.embedding, answer.norm, timings)

    async def explain(
        self,
        photo: bytes,
        sha256s: Sequence[str],
        model_digest: str,
        timeout: float,  # noqa: ASYNC109 - what is left of a deadline
    ) -> list[bytes]:
        """Raises what `embed` raises, and InvalidArgument (TOO_MANY_EXPLAINED, INVALID_DIGEST),
        FailedPrecondition (NO_FEATURE_MAP). Workers that cannot explain yet give BAD_ANSWER."""
        check_explained(sha256s)
        if not sha256s:
            return []
        body = await self._ask(photo, model_digest, timeout, tuple(sha256s))
        return read_pictures(body, len(sha256s))

    @property
    def in_flight(self) -> int:
        """Photos that wait for their embedding now."""
        return len(self._calls)

    def close(self) -> None:
        """Fails what is under way with Unavailable and closes the connection."""
        self._link.close()

    async def _ask(
        self,
        photo: bytes,
        model_digest: str,
        timeout: float,  # noqa: ASYNC109
        explain: tuple[str, ...] = (),
    ) -> bytes:
        """The body of the answer."""
        started = time.perf_counter()
        id_ = names.new_id()  # tells the age of an object that is left behind
        stored = QUERY_PREFIX + id_ if len(photo) > IN_PLACE else ""
        try:
            async with asyncio.timeout(timeout):
                if stored:
                    await asyncio.to_thread(self._objects.put, stored, photo)
                left = timeout - (time.perf_counter() - started)
                message = _message(id_, model_digest, left, stored, explain)
                return await self._answer(message, b"" if stored else photo, left)
        except TimeoutError as error:
            if self._link.down:
                raise broker_unavailable() from error
            what = "results were not explained" if explain else "photo was not embedded"
            raise DeadlineExceeded(f"the {what} in {timeout:.3g} s") from error
        finally:
            if stored:
                self._delete(stored)

    async def _answer(self, message: EmbedQuery, photo: bytes, left: float) -> bytes:
        call = Call(
            message.id,
            write_query(message, photo),
            task_headers(message.TASK, message.id),
            time.monotonic() + left,
            asyncio.get_running_loop().create_future(),
        )
        try:
            self._link.send(call)
            answer = await call.future
        finally:
            self._calls.pop(call.id)
        if isinstance(answer, ShelflensError):
            raise answer
        return answer

    def _delete(self, key: str) -> None:
        """Meanwhile: the caller need not wait. The worker leaves the object alone, because the
        message may be delivered again."""
        deletion = asyncio.get_running_loop().run_in_executor(None, self._try_delete, key)
        self._deletions.add(deletion)
        deletion.add_done_callback(self._deletions.discard)

    def _try_delete(self, key: str) -> None:
        with suppress(ShelflensError):  # what stays behind is swept
            self._objects.delete(key)


def _message(
    id_: str, model_digest: str, left: float, stored: str, explain: tuple[str, ...]
) -> EmbedQuery:
    return EmbedQuery(
        id=id_,
        operation="",
        revision=0,
        model_digest=model_digest,
        expires=time.time() + left,
        object=stored,
        explain=explain,
    )


def _with_queue(timings: Mapping[str, float], whole: float) -> dict[str, float]:
    worked = timings.get("decode", 0.0) + timings.get("embed", 0.0)
    return {**timings, "queue": max(0.0, whole - worked)}
