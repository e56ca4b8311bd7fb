"""Bytes to an upright RGB picture, whatever the file's mode.

Run it on bytes from outside only in a child process (decode_pool): the limits hold back what the
header admits to, the child holds back the rest.
"""

import io

import numpy as np
from PIL import (
    AvifImagePlugin,
    Image,
    JpegImagePlugin,
    PngImagePlugin,
    WebPImagePlugin,
    features,
)

from services.core.domain.errors import InvalidImage
from services.imaging.essentials import essentials
from services.imaging.headers import ImageInfo, inspect
from services.imaging.limits import ImageLimits
from services.imaging.orientation import orientation
from services.imaging.verdicts import Verdict, refuse
from services.imaging.webp_still import decode_still, is_still

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
_ALPHA = ("RGBA", "LA", "PA", "RGBa", "La")
_STRIP_PIXELS = 1 << 20
_LARGE_WEBP = 16_000_000  # pixels

# Loaded here, before a child limits its memory, and so that Pillow looks for no others.
_PLUGINS = (AvifImagePlugin, JpegImagePlugin, PngImagePlugin, WebPImagePlugin)
# One thread a child: the pool decides how many images are decoded at once.
AvifImagePlugin.DEFAULT_MAX_THREADS = 1


def decode(data: bytes, limits: ImageLimits, at_least: int | None = None) -> Image.Image:
    """The first frame in mode RGB: upright by EXIF, transparency on white, 16 bit scaled to 8.

    With `at_least`, a JPEG may come out at 1/2, 1/4 or 1/8 of its size as long as its shorter side
    keeps that many pixels: several times faster for phone photos. Embedded colour profiles are
    not applied. Raises InvalidImage with a reason of verdicts.Verdict.
    """
    info = inspect(data, limits)
    if info.format == "AVIF" and not features.check("avif"):
        raise refuse(Verdict.IMAGE_FORMAT_UNSUPPORTED, "the server's Pillow decodes no AVIF")
    try:
        picture, turned = _load(data, info, at_least)
        turn = _UPRIGHT.get(turned)
        return picture if turn is None else picture.transpose(turn)
    except InvalidImage:
        raise
    except Image.DecompressionBombError as error:
        raise refuse(Verdict.IMAGE_TOO_MANY_PIXELS) from error
    except MemoryError as error:
        raise refuse(Verdict.IMAGE_MEMORY_EXCEEDED) from error
    except Exception as error:  # codecs and Pillow raise of every kind over damaged files
        raise refuse(_verdict(error, data), f"{info.format}, {type(error).__name__}") from error


def _load(data: bytes, info: ImageInfo, at_least: int | None) -> tuple[Image.Image, int]:
    """The picture in RGB as it is stored, and its EXIF orientation."""
    kept = essentials(data, info.format)
    turned = orientation(kept.exif)
    if info.format == "WEBP" and info.pixels > _LARGE_WEBP and is_still(data):
        picture = decode_still(data, info.width, info.height)
        if picture is not None:
            return _to_rgb(picture), turned
    with Image.open(io.BytesIO(kept.data), formats=[info.format]) as image:
        if image.width * image.height > info.pixels:
            raise refuse(Verdict.IMAGE_UNDECODABLE, "its parts disagree about its size")
        if at_least is not None and info.format == "JPEG":
            image.draft(image.mode, (at_least, at_least))
        image.load()
        vars(image).pop("_decoder", None)  # WebP and AVIF keep canvases for further frames
        # An AVIF file turns its picture by properties, which Pillow translates into EXIF.
        if info.format == "AVIF":
            turned = orientation(image.info.get("exif", b""))
        return _to_rgb(image), turned


def _to_rgb(image: Image.Image) -> Image.Image:
    """Strip by strip, so that only the two pictures are held and nothing between them."""
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    rgb = Image.new("RGB", image.size)
    rows = max(1, _STRIP_PIXELS // image.width)
    for top in range(0, image.height, rows):
        bottom = min(top + rows, image.height)
        rgb.paste(_flat(image.crop((0, top, image.width, bottom))), (0, top))
    return rgb


def _flat(strip: Image.Image) -> Image.Image:
    if strip.mode.startswith("I"):  # 16-bit grey; Pillow's own conversion clips instead of scaling
        values = np.asarray(strip)
        return Image.fromarray((values.clip(0, 0xFFFF) >> 8).astype(np.uint8)).convert("RGB")
    if strip.mode in _ALPHA or "transparency" in strip.info:
        layered = strip.convert("RGBA")
        white = Image.new("RGB", layered.size, (255, 255, 255))
        white.paste(layered, mask=layered.getchannel("A"))
        return white
    return strip.convert("RGB")


def _verdict(error: Exception, data: bytes) -> Verdict:
    said = str(error).lower()
    if "truncated" in said or _webp_is_short(data):
        return Verdict.IMAGE_TRUNCATED
    if "memory" in said:
        return Verdict.IMAGE_MEMORY_EXCEEDED
    return Verdict.IMAGE_UNDECODABLE


def _webp_is_short(data: bytes) -> bool:
    return data[:4] == b"RIFF" and int.from_bytes(data[4:8], "little") + 8 > len(data)
