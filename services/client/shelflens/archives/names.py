"""Names of members: checked, and brought to one form. They are never used as paths of files."""

import posixpath
import re
import unicodedata

from shelflens.archives.refusal import BadArchive
from shelflens.images import ImageProblem

MAX_NAME = 1_024  # characters
_DRIVE = re.compile(r"[A-Za-z]:")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_PICTURES = {".jpg", ".jpeg", ".png", ".webp", ".avif"}
_LITTER = {"__macosx", "thumbs.db", "desktop.ini"}


def decode_name(raw: bytes, otherwise: str) -> str:
    """Text of a name that is UTF-8, or else in the single-byte encoding `otherwise`."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode(otherwise)


def member_name(name: str) -> str:
    """`name` without `./`, doubled and final slashes; empty for the top folder itself.

    Raises BadArchive (ARCHIVE_MEMBER_NAME) for absolute names, `..`, drive letters, backslashes
    and control characters: whoever unpacks such an archive may write outside the folder.
    """
    shown = repr(name[:200])
    if len(name) > MAX_NAME:
        raise _refused(f"a name of {len(name)} characters", f"at most {MAX_NAME} are read")
    if _CONTROL.search(name):
        raise _refused(shown, "it has control characters")
    if "\\" in name:
        raise _refused(shown, "folders are parted by / in archives, not by a backslash")
    if name.startswith("/") or _DRIVE.match(name):
        raise _refused(shown, "it is absolute")
    parts = [each for each in name.split("/") if each not in ("", ".")]
    if ".." in parts:
        raise _refused(shown, "it leads outside the archive")
    return "/".join(parts)


def folded(name: str) -> str:
    """The form under which names are compared: Unicode NFC, case kept."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def is_hidden(name: str) -> bool:
    """Whether a part of it starts with a dot, or it is what a desktop leaves in folders."""
    return any(part.startswith(".") or part.lower() in _LITTER for part in name.split("/"))


def suffix(name: str) -> str:
    """`.jpg` of `a/b.JPG`; empty where there is none."""
    # Not by pathlib, which would intern every part of every name.
    return posixpath.splitext(name)[1].lower()


def is_picture_name(name: str) -> bool:
    """Whether it ends like an image that is accepted, and is not hidden."""
    return suffix(name) in _PICTURES and not is_hidden(name)


def resolve(folder: str, reference: str) -> str:
    """The member that `reference` names, seen from `folder` of the archive.

    `..` may leave the folder but not the archive. Raises ImageProblem (IMAGE_OUTSIDE_ROOT).
    """
    if reference.startswith("/") or _DRIVE.match(reference):
        raise ImageProblem("IMAGE_OUTSIDE_ROOT", "write it relative to the manifest's folder")
    name = posixpath.normpath(posixpath.join(folder, reference))
    if name.split("/", 1)[0] == "..":
        raise ImageProblem("IMAGE_OUTSIDE_ROOT", "it leads outside the archive")
    return name


def _refused(shown: str, why: str) -> BadArchive:
    return BadArchive("ARCHIVE_MEMBER_NAME", f"{shown}: {why}; pack it anew with relative names")
