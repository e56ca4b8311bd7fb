"""Files of formats that are not accepted, under the names of images."""

from functools import partial

from PIL import Image

from tests.hostile.kinds import HostileImage, noise, picture, saved

_REFUSED = "IMAGE_FORMAT_UNSUPPORTED"
_MAX_BYTES = 20 * 1024 * 1024

# Those that Pillow writes.
_WRITTEN = ("GIF", "BMP", "TIFF", "ICO", "PDF", "EPS", "PPM", "TGA", "PCX", "SGI", "DDS", "ICNS")

# How others begin; what follows does not matter.
_BEGINNINGS = {
    "psd": b"8BPS\0\1\0\0\0\0\0\0\0\3",
    "jpeg-2000": b"\0\0\0\x0cjP  \r\n\x87\n",
    "jpeg-2000-codestream": b"\xff\x4f\xff\x51",
    "jpeg-xl": b"\0\0\0\x0cJXL \r\n\x87\n",
    "jpeg-xl-codestream": b"\xff\x0a",
    "openexr": b"\x76\x2f\x31\x01",
    "svg": b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'>",
    "svg-with-entities": b"<?xml version='1.0'?><!DOCTYPE svg [<!ENTITY a SYSTEM 'file:///etc/passwd'>"
    b"]><svg>&a;</svg>",
    "postscript": b"%!PS-Adobe-3.0\n(/etc/passwd) (r) file\n",
    "web-page": b"<!DOCTYPE html><html><title>404 Not Found</title>",
    "json": b'{"error": "not found"}',
    "text": b"this is no picture\n",
    "zip": b"PK\3\4",
    "gzip": b"\x1f\x8b\x08\0",
    "program": b"\x7fELF\2\1\1\0",
    "script": b"#!/bin/sh\nrm -rf /\n",
    "riff-of-sound": b"RIFF\x24\0\0\0WAVEfmt ",
    "matroska": b"\x1aE\xdf\xa3",
    "noughts": bytes(1_000),
    "noise": b"\x01",
    "byte-order-mark-before-a-jpeg": b"\xef\xbb\xbf\xff\xd8\xff\xe0",
}


def _written(kind: str, seed: int) -> bytes:
    size = (64, 64) if kind in ("ICO", "ICNS") else (96, 80)
    return saved(picture(seed, size), kind)


def _beginning(start: bytes, seed: int) -> bytes:
    return start + noise(seed, 600)


def _gif_bomb(seed: int) -> bytes:
    return b"GIF89a\xff\xff\xff\xff" + noise(seed, 200)


def _large(seed: int) -> bytes:
    picture_file = saved(picture(seed), "JPEG")
    return picture_file + bytes(_MAX_BYTES + 1 - len(picture_file))


FOREIGN_FILES = (
    HostileImage("empty", lambda _: b"", "IMAGE_EMPTY"),
    HostileImage("a-byte-over-20-megabytes", _large, "IMAGE_TOO_LARGE", heavy=True),
    HostileImage("gif-of-4-gigapixels", _gif_bomb, _REFUSED),
    HostileImage(
        "tiff-of-many-pages",
        lambda seed: saved(
            picture(seed), "TIFF", save_all=True, append_images=[Image.new("L", (9, 9))] * 9
        ),
        _REFUSED,
    ),
    *(HostileImage(kind.lower(), partial(_written, kind), _REFUSED) for kind in _WRITTEN),
    *(
        HostileImage(name, partial(_beginning, start), _REFUSED)
        for name, start in _BEGINNINGS.items()
    ),
)
