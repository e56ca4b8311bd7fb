"""How use cases read and write the records: one transaction and one thread hop a call."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar

from services.core.domain.errors import AlreadyExists, ShelflensError
from services.core.domain.operations import Operation, OperationKind
from services.core.messages import OperationAccepted
from services.core.ports import Clock, TaskQueue
from services.core.record_ports import Records, RecordStore
from services.gateway.handlers.threads import Threads

R = TypeVar("R")
A = TypeVar("A")
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Once(Generic[R, A]):
    """A call that a client may repeat under one `request_id` (AIP-155); empty: no repeats.

    `digest` is the SHA-256 of the request without the id. `answer` turns the result of the use
    case into the response, whose bytes every repeat gets.
    """

    rpc: str
    request_id: str
    digest: str
    answer: Callable[[R], A]
    to_bytes: Callable[[A], bytes]
    from_bytes: Callable[[bytes], A]

    def find(self, tx: Records) -> A | None:
        """The answer to the first call. Raises InvalidArgument (REQUEST_ID_REUSED)."""
        if not self.request_id:
            return None
        stored = tx.requests.find(self.rpc, self.request_id, self.digest)
        return None if stored is None else self.from_bytes(stored)

    def remember(self, tx: Records, answer: A, now: datetime) -> None:
        """Keeps the answer for repeats."""
        if self.request_id:
            stored = self.to_bytes(answer)
            tx.requests.remember(self.rpc, self.request_id, self.digest, stored, now)


@dataclass(slots=True)
class Change:
    """One write transaction. Operations made through it are announced after the commit."""

    tx: Records
    now: datetime
    operations: list[Operation] = field(default_factory=list)

    def operation(
        self, kind: OperationKind, catalog: str, revision: int, request: Mapping[str, Any]
    ) -> Operation:
        """A new operation, committed with the change that needs it."""
        operation = self.tx.operations.create(kind, catalog, revision, request, self.now)
        self.operations.append(operation)
        return operation

    def follow(self, catalog: str, revision: int, product: str, embed: Sequence[str] = ()) -> None:
        """Makes the collection follow what changed in a product; `embed`: hashes new to it."""
        request = {"products": [product], "embed": list(embed)}
        self.operation(OperationKind.CHANGE, catalog, revision, request)


class Transactions:
    """Runs use cases on the records in bounded threads."""

    def __init__(
        self, records: RecordStore, queue: TaskQueue, clock: Clock, threads: Threads
    ) -> None:
        self._records = records
        self._queue = queue
        self._clock = clock
        self._threads = threads

    async def read(self, work: Callable[[Records], R]) -> R:
        """Runs `work` in a transaction that only reads."""
        return await self._threads.call(self._read, work)

    async def read_in(self, catalog: str, work: Callable[[Records], R]) -> R:
        """As `read`, of a catalogue. Raises NotFound (CATALOG_NOT_FOUND), also while it goes."""

        def checked(tx: Records) -> R:
            tx.catalogs.deployment(catalog)
            return work(tx)

        return await self.read(checked)

    async def check(self, catalog: str) -> None:
        """Raises NotFound (CATALOG_NOT_FOUND)."""
        await self.read_in(catalog, lambda tx: None)

    async def write(self, work: Callable[[Change], R]) -> R:
        """Runs `work` in a transaction, commits, then announces its operations."""
        return await self._threads.call(self._write, work)

    async def write_once(self, work: Callable[[Change], R], once: Once[R, A]) -> A:
        """As `write`, but repeats of a request get the first answer and change nothing.

        Raises InvalidArgument (REQUEST_ID_REUSED) when the id came with another request.
        """
        return await self._threads.call(self._write_once, work, once)

    def _read(self, work: Callable[[Records], R]) -> R:
        with self._records.begin() as tx:
            return work(tx)

    def _write(self, work: Callable[[Change], R]) -> R:
        with self._records.begin(write=True) as tx:
            change = Change(tx, self._clock.now())
            result = work(change)
        for operation in change.operations:
            self.announce(operation)
        return result

    def _write_once(self, work: Callable[[Change], R], once: Once[R, A]) -> A:
        def first(change: Change) -> A:
            if (stored := once.find(change.tx)) is not None:
                return stored
            answer = once.answer(work(change))
            once.remember(change.tx, answer, change.now)
            return answer

        try:
            return self._write(first)
        except AlreadyExists:
            # A repeat that ran beside us may have won: then its answer is ours.
            if (stored := self._read(once.find)) is None:
                raise
            return stored

    def announce(self, operation: Operation) -> None:
        """Tells the coordinator; a lost message only costs the time until its next look."""
        message = OperationAccepted(
            id=operation.id, operation=operation.id, revision=operation.revision
        )
        try:
            self._queue.publish(message)
        except ShelflensError as error:
            log.warning("operation %s not announced: %s", operation.id, error)
