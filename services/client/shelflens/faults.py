"""From gRPC failures to the error tree."""

from typing import Any

from google.rpc import code_pb2, error_details_pb2, status_pb2

from shelflens.errors import BY_CODE, ShelflensError

_DETAILS_KEY = "grpc-status-details-bin"


def from_status(status: status_pb2.Status) -> ShelflensError:
    """The error that a google.rpc.Status describes, with the reason of its ErrorInfo."""
    known = code_pb2.Code.values()
    code = code_pb2.Code.Name(status.code) if status.code in known else "UNKNOWN"
    info = error_details_pb2.ErrorInfo()
    for detail in status.details:
        if detail.Is(info.DESCRIPTOR):
            detail.Unpack(info)
            break
    kind = BY_CODE.get(code, ShelflensError)
    return kind(status.message, reason=info.reason, metadata=info.metadata, code=code)


def from_rpc(error: Any, target: str) -> ShelflensError:
    """The error that a failed call (grpc.RpcError) describes; it names an unreachable `target`."""
    for key, value in error.trailing_metadata() or ():
        if key == _DETAILS_KEY:
            return from_status(status_pb2.Status.FromString(value))
    code = error.code().name
    message = error.details() or "no message"
    if code == "UNAVAILABLE":
        cause = message.rpartition(": ")[2]  # the layers of gRPC before it say nothing more
        message = f"cannot reach {target} ({cause}); start a server with: shelflens serve"
    kind = BY_CODE.get(code, ShelflensError)
    return kind(message, code=code)
