"""The use case of reading the error report of an import."""

from collections.abc import AsyncIterator

from services.core import error_report
from services.core.domain import names
from services.core.domain.errors import FailedPrecondition, InvalidArgument, NotFound
from services.core.domain.operations import Operation, OperationKind
from services.core.ports import ObjectStore
from services.gateway.handlers.operations import Operations
from services.gateway.handlers.threads import Threads


class Reports:
    """Reads what an import rejected."""

    def __init__(self, operations: Operations, objects: ObjectStore, threads: Threads) -> None:
        self._operations = operations
        self._objects = objects
        self._threads = threads

    async def download(self, operation: str) -> AsyncIterator[bytes]:
        """The CSV in pieces of at most 1 MiB; the header alone where nothing was rejected.

        Raises NotFound (OPERATION_NOT_FOUND, REPORT_NOT_FOUND), InvalidArgument (NOT_AN_IMPORT),
        FailedPrecondition (OPERATION_RUNNING).
        """
        found = await self._operations.get(operation)
        _check(found)
        key = found.result.get("errors_uri")
        if not key:
            yield error_report.HEADER
            return
        try:
            pieces = await self._threads.call(self._objects.stream, key)
        except NotFound:
            raise NotFound(
                f"the report of {names.operation_name(operation)} is no longer stored: "
                "import again for a new one",
                reason="REPORT_NOT_FOUND",
                metadata={"operation": operation},
            ) from None
        while (piece := await self._threads.call(next, pieces, None)) is not None:
            yield piece


def _check(operation: Operation) -> None:
    name, metadata = names.operation_name(operation.id), {"operation": operation.id}
    if operation.kind is not OperationKind.IMPORT:
        raise InvalidArgument(
            f"{name} is no import: only imports have rejected rows",
            reason="NOT_AN_IMPORT",
            metadata=metadata | {"field": "name"},
        )
    if not operation.state.done:
        raise FailedPrecondition(
            f"{name} is not done: its report is written at the end; wait with "
            f"`shelflens operations wait {name}`",
            reason="OPERATION_RUNNING",
            metadata=metadata,
        )
