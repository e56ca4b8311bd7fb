"""gRPC statuses of a Qdrant server as domain errors."""

from collections.abc import Iterator
from contextlib import contextmanager

import grpc

from services.core.domain.errors import (
    Aborted,
    AlreadyExists,
    Cancelled,
    DataLoss,
    DeadlineExceeded,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
    ShelflensError,
    Unavailable,
)

_KINDS: dict[grpc.StatusCode, tuple[type[ShelflensError], str]] = {
    grpc.StatusCode.INVALID_ARGUMENT: (InvalidArgument, "VECTOR_STORE_REFUSED"),
    grpc.StatusCode.OUT_OF_RANGE: (InvalidArgument, "VECTOR_STORE_REFUSED"),
    grpc.StatusCode.NOT_FOUND: (NotFound, "COLLECTION_NOT_FOUND"),
    grpc.StatusCode.ALREADY_EXISTS: (AlreadyExists, "COLLECTION_EXISTS"),
    grpc.StatusCode.FAILED_PRECONDITION: (FailedPrecondition, "VECTOR_STORE_NOT_READY"),
    grpc.StatusCode.UNIMPLEMENTED: (FailedPrecondition, "VECTOR_STORE_TOO_OLD"),
    grpc.StatusCode.UNAUTHENTICATED: (FailedPrecondition, "VECTOR_STORE_DENIED"),
    grpc.StatusCode.PERMISSION_DENIED: (FailedPrecondition, "VECTOR_STORE_DENIED"),
    grpc.StatusCode.ABORTED: (Aborted, "VECTOR_STORE_CONFLICT"),
    grpc.StatusCode.RESOURCE_EXHAUSTED: (ResourceExhausted, "VECTOR_STORE_BUSY"),
    grpc.StatusCode.DEADLINE_EXCEEDED: (DeadlineExceeded, "DEADLINE_EXCEEDED"),
    grpc.StatusCode.CANCELLED: (Cancelled, "CANCELLED"),
    grpc.StatusCode.DATA_LOSS: (DataLoss, "VECTOR_STORE_DATA_LOSS"),
}
# UNAVAILABLE, INTERNAL and UNKNOWN are what a server answers that is starting, out of disk or
# losing a node: worth another try.
_OTHERWISE = (Unavailable, "VECTOR_STORE_UNAVAILABLE")


@contextmanager
def translated_errors(doing: str) -> Iterator[None]:
    """Raises the domain error for a failed call; `doing` opens its message."""
    try:
        yield
    except grpc.RpcError as error:
        raise domain_error(error, doing) from error


def domain_error(error: grpc.RpcError, doing: str) -> ShelflensError:
    # Every RpcError that a call raises is also a grpc.Call, which the type does not say.
    code = error.code() if isinstance(error, grpc.Call) else grpc.StatusCode.UNKNOWN
    details = (error.details() if isinstance(error, grpc.Call) else None) or str(error)
    kind, reason = _KINDS.get(code, _OTHERWISE)
    if kind is InvalidArgument and "dimension" in details.lower():
        reason = "DIMENSION_MISMATCH"
    return kind(f"{doing}: {details}", reason=reason)
