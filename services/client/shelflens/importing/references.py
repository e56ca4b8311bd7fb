"""References that lead to no file of the user: the server fetches what they name."""

import re
from urllib.parse import urlsplit

from shelflens.images import ImageProblem
from shelflens.manifests.wire import ImageEntry

MAX_URL = 2_000  # characters
MAX_KEY = 512
_OBJECT = "object:"
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_STORED = re.compile(r"catalogs/[a-z0-9-]{1,63}/products/[a-z0-9-]{1,63}/images/([0-9a-f]{64})")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
# The server's own rule for keys of objects: segments of these characters, none `.` or `..`.
_SEGMENT = r"(?!\.{1,2}(?:/|$))[A-Za-z0-9._-]{1,255}"
_KEY = re.compile(rf"{_SEGMENT}(?:/{_SEGMENT})*")


def remote_entry(reference: str) -> ImageEntry | None:
    """The entry of an address (`https://...`), an object (`object:KEY`) or a stored image, by its
    name; None for a path.

    Raises ImageProblem (IMAGE_URL_INVALID, OBJECT_KEY_INVALID).
    """
    if reference.startswith(_OBJECT):
        key = reference.removeprefix(_OBJECT)
        if len(key) > MAX_KEY or not _KEY.fullmatch(key):
            raise ImageProblem(
                "OBJECT_KEY_INVALID",
                f"a key has at most {MAX_KEY} characters: letters, digits, . _ - parted by /",
            )
        return {"source": reference, "object": key}
    if stored := _STORED.fullmatch(reference):
        return {"source": reference, "sha256": stored[1]}
    if not _SCHEME.match(reference):
        return None
    _check_url(reference)
    return {"source": reference, "url": reference}


def _check_url(url: str) -> None:
    if len(url) > MAX_URL:
        raise _invalid(f"an address has at most {MAX_URL} characters")
    if _CONTROL.search(url):
        raise _invalid("an address has no line breaks or control characters")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise _invalid(f"it is no address ({error})") from None
    if parts.scheme not in ("http", "https"):
        raise _invalid("addresses start with https:// or http://")
    if not host:
        raise _invalid("the address has no host")


def _invalid(why: str) -> ImageProblem:
    return ImageProblem("IMAGE_URL_INVALID", why)
