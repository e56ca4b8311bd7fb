"""What a file is, told by its first bytes."""

from typing import Literal

from shelflens.archives.names import suffix
from shelflens.archives.tar_headers import BLOCK, looks_like_tar
from shelflens.images import image_format

Kind = Literal["zip", "tar", "gzip", "bzip2", "xz", "zstd", "foreign", ""]
HEAD = BLOCK  # bytes that are looked at

_MAGIC: tuple[tuple[bytes, Kind], ...] = (
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"PK\x07\x08", "zip"),
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"7z\xbc\xaf\x27\x1c", "foreign"),
    (b"Rar!\x1a\x07", "foreign"),
    (b"MSCF", "foreign"),
)
_SKIPPABLE = b"\x2a\x4d\x18"  # after one byte 0x50 to 0x5f: how parallel zstd begins
_NESTED = {".zip", ".tar", ".tgz", ".tbz2", ".txz", ".tzst", ".7z", ".rar"}
_NESTED |= {".gz", ".bz2", ".xz", ".zst"}
# Office files are zip archives inside; they lie beside images and are left alone.
_OFFICE = {".docx", ".xlsx", ".pptx", ".odt", ".ods", ".odp"}


def kind_of(head: bytes) -> Kind:
    """The kind of archive or compression that `head`, the first 512 bytes, shows; else empty.

    `foreign` is an archive of a kind that is not read.
    """
    for magic, kind in _MAGIC:
        if head.startswith(magic) and (kind != "bzip2" or head[3:4].isdigit()):
            return kind
    if head[1:4] == _SKIPPABLE and head[0] >> 4 == 5:
        return "zstd"
    return "tar" if looks_like_tar(head) else ""


def is_nested(name: str, head: bytes | None = None) -> bool:
    """Whether a member is an archive itself, by its name or, where given, its first bytes."""
    ending = suffix(name)
    if ending in _NESTED:
        return True
    if head is None or ending in _OFFICE or image_format(head):
        return False
    return bool(kind_of(head))
