# ruff: noqa: N802 - the methods are named by the contract
"""The dead letters of the tests' server."""

from typing import Any

from google.protobuf.empty_pb2 import Empty

from shelflens.v1 import dead_letters_pb2 as pb
from tests.unit.test_client_server_state import ServerState


class DeadLetterMethods(ServerState):
    """`retried` holds (name, force); letters whose reason is UNDECODABLE need force."""

    def __init__(self) -> None:
        super().__init__()
        self.letters: dict[str, pb.DeadLetter] = {}
        self.retried: list[tuple[str, bool]] = []

    def add_letter(self, id_: str, **fields: Any) -> str:
        """Its name."""
        letter = pb.DeadLetter(
            name=f"deadLetters/{id_}",
            **{"reason": "REJECTED", "queue": "index", "task": "indexing.shard"} | fields,
        )
        letter.create_time.FromSeconds(1_700_000_000)
        self.letters[letter.name] = letter
        return letter.name

    def ListDeadLetters(self, request: pb.ListDeadLettersRequest, context: Any) -> Any:
        self.enter("ListDeadLetters", context)
        found = {
            name: each
            for name, each in self.letters.items()
            if request.reason in ("", each.reason) and request.queue in ("", each.queue)
        }
        items, token = self.page(request, found)
        return pb.ListDeadLettersResponse(dead_letters=items, next_page_token=token)

    def GetDeadLetter(self, request: pb.GetDeadLetterRequest, context: Any) -> Any:
        self.enter("GetDeadLetter", context)
        return self.find(context, "letters", request.name)

    def RetryDeadLetter(self, request: pb.RetryDeadLetterRequest, context: Any) -> Any:
        self.enter("RetryDeadLetter", context)
        letter = self.find(context, "letters", request.name)
        if letter.reason == "UNDECODABLE" and not request.force:
            self.fail(context, "FAILED_PRECONDITION", "RETRY_POINTLESS", "it would die again")
        self.retried.append((request.name, request.force))
        del self.letters[request.name]
        return pb.RetryDeadLetterResponse(queue=letter.queue)

    def DeleteDeadLetter(self, request: pb.DeleteDeadLetterRequest, context: Any) -> Any:
        self.enter("DeleteDeadLetter", context)
        self.find(context, "letters", request.name)
        del self.letters[request.name]
        return Empty()
