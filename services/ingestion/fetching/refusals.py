"""Every reason for which an address gives no image, in one table."""

from enum import StrEnum


class FetchReason(StrEnum):
    """What went wrong; reasons about the bytes themselves are in services.imaging.verdicts."""

    INVALID = "IMAGE_URL_INVALID"
    FORBIDDEN_ADDRESS = "IMAGE_URL_FORBIDDEN_ADDRESS"
    TOO_MANY_REDIRECTS = "IMAGE_URL_TOO_MANY_REDIRECTS"
    BAD_REDIRECT = "IMAGE_URL_BAD_REDIRECT"
    NOT_FOUND = "IMAGE_URL_NOT_FOUND"
    DENIED = "IMAGE_URL_DENIED"
    STATUS = "IMAGE_URL_STATUS"
    ENCODED = "IMAGE_URL_ENCODED"
    NOT_AN_IMAGE = "IMAGE_URL_NOT_AN_IMAGE"
    BAD_RESPONSE = "IMAGE_URL_BAD_RESPONSE"
    TLS = "IMAGE_URL_TLS"
    RATE_LIMITED = "IMAGE_URL_RATE_LIMITED"
    SERVER_ERROR = "IMAGE_URL_SERVER_ERROR"
    UNREACHABLE = "IMAGE_URL_UNREACHABLE"
    TIMEOUT = "IMAGE_URL_TIMEOUT"
    TRUNCATED = "IMAGE_URL_TRUNCATED"
    HOST_DOWN = "IMAGE_URL_HOST_DOWN"
    NOT_TRIED = "IMAGE_URL_NOT_TRIED"


# Worth another try within the same shard.
RETRIED: frozenset[str] = frozenset(
    {
        FetchReason.RATE_LIMITED,
        FetchReason.SERVER_ERROR,
        FetchReason.UNREACHABLE,
        FetchReason.TIMEOUT,
        FetchReason.TRUNCATED,
    }
)
# They tell nothing about the image: a copy of an earlier import stays in use.
PASSING: frozenset[str] = RETRIED | {
    FetchReason.HOST_DOWN,
    FetchReason.NOT_TRIED,
    FetchReason.TLS,
    FetchReason.BAD_RESPONSE,
}
# They count against the host.
HOST_FAILURES: frozenset[str] = PASSING - {FetchReason.HOST_DOWN, FetchReason.NOT_TRIED}


class Refused(Exception):
    """No image from this address. `detail` is for the log; `wait`: seconds that the host asks for.

    `reason` is a FetchReason or a reason of services.imaging.verdicts.
    """

    def __init__(self, reason: str, detail: str = "", wait: float | None = None) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = str(reason)
        self.detail = detail
        self.wait = wait
