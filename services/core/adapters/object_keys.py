"""Which keys an object store accepts, and which bytes under them: the same for every adapter."""

import hashlib
import re

from services.core.domain.errors import DataLoss, InvalidArgument

MAX_KEY = 512
IMAGES = "images/sha256/"
# 255 is the longest file name on every common file system.
_SEGMENT = r"(?!\.{1,2}(?:/|$))[A-Za-z0-9._-]{1,255}"
_KEY = re.compile(rf"{_SEGMENT}(?:/{_SEGMENT})*")
_PREFIX = re.compile(rf"(?:{_SEGMENT}/)*[A-Za-z0-9._-]{{0,255}}")


def check_key(key: str) -> str:
    """Returns `key`. Raises InvalidArgument (INVALID_KEY) unless it is 1 to 512 characters long.

    Segments between slashes are of [A-Za-z0-9._-], not empty, not `.` or `..`.
    """
    if not is_key(key):
        raise _invalid(key)
    return key


def is_key(key: str) -> bool:
    """Whether check_key accepts it."""
    return len(key) <= MAX_KEY and _KEY.fullmatch(key) is not None


def check_prefix(prefix: str) -> str:
    """Returns `prefix`, which may be empty or end within a segment. Raises InvalidArgument."""
    if len(prefix) > MAX_KEY or not _PREFIX.fullmatch(prefix):
        raise _invalid(prefix)
    return prefix


def check_range(key: str, offset: int, length: int) -> None:
    """Raises InvalidArgument for a range that no object can have."""
    if offset < 0 or length < 0:
        raise InvalidArgument(f"{key}: no bytes [{offset}, {offset} + {length})")


def check_content(key: str, data: bytes) -> bytes:
    """Returns `data`. Raises DataLoss where the key is an image's and does not end in its hash."""
    if key.startswith(IMAGES) and hashlib.sha256(data).hexdigest() != key.rpartition("/")[2]:
        raise DataLoss(f"{key}: stored bytes do not have the hash of their key")
    return data


def _invalid(key: str) -> InvalidArgument:
    return InvalidArgument.field("key", f"{key[:80]!r} is not an object key", reason="INVALID_KEY")
