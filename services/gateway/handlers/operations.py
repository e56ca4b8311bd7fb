"""Use cases of long-running operations."""

import asyncio
import logging
from collections.abc import Sequence
from functools import partial

from services.core.domain import keys, names
from services.core.domain.errors import FailedPrecondition, NotFound, ShelflensError
from services.core.domain.operations import VISIBLE_KINDS, Operation, OperationKind
from services.core.ports import ObjectStore
from services.core.record_ports import Records
from services.gateway.handlers.threads import Threads
from services.gateway.handlers.transactions import Change, Transactions

CANCELLABLE = (
    OperationKind.IMPORT,
    OperationKind.CREATE_MODEL,
    OperationKind.DEPLOY,
    OperationKind.CREATE_DATASET,
    OperationKind.EVALUATE,
)
log = logging.getLogger(__name__)


class Operations:
    """Reads, waits for, cancels and deletes operations that users may see."""

    def __init__(
        self,
        transactions: Transactions,
        objects: ObjectStore,
        threads: Threads,
        poll_interval: float,
    ) -> None:
        self._transactions = transactions
        self._objects = objects
        self._threads = threads
        self._watcher = _Watcher(transactions, poll_interval)

    async def get(self, operation: str) -> Operation:
        """Raises NotFound (OPERATION_NOT_FOUND), also for internal ones."""
        return await self._transactions.read(lambda tx: _visible(tx, operation))

    async def page(self, after: str, limit: int, catalog: str) -> list[Operation]:
        """Newest first, those after the id `after`; `catalog` may be empty for all."""
        return await self._transactions.read(lambda tx: tx.operations.page(after, limit, catalog))

    async def wait(self, operation: str, seconds: float) -> Operation:
        """The operation when it is done, or as it is after so many `seconds`."""
        found = await self.get(operation)
        if found.state.done or seconds <= 0:
            return found
        await self._watcher.wait(operation, seconds)
        return await self.get(operation)

    async def cancel(self, operation: str) -> None:
        """Asks for the end of what makes something; done ones stay as they are.

        Raises NotFound; FailedPrecondition (NOT_CANCELLABLE) for a deletion or an erasure.
        """

        def work(change: Change) -> None:
            found = _visible(change.tx, operation)
            if found.kind not in CANCELLABLE and not found.state.done:
                raise FailedPrecondition(
                    f"operations/{operation} removes what nobody sees any more: "
                    "it cannot be cancelled",
                    reason="NOT_CANCELLABLE",
                    metadata={"operation": operation},
                )
            change.operations.append(change.tx.operations.cancel(operation, change.now))

        await self._transactions.write(work)

    def close(self) -> None:
        """Stops looking at operations."""
        self._watcher.close()

    async def delete(self, operation: str) -> None:
        """Forgets a finished operation and its report.

        Raises NotFound, FailedPrecondition (OPERATION_RUNNING).
        """
        # The report first: after a crash in between, a repeat still finds the operation.
        if (await self.get(operation)).state.done:
            await self._threads.call(self._objects.delete, keys.report_key(operation))

        def work(change: Change) -> None:
            _visible(change.tx, operation)
            change.tx.operations.delete(operation)

        await self._transactions.write(work)


class _Watcher:
    """Looks at all operations that somebody waits for at once, at fixed intervals (seconds)."""

    def __init__(self, transactions: Transactions, interval: float) -> None:
        self._transactions = transactions
        self._interval = interval
        self._ended: dict[str, asyncio.Event] = {}
        self._waiting: dict[str, int] = {}
        self._task: asyncio.Task[None] | None = None

    async def wait(self, operation: str, seconds: float) -> None:
        """Returns when the operation is done or gone, or after so many `seconds`."""
        ended = self._ended.setdefault(operation, asyncio.Event())
        self._waiting[operation] = self._waiting.get(operation, 0) + 1
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._watch())
        try:
            async with asyncio.timeout(seconds):
                await ended.wait()
        except TimeoutError:
            pass
        finally:
            self._waiting[operation] -= 1
            if not self._waiting[operation]:
                del self._waiting[operation], self._ended[operation]

    def close(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _watch(self) -> None:
        while self._waiting:
            await asyncio.sleep(self._interval)
            try:
                ended = await self._transactions.read(partial(_ended, tuple(self._waiting)))
            except ShelflensError as error:  # the records may be back at the next look
                log.warning("cannot look at operations: %s", error)
                continue
            for operation in ended:
                if operation in self._ended:
                    self._ended[operation].set()


def _visible(tx: Records, operation: str) -> Operation:
    found = tx.operations.get(operation)
    if found.kind not in VISIBLE_KINDS:
        raise NotFound(
            f"{names.operation_name(operation)} does not exist", reason="OPERATION_NOT_FOUND"
        )
    return found


def _ended(operations: Sequence[str], tx: Records) -> list[str]:
    ended = []
    for each in operations:
        try:
            if tx.operations.get(each).state.done:
                ended.append(each)
        except NotFound:
            ended.append(each)
    return ended
