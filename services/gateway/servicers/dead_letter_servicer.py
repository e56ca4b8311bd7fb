"""DeadLetterService."""

# ruff: noqa: N802 - the methods are named in the proto.

import json

from google.protobuf.empty_pb2 import Empty

from services.core.dead_letter_ports import DeadLetter
from services.core.domain import names
from services.gateway.handlers.dead_letters import DeadLetters
from services.gateway.servicers.conversions import timestamp
from services.gateway.servicers.deadlines import Context
from services.gateway.servicers.pagination import read_page
from services.gateway.settings import GatewayLimits
from shelflens.v1 import dead_letters_pb2 as pb
from shelflens.v1 import dead_letters_pb2_grpc

_LISTED = 200  # characters of a detail in a list


class DeadLetterServicer(dead_letters_pb2_grpc.DeadLetterServiceServicer):
    """Messages that no worker took."""

    def __init__(self, dead_letters: DeadLetters, limits: GatewayLimits) -> None:
        self._dead_letters = dead_letters
        self._limits = limits

    async def ListDeadLetters(
        self, request: pb.ListDeadLettersRequest, context: Context
    ) -> pb.ListDeadLettersResponse:
        page = read_page(
            request,
            request.page_size,
            request.page_token,
            self._limits.page_size,
            self._limits.max_page_size,
        )
        found = await self._dead_letters.page(
            page.after, page.size + 1, request.reason, request.queue
        )
        shown, token = page.split(found, lambda each: each.id)
        return pb.ListDeadLettersResponse(
            dead_letters=map(_listed_message, shown), next_page_token=token
        )

    async def GetDeadLetter(
        self, request: pb.GetDeadLetterRequest, context: Context
    ) -> pb.DeadLetter:
        return _message(await self._dead_letters.get(_id(request.name)))

    async def RetryDeadLetter(
        self, request: pb.RetryDeadLetterRequest, context: Context
    ) -> pb.RetryDeadLetterResponse:
        queue = await self._dead_letters.retry(_id(request.name), request.force)
        return pb.RetryDeadLetterResponse(queue=queue)

    async def DeleteDeadLetter(
        self, request: pb.DeleteDeadLetterRequest, context: Context
    ) -> Empty:
        await self._dead_letters.delete(_id(request.name))
        return Empty()


def _id(name: str) -> str:
    return names.parse(name, "deadLetters/*")[0]


def _listed_message(letter: DeadLetter) -> pb.DeadLetter:
    """Without what may be long: a page of a thousand has to fit one answer."""
    return pb.DeadLetter(
        name=f"deadLetters/{letter.id}",
        queue=letter.queue,
        routing_key=letter.routing_key,
        task=letter.task,
        operation=names.operation_name(letter.operation) if letter.operation else "",
        reason=letter.reason,
        detail=letter.detail[:_LISTED],
        content_type=letter.content_type,
        size_bytes=letter.size,
        death_count=letter.deaths,
        create_time=timestamp(letter.create_time),
    )


def _message(letter: DeadLetter) -> pb.DeadLetter:
    message = _listed_message(letter)
    message.detail, message.body = letter.detail, letter.body
    for key, value in letter.headers.items():
        message.headers[key] = value if isinstance(value, str) else json.dumps(value)
    return message
