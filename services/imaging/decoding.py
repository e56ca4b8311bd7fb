"""Bytes to an upright RGB picture, whatever the file's mode.

Run it on bytes from outside only in a child process (decode_pool): the limits hold back what the
header admits to, the child holds back the rest.
"""

import io
import struct
import zlib

import numpy as np
from PIL import Image

from services.imaging.headers import inspect
from services.imaging.limits import ImageLimits
from services.imaging.verdicts import Verdict, refuse

# EXIF 2.32 table 6: what brings the stored picture upright.
_UPRIGHT: dict[int, Image.Transpose] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ORIENTATION = 0x0112
_ALPHA = ("RGBA", "LA", "PA", "RGBa", "La")
_DAMAGE = (OSError, ValueError, SyntaxError, EOFError, KeyError, IndexError, TypeError)


def decode(data: bytes, limits: ImageLimits, at_least: int | None = None) -> Image.Image:
    """The first frame in mode RGB: upright by EXIF, transparency on white, 16 bit scaled to 8.

    With `at_least`, a JPEG may come out at 1/2, 1/4 or 1/8 of its size as long as its shorter side
    keeps that many pixels: several times faster for phone photos. Embedded colour profiles are
    not applied. Raises InvalidImage with a reason of verdicts.Verdict.
    """
    info = inspect(data, limits)
    try:
        with Image.open(io.BytesIO(data), formats=[info.format]) as image:
            if at_least is not None and info.format == "JPEG":
                image.draft(image.mode, (at_least, at_least))
            image.load()
            return _upright(_to_rgb(image), _orientation(image))
    except Image.DecompressionBombError as error:
        raise refuse(Verdict.IMAGE_TOO_MANY_PIXELS) from error
    except MemoryError as error:
        raise refuse(Verdict.IMAGE_MEMORY_EXCEEDED) from error
    except (*_DAMAGE, struct.error, zlib.error) as error:
        truncated = "truncated" in str(error).lower() or _webp_is_short(data)
        verdict = Verdict.IMAGE_TRUNCATED if truncated else Verdict.IMAGE_UNDECODABLE
        raise refuse(verdict, f"{info.format}, {type(error).__name__}") from error


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16-bit grey; Pillow's own conversion clips instead of scaling
        values = np.asarray(image)
        return Image.fromarray((values.clip(0, 0xFFFF) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in _ALPHA or "transparency" in image.info:
        layered = image.convert("RGBA")
        white = Image.new("RGB", layered.size, (255, 255, 255))
        white.paste(layered, mask=layered.getchannel("A"))
        return white
    return image if image.mode == "RGB" else image.convert("RGB")


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except (*_DAMAGE, struct.error):
        return 1  # damaged EXIF says nothing about the pixels, so it costs only the rotation


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    turn = _UPRIGHT.get(orientation)
    return image if turn is None else image.transpose(turn)


def _webp_is_short(data: bytes) -> bool:
    return data[:4] == b"RIFF" and int.from_bytes(data[4:8], "little") + 8 > len(data)
