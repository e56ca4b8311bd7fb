"""gRPC statuses of a Qdrant server as domain errors."""

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
_ADVICE = {
    grpc.StatusCode.UNAUTHENTICATED: "set SHELFLENS_QDRANT_API_KEY to a key of that server",
    grpc.StatusCode.PERMISSION_DENIED: "set SHELFLENS_QDRANT_API_KEY to a key that may do this; "
    "a read-only key may not write",
    grpc.StatusCode.UNIMPLEMENTED: "the vector store must be Qdrant 1.17 or newer",
}
# gRPC's own limit is one code, that of Qdrant's gRPC library the other. A rate limit of Qdrant's
# strict mode has the first code as well, and is worth another try.
_TOO_LARGE_CODES = (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.OUT_OF_RANGE)
_TOO_LARGE = ("message larger than", "message length too large")


def domain_error(error: grpc.RpcError, doing: str) -> ShelflensError:
    """The error to raise for a failed call; `doing` opens its message."""
    # Every RpcError that a call raises is also a grpc.Call, which the type does not say.
    code = error.code() if isinstance(error, grpc.Call) else grpc.StatusCode.UNKNOWN
    details = (error.details() if isinstance(error, grpc.Call) else None) or str(error)
    if code in _TOO_LARGE_CODES and any(each in details.lower() for each in _TOO_LARGE):
        return InvalidArgument(
            f"{doing}: {details}: send less, or ask for fewer points, in one call",
            reason="VECTOR_STORE_MESSAGE_TOO_LARGE",
        )
    kind, reason = _KINDS.get(code, _OTHERWISE)
    if kind is InvalidArgument and "dimension" in details.lower():
        reason = "DIMENSION_MISMATCH"
    advice = _ADVICE.get(code)
    return kind(": ".join(filter(None, (doing, details, advice))), reason=reason)
