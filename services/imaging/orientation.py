"""Which way up a picture is, from its EXIF block. Source: EXIF 2.32 sections 4.5 and 4.6.

By hand, because a general reader follows every entry: 64 KB of entries that all point to the same
64 KB cost it hundreds of megabytes.
"""

import struct

UPRIGHT = 1
_ORIENTATION, _SHORT = 0x0112, 3
_BYTE_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}


def orientation(exif: bytes) -> int:
    """1 to 8; 1 where the block is empty or damaged, or says something else."""
    tiff = exif.removeprefix(b"Exif\0\0")
    order = _BYTE_ORDERS.get(tiff[:4])
    if order is None:
        return UPRIGHT
    try:
        (start,) = struct.unpack_from(f"{order}I", tiff, 4)
        (entries,) = struct.unpack_from(f"{order}H", tiff, start)
        for number in range(entries):
            tag, kind, count, value = struct.unpack_from(
                f"{order}HHIH", tiff, start + 2 + 12 * number
            )
            if tag == _ORIENTATION:
                known = kind == _SHORT and count == 1 and 1 <= value <= 8
                return int(value) if known else UPRIGHT
    except struct.error:
        pass
    return UPRIGHT
