"""Use cases of dead letters: list, read, retry, drop."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from services.core.dead_letter_headers import DEATH_HEADERS, RETRY_OF
from services.core.dead_letter_ports import DeadLetter
from services.core.dead_letter_reading import read_message, shard_of
from services.core.domain import keys
from services.core.domain.errors import FailedPrecondition, InvalidArgument, NotFound
from services.core.messages import QUEUES, EmbedQuery, Message
from services.core.ports import ObjectStore, RawMessage, TaskQueue
from services.core.record_ports import Records
from services.core.runtime.refusals import MOST_BYTES
from services.core.work_ports import ShardState, Stage
from services.gateway.handlers.threads import Threads
from services.gateway.handlers.transactions import Change, Transactions


class DeadLetters:
    """What an operator does with messages that no worker took."""

    def __init__(
        self, transactions: Transactions, objects: ObjectStore, queue: TaskQueue, threads: Threads
    ) -> None:
        self._transactions = transactions
        self._objects = objects
        self._queue = queue
        self._threads = threads

    async def get(self, letter: str) -> DeadLetter:
        """Raises NotFound (DEAD_LETTER_NOT_FOUND)."""
        return await self._transactions.read(lambda tx: tx.dead_letters.get(letter))

    async def page(self, after: str, limit: int, reason: str, queue: str) -> list[DeadLetter]:
        """Newest first, those after the id `after`; empty filters match all."""
        return await self._transactions.read(
            lambda tx: tx.dead_letters.page(after, limit, reason, queue)
        )

    async def retry(self, letter: str, force: bool) -> str:
        """Publishes the message again, then forgets the letter; returns the queue.

        Raises NotFound; FailedPrecondition (OPERATION_DONE and SHARD_DONE where nobody waits for
        it, QUEUE_UNKNOWN, BODY_NOT_KEPT, and unless `force`, RETRY_POINTLESS for what would only
        die again); Unavailable.
        """
        found = await self.get(letter)
        queue = _queue(found)
        body = await self._threads.call(self._body, found)
        message = _readable(found, body, force)
        if message is not None:
            await self._transactions.read(partial(_check_waited_for, message, found))
        raw = RawMessage(
            queue=queue,
            body=body,
            content_type=found.content_type,
            content_encoding=found.content_encoding,
            headers=_headers(found),
            properties=found.properties,
        )
        await self._threads.call(self._queue.republish, raw)
        await self._forget(found)
        return queue

    async def delete(self, letter: str) -> None:
        """Forgets a letter. Raises NotFound."""
        await self._forget(await self.get(letter))

    async def _forget(self, letter: DeadLetter) -> None:
        def work(change: Change) -> None:
            change.tx.dead_letters.remove([letter.id])

        await self._transactions.write(work)
        if not letter.whole:
            await self._threads.call(self._objects.delete, _key(letter))

    def _body(self, letter: DeadLetter) -> bytes:
        if letter.whole:
            return letter.body
        try:
            body = self._objects.get(_key(letter))
        except NotFound:
            body = b""
        if len(body) != letter.size:
            raise FailedPrecondition(
                f"{_name(letter)}: {len(body)} of its {letter.size} bytes were kept: drop it",
                reason="BODY_NOT_KEPT",
            )
        return body


def _readable(letter: DeadLetter, body: bytes, force: bool) -> Message | None:
    """The message that the letter holds; None when `force` asks to send what nobody can read."""
    try:
        message = read_message(letter.headers.get("task"), letter.content_type, body, MOST_BYTES)
    except InvalidArgument as error:
        if force:
            return None
        raise FailedPrecondition(
            f"{_name(letter)} would die again ({error.reason}): {error.message}; drop it, or "
            "retry it with force if workers of another version read it",
            reason="RETRY_POINTLESS",
            metadata={"refusal": error.reason},
        ) from error
    if isinstance(message, EmbedQuery) and not force:
        raise FailedPrecondition(
            f"{_name(letter)} is the photo of a search that nobody waits for any more: drop it",
            reason="RETRY_POINTLESS",
            metadata={"refusal": "NOBODY_WAITS"},
        )
    return message


def _queue(letter: DeadLetter) -> str:
    """Where it goes: a letter that no queue took goes by its key, which our queues are named by.

    Anybody may have published it, but it leads to our own queues alone.
    """
    queue = letter.queue or letter.routing_key
    if queue not in QUEUES:
        raise FailedPrecondition(
            f"{_name(letter)} names the queue {queue!r}, which is none of ours: drop it",
            reason="QUEUE_UNKNOWN",
            metadata={"queue": queue},
        )
    return queue


def _check_waited_for(message: Message, letter: DeadLetter, tx: Records) -> None:
    sequence = shard_of(message)
    if sequence is None:
        return
    operation = message.operation
    try:
        done = tx.operations.get(operation).state.done
    except NotFound:
        done = True
    if done:
        raise FailedPrecondition(
            f"{_name(letter)} belongs to operations/{operation}, which is done: nobody waits for "
            "it; import what was rejected again, and drop the letter",
            reason="OPERATION_DONE",
            metadata={"operation": operation},
        )
    shard = tx.shards.get(operation, sequence)
    waits = shard is not None and shard.message["id"] == message.id
    if (
        shard is None
        or not waits
        or shard.state is ShardState.REPORTED
        or shard.stage is Stage.DONE
    ):
        raise FailedPrecondition(
            f"{_name(letter)} belongs to a shard of operations/{operation} that has its outcome "
            "already: drop the letter",
            reason="SHARD_DONE",
            metadata={"operation": operation},
        )


def _headers(letter: DeadLetter) -> Mapping[str, Any]:
    """As they were before it died, and which letter it was: if it dies again, that is another."""
    kept = {key: each for key, each in letter.headers.items() if key not in DEATH_HEADERS}
    return kept | {RETRY_OF: letter.id}


def _key(letter: DeadLetter) -> str:
    return keys.dead_letter_key(letter.message_digest)


def _name(letter: DeadLetter) -> str:
    return f"deadLetters/{letter.id}"
