"""google.longrunning.Operations."""

# ruff: noqa: N802 - the methods are named in the proto.

from google.longrunning import operations_pb2, operations_pb2_grpc
from google.protobuf.empty_pb2 import Empty

from services.core.domain import names
from services.core.domain.errors import InvalidArgument
from services.gateway.handlers.operations import Operations
from services.gateway.servicers.deadlines import Context, budget
from services.gateway.servicers.operation_conversions import operation_message
from services.gateway.servicers.pagination import read_page
from services.gateway.settings import GatewayLimits


class OperationsServicer(operations_pb2_grpc.OperationsServicer):  # type: ignore[misc]  # untyped
    """The state of imports, deletions, and of models that are made or deployed."""

    def __init__(self, operations: Operations, limits: GatewayLimits) -> None:
        self._operations = operations
        self._limits = limits

    async def GetOperation(
        self, request: operations_pb2.GetOperationRequest, context: Context
    ) -> operations_pb2.Operation:
        return operation_message(await self._operations.get(_id(request.name)))

    async def ListOperations(
        self, request: operations_pb2.ListOperationsRequest, context: Context
    ) -> operations_pb2.ListOperationsResponse:
        """`name`: empty or `operations` for all, `catalogs/{catalog}` for those of one."""
        if request.filter:
            raise InvalidArgument.field("filter", "is not supported", reason="FILTER_UNSUPPORTED")
        catalog = ""
        if request.name not in ("", "operations"):
            (catalog,) = names.parse(request.name, "catalogs/*")
        page = read_page(
            request,
            request.page_size,
            request.page_token,
            self._limits.page_size,
            self._limits.max_page_size,
        )
        found = await self._operations.page(page.after, page.size + 1, catalog)
        shown, token = page.split(found, lambda each: each.id)
        return operations_pb2.ListOperationsResponse(
            operations=map(operation_message, shown), next_page_token=token
        )

    async def WaitOperation(
        self, request: operations_pb2.WaitOperationRequest, context: Context
    ) -> operations_pb2.Operation:
        timeout = budget(context, self._limits)
        if request.HasField("timeout"):
            timeout = min(timeout, request.timeout.ToMilliseconds() / 1e3)
        return operation_message(await self._operations.wait(_id(request.name), timeout))

    async def CancelOperation(
        self, request: operations_pb2.CancelOperationRequest, context: Context
    ) -> Empty:
        await self._operations.cancel(_id(request.name))
        return Empty()

    async def DeleteOperation(
        self, request: operations_pb2.DeleteOperationRequest, context: Context
    ) -> Empty:
        await self._operations.delete(_id(request.name))
        return Empty()


def _id(name: str) -> str:
    return names.parse(name, "operations/*")[0]
