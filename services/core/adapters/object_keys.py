"""Which keys an object store accepts: the same for every adapter."""

import re

from services.core.domain.errors import InvalidArgument

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
    if len(key) > MAX_KEY or not _KEY.fullmatch(key):
        raise _invalid(key)
    return key


def check_prefix(prefix: str) -> str:
    """Returns `prefix`, which may be empty or end within a segment. Raises InvalidArgument."""
    if len(prefix) > MAX_KEY or not _PREFIX.fullmatch(prefix):
        raise _invalid(prefix)
    return prefix


def _invalid(key: str) -> InvalidArgument:
    return InvalidArgument.field("key", f"{key[:80]!r} is not an object key", reason="INVALID_KEY")
