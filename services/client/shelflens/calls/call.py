"""What a builder returns: which RPC, with which request, and how to read the answer."""

import functools
import inspect
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from google.protobuf.message import Message

R = TypeVar("R")
Service = Literal["catalogs", "models", "search", "operations", "dead_letters", "evaluations"]
PIECE = 1 << 20  # bytes of data in one message of a stream, the most that the API allows


@dataclass(frozen=True, slots=True)
class Call(Generic[R]):
    """One RPC. `request` is a message, or the messages of a client stream."""

    service: Service
    rpc: str
    request: Message | Iterable[Message]
    convert: Callable[[Any], R]
    timeout: float | None = None  # seconds; None: the client's own

    @property
    def sendable(self) -> Message | Iterator[Message]:
        """The request as gRPC takes it, from its beginning."""
        return self.request if isinstance(self.request, Message) else iter(self.request)


@dataclass(frozen=True, slots=True)
class Pages(Generic[R]):
    """A List RPC, read page by page. `field` holds the items of a page."""

    service: Service
    rpc: str
    request: Any
    field: str
    convert: Callable[[Any], R]

    def page(self, token: str) -> Call[tuple[list[R], str]]:
        """The call for the page that starts at `token`, giving its items and the next token."""
        request = type(self.request)()
        request.CopyFrom(self.request)
        request.page_token = token
        return Call(self.service, self.rpc, request, self._read)

    def _read(self, answer: Any) -> tuple[list[R], str]:
        items = [self.convert(each) for each in getattr(answer, self.field)]
        return items, answer.next_page_token


def new_request_id() -> str:
    """A UUID4, so that a retried write is done once."""
    return str(uuid.uuid4())


def describe(method: Callable[..., object], build: Callable[..., object]) -> None:
    """Gives a client's method the name, documentation and parameters of its builder."""
    functools.update_wrapper(method, build)
    signature = inspect.signature(build)
    client = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    vars(method)["__signature__"] = signature.replace(
        parameters=[client, *signature.parameters.values()],
        return_annotation=inspect.Signature.empty,
    )


def nothing(answer: Any) -> None:
    """For answers that say no more than that it worked."""
