"""Dead messages become records for people, and the shards that they belong to get their end.

A shard whose message died would otherwise be published again after every lease, for ever. What
happens depends on the reason, and on how many letters the same message has become (PATIENCE):

| reason | letters | then |
|---|---|---|
| DELIVERY_LIMIT: workers died of it, again and again | 1 | the shard fails with the reason |
| TOO_LARGE | 1 | the same: it will not get smaller |
| BAD_MESSAGE, REJECTED, and reasons unknown here | 3 | the same |
| UNKNOWN_SCHEMA, UNKNOWN_TASK: an upgrade may be under way | 20 | the same |
| EXPIRED, QUEUE_FULL, UNROUTABLE: no worker has seen it | any | nothing |
| UNDECODABLE, CONTENT_TYPE_REFUSED: whose it was cannot be told | any | nothing |

Until then, and where nothing happens, the shard waits for the end of its lease and is published
again. A shard that fails has its rows rejected with the reason; a manifest or a plan that fails
ends its operation with it. Reports that died count as deaths of the shard that they are about.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import structlog

from services.core import dead_letter_headers as headers
from services.core.dead_letter_ports import PART_BYTES, WHOLE_BODY_BYTES, DeadLetter
from services.core.dead_letter_reading import (
    DeadMessage,
    Death,
    death_of,
    digest_of,
    plain_text,
    read_message,
    shard_of,
)
from services.core.domain import keys, names
from services.core.domain.errors import InvalidArgument, ShelflensError
from services.core.messages import Message, Report
from services.core.ports import Clock, ObjectStore
from services.core.record_ports import RecordStore

# Reason -> how many letters of one message fail its shard; None: it never does.
PATIENCE: Mapping[str, int | None] = {
    headers.DELIVERY_LIMIT: 1,
    headers.TOO_LARGE: 1,
    headers.UNKNOWN_SCHEMA: 20,
    headers.UNKNOWN_TASK: 20,
    headers.EXPIRED: None,
    headers.QUEUE_FULL: None,
    headers.UNROUTABLE: None,
}
_OTHERS = 3
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class DeadLetterLimits:
    """At most `kept` letters; the oldest make room. Bodies beyond `body_bytes` are cut there."""

    kept: int = 2_000
    body_bytes: int = 16 << 20


class DeadLetters:
    """Records dead messages, each once, and reports the failure of shards by `publish`.

    `prefix` is that of the installation's queues.
    """

    def __init__(
        self,
        records: RecordStore,
        objects: ObjectStore,
        clock: Clock,
        publish: Callable[[Report], None],
        limits: DeadLetterLimits | None = None,
        prefix: str = "",
    ) -> None:
        self._records = records
        self._objects = objects
        self._clock = clock
        self._publish = publish
        self._limits = limits or DeadLetterLimits()
        self._prefix = prefix

    def record(self, message: DeadMessage) -> None:
        """Returns when the message may be acknowledged. Repeats change nothing.

        Raises Unavailable and ResourceExhausted: then the message must be delivered again.
        """
        death, ours = death_of(message, self._prefix), _ours(message)
        letter = self._letter(message, death, ours)
        try:
            deaths = self._keep(letter, message.body)
        except ShelflensError:
            raise
        except Exception as error:
            # One message must not stand in the way of all others for ever.
            _log.exception("dead_letter.not_kept_whole", digest=letter.message_digest)
            bare = replace(letter, headers={}, properties={}, detail=type(error).__name__)
            deaths = self._keep(bare, message.body)
        if ours is not None:
            self._fail_shard(ours, letter, deaths)

    def _letter(self, message: DeadMessage, death: Death, ours: Message | None) -> DeadLetter:
        size = len(message.body)
        return DeadLetter(
            id=names.new_id(),
            message_digest=digest_of(message),
            queue=death.queue,
            routing_key=death.routing_key,
            task=plain_text(message.headers.get("task"), 255),
            operation=plain_text(ours.operation, 63) if ours else "",
            message=plain_text(ours.id, 255) if ours else "",
            reason=death.reason,
            detail=death.detail,
            content_type=plain_text(message.content_type, 255),
            content_encoding=plain_text(message.content_encoding, 255),
            headers=dict(message.headers),
            properties=dict(message.properties),
            body=message.body if size <= WHOLE_BODY_BYTES else message.body[:PART_BYTES],
            size=size,
            deaths=death.count,
            create_time=self._clock.now(),
        )

    def _keep(self, letter: DeadLetter, body: bytes) -> int:
        """Writes the letter unless it is there; returns how many its message has become."""
        if not letter.whole:
            # Before the record, under a key that a repeat overwrites: no crash leaves a record
            # without its body, or a body without its record.
            key = keys.dead_letter_key(letter.message_digest)
            self._objects.put(key, body[: self._limits.body_bytes])
        with self._records.begin(write=True) as tx:
            added = tx.dead_letters.add(letter)
            dropped = tx.dead_letters.trim(self._limits.kept)
            deaths = tx.dead_letters.count_of(letter.message) if letter.message else 0
        told = {"queue": letter.queue, "task": letter.task, "operation": letter.operation}
        event = "dead_letter.recorded" if added else "dead_letter.repeated"
        _log.warning(event, id=letter.id, reason=letter.reason, size=letter.size, **told)
        self._forget(dropped)
        return deaths

    def _forget(self, dropped: list[DeadLetter]) -> None:
        for each in dropped:
            _log.warning("dead_letter.dropped", id=each.id, reason=each.reason, queue=each.queue)
            if each.size > WHOLE_BODY_BYTES:
                self._objects.delete(keys.dead_letter_key(each.message_digest))

    def _fail_shard(self, message: Message, letter: DeadLetter, deaths: int) -> None:
        most = PATIENCE.get(letter.reason, _OTHERS)
        if most is None or deaths < most or shard_of(message) is None:
            return
        if isinstance(message, Report) and message.started:
            return  # its shard is on its way
        task = message.task if isinstance(message, Report) else message.TASK
        times = "once" if deaths == 1 else f"{deaths} times"
        self._publish(
            Report(
                id=message.id,
                operation=message.operation,
                revision=message.revision,
                traceparent=message.traceparent,
                attempt=message.attempt,
                task=task,
                failure=letter.reason,
                failure_message=f"the message {message.id} of queue {letter.queue} died {times}: "
                "see `shelflens deadletters list`",
            )
        )
        _log.warning("dead_letter.failed_shard", id=message.id, task=task, reason=letter.reason)


def _ours(message: DeadMessage) -> Message | None:
    try:
        return read_message(message.headers.get("task"), message.content_type, message.body)
    except InvalidArgument as error:
        _log.info("dead_letter.not_ours", reason=error.reason, error=error.message)
        return None
