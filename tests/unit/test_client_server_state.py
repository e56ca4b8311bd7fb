"""What the tests' server remembers, and how its methods fail and page."""

import threading
import uuid
from typing import Any

import grpc
from google.longrunning import operations_pb2
from google.protobuf.any_pb2 import Any as Packed
from google.rpc import code_pb2, error_details_pb2, status_pb2

from shelflens.v1 import catalogs_pb2 as pb
from shelflens.v1 import search_pb2

PAGE = 3
_DETAILS = "grpc-status-details-bin"


def make_status(code: str, reason: str, message: str, **metadata: str) -> status_pb2.Status:
    """A status with ErrorInfo, as the contract wants it."""
    detail = Packed()
    detail.Pack(error_details_pb2.ErrorInfo(reason=reason, metadata=metadata))
    return status_pb2.Status(code=code_pb2.Code.Value(code), message=message, details=[detail])


class ServerState:
    """Keeps everything in dicts. `calls` counts RPCs; `down` makes the next ones UNAVAILABLE."""

    def __init__(self) -> None:
        self.catalogs: dict[str, pb.Catalog] = {}
        self.products: dict[str, pb.Product] = {}
        self.images: dict[str, pb.Image] = {}
        self.contents: dict[str, bytes] = {}
        self.manifests: dict[str, bytes] = {}
        self.operations: dict[str, Any] = {}
        self.searches: list[search_pb2.SearchProductsRequest] = []
        self.request_ids: list[str] = []
        self.calls: dict[str, int] = {}
        self.refuse: dict[bytes, str] = {}  # content -> reason
        self.down = 0
        self.polls_until_done = 1
        self.news: list[Any] = []  # metadata of an operation at the next polls
        self.lock = threading.Lock()

    def enter(self, rpc: str, context: Any, request: Any = None) -> None:
        with self.lock:
            self.calls[rpc] = self.calls.get(rpc, 0) + 1
            down, self.down = self.down, max(0, self.down - 1)
        if down:
            context.abort(grpc.StatusCode.UNAVAILABLE, "restarting")
        if request_id := getattr(request, "request_id", ""):
            self.request_ids.append(request_id)

    def fail(self, context: Any, code: str, reason: str, message: str, **metadata: str) -> Any:
        status = make_status(code, reason, message, **metadata)
        context.set_trailing_metadata(((_DETAILS, status.SerializeToString()),))
        context.abort(getattr(grpc.StatusCode, code), message)

    def find(self, context: Any, kind: str, name: str) -> Any:
        found = getattr(self, kind).get(name)
        if found is None:
            reason = f"{kind[:-1].upper()}_NOT_FOUND"
            self.fail(context, "NOT_FOUND", reason, f"{name} does not exist", name=name)
        return found

    def page(self, request: Any, items: dict[str, Any]) -> tuple[list[Any], str]:
        start = int(request.page_token or 0)
        names = sorted(items)
        token = str(start + PAGE) if start + PAGE < len(names) else ""
        return [items[name] for name in names[start : start + PAGE]], token

    def start(self, metadata: Any) -> Any:
        operation = operations_pb2.Operation(name=f"operations/{uuid.uuid4().hex[:8]}")
        operation.metadata.Pack(metadata)
        self.operations[operation.name] = operation
        return operation

    def public(self, operation: Any) -> Any:
        """As clients see it: no response before it is done."""
        shown = operations_pb2.Operation()
        shown.CopyFrom(operation)
        if not shown.done:
            shown.ClearField("response")
        return shown


def test_a_status_carries_its_reason_as_the_contract_wants_it() -> None:
    status = make_status("NOT_FOUND", "X_NOT_FOUND", "no x", name="x")
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    assert (status.code, info.reason, info.metadata["name"]) == (5, "X_NOT_FOUND", "x")
