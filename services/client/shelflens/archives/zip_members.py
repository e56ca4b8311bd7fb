"""The bytes of one member of a zip archive, checked against all that the archive says of them."""

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from shelflens.archives.index import Stored
from shelflens.archives.names import member_name
from shelflens.archives.refusal import BadArchive
from shelflens.archives.zip_directory import STORED, decode_zip_name
from shelflens.calls.call import PIECE
from shelflens.images import ImageProblem

_LOCAL = struct.Struct("<4s5H3L2H")
_SIZES_FOLLOW = 0x8
_PACKED = 128 << 10


def read_member(path: Path, name: str, size: int, stored: Stored) -> Iterator[bytes]:
    """Pieces of at most 1 MiB, `size` bytes in all.

    Each call opens the file, so that several threads can read. Raises ImageProblem
    (IMAGE_UNREADABLE) where the two headers of the member disagree, or its bytes have another
    number or CRC-32 than they say, and OSError.
    """
    with path.open("rb") as file:
        file.seek(stored.place)
        head = file.read(_LOCAL.size)
        if len(head) < _LOCAL.size or head[:4] != b"PK\x03\x04":
            raise _unreadable("it is not where the archive says")
        _check_local(head, file.read(sum(_LOCAL.unpack(head)[-2:])), name, size, stored)
        left, crc, count = stored.packed, 0, 0
        unpacker = None if stored.method == STORED else zlib.decompressobj(-15)
        while left:
            packed = file.read(min(left, _PACKED))
            left -= len(packed)
            if not packed:
                raise _unreadable("it ends too early")
            for piece in _unpack(unpacker, packed):
                count += len(piece)
                if count > size:
                    raise _unreadable("it is larger than the archive says")
                crc = zlib.crc32(piece, crc)
                yield piece
        if count != size or (unpacker is not None and not unpacker.eof):
            raise _unreadable("it is smaller than the archive says")
        if crc != stored.crc:
            raise _unreadable("its checksum is wrong")


def _unpack(unpacker: "zlib._Decompress | None", packed: bytes) -> Iterator[bytes]:
    if unpacker is None:
        yield packed
        return
    while packed:
        try:
            piece = unpacker.decompress(packed, PIECE)
        except zlib.error as error:
            raise _unreadable(f"its compressed data is damaged ({error})") from None
        if piece:
            yield piece
        if unpacker.eof:
            return
        packed = unpacker.unconsumed_tail


def _check_local(head: bytes, rest: bytes, name: str, size: int, stored: Stored) -> None:
    (_, _, flags, method, _, _, crc, packed, unpacked, name_size, _) = _LOCAL.unpack(head)
    try:
        local = member_name(decode_zip_name(rest[:name_size], flags))
    except BadArchive:
        local = ""
    # Non-ASCII names may be written in two encodings; everything else must be the same.
    same = local == name or not (local.isascii() and name.isascii())
    if not same or method != stored.method:
        raise _unreadable("its two headers disagree")
    if flags & _SIZES_FOLLOW or 0xFFFFFFFF in (packed, unpacked):
        return  # they stand behind the data, or in a 64-bit field
    if (crc, packed, unpacked) != (stored.crc, stored.packed, size):
        raise _unreadable("its two headers disagree")


def _unreadable(why: str) -> ImageProblem:
    return ImageProblem("IMAGE_UNREADABLE", f"{why}; pack the archive anew")
