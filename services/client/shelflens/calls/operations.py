"""Long-running operations. Names work with and without `operations/` in front."""

from google.longrunning import operations_pb2

from shelflens import convert, values
from shelflens.calls.call import Call, Pages, nothing
from shelflens.names import operation_name


def get_operation(operation: str) -> Call[values.Operation]:
    """Reads one operation, with its progress."""
    request = operations_pb2.GetOperationRequest(name=operation_name(operation))
    return Call("operations", "GetOperation", request, convert.operation)


def list_operations(*, page_size: int = 0) -> Pages[values.Operation]:
    """All operations that the server remembers."""
    request = operations_pb2.ListOperationsRequest(name="operations", page_size=page_size)
    return Pages("operations", "ListOperations", request, "operations", convert.operation)


def wait_once(operation: str, seconds: float) -> Call[values.Operation]:
    """The operation when it is done, or as it is after `seconds` (the server does the waiting)."""
    request = operations_pb2.WaitOperationRequest(name=operation_name(operation))
    request.timeout.FromMilliseconds(int(seconds * 1000))
    return Call("operations", "WaitOperation", request, convert.operation)


def cancel_operation(operation: str) -> Call[None]:
    """Asks an operation to stop; `wait_operation` tells when it has."""
    request = operations_pb2.CancelOperationRequest(name=operation_name(operation))
    return Call("operations", "CancelOperation", request, nothing)


def delete_operation(operation: str) -> Call[None]:
    """Forgets a finished operation."""
    request = operations_pb2.DeleteOperationRequest(name=operation_name(operation))
    return Call("operations", "DeleteOperation", request, nothing)
