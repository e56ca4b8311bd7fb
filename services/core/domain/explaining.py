"""What may be asked of an explanation: the stored images that a photo is compared with."""

from collections.abc import Sequence

from services.core.domain.errors import InvalidArgument
from services.core.domain.names import check_digest

MOST_EXPLAINED = 10  # pictures of up to 140 kB each travel in one answer


def check_explained(sha256s: Sequence[str]) -> None:
    """Raises InvalidArgument (TOO_MANY_EXPLAINED, INVALID_DIGEST)."""
    if len(sha256s) > MOST_EXPLAINED:
        raise InvalidArgument.field(
            "explain",
            f"{len(sha256s)} images are asked for, {MOST_EXPLAINED} are explained at a time",
            reason="TOO_MANY_EXPLAINED",
        )
    for each in sha256s:
        check_digest(each, "explain")
