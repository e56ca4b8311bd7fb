"""Messages that no worker took. Names work with and without `deadLetters/` in front."""

from shelflens import convert, values
from shelflens.calls.call import Call, Pages, nothing
from shelflens.names import dead_letter_name
from shelflens.v1 import dead_letters_pb2


def list_dead_letters(
    *, reason: str = "", queue: str = "", page_size: int = 0
) -> Pages[values.DeadLetter]:
    """Dead letters, newest first, without headers and bodies; empty filters match all."""
    request = dead_letters_pb2.ListDeadLettersRequest(
        reason=reason, queue=queue, page_size=page_size
    )
    return Pages("dead_letters", "ListDeadLetters", request, "dead_letters", convert.dead_letter)


def get_dead_letter(letter: str) -> Call[values.DeadLetter]:
    """Reads one dead letter with its headers and body."""
    request = dead_letters_pb2.GetDeadLetterRequest(name=dead_letter_name(letter))
    return Call("dead_letters", "GetDeadLetter", request, convert.dead_letter)


def retry_dead_letter(letter: str, *, force: bool = False) -> Call[str]:
    """Puts the message back on its queue and forgets the letter. Returns the queue.

    Refused where nobody waits for the message any more, and, unless `force`, where it would only
    die again.
    """
    request = dead_letters_pb2.RetryDeadLetterRequest(name=dead_letter_name(letter), force=force)
    return Call("dead_letters", "RetryDeadLetter", request, _queue)


def delete_dead_letter(letter: str) -> Call[None]:
    """Forgets a dead letter; its message is gone for good."""
    request = dead_letters_pb2.DeleteDeadLetterRequest(name=dead_letter_name(letter))
    return Call("dead_letters", "DeleteDeadLetter", request, nothing)


def _queue(answer: dead_letters_pb2.RetryDeadLetterResponse) -> str:
    return answer.queue
