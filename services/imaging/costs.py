"""What decoding an image takes, from its header alone: measured with Pillow 13 and its codecs."""

from services.imaging.headers import ImageInfo

# Bytes a pixel at the peak. PNG: the picture as stored and as RGB, which Pillow keeps in 4 bytes
# each. WebP: two canvases, the frame, the picture (large ones that do not move: 8). AVIF: planes of
# up to 16 bits, the frame, the picture.
_BYTES_A_PIXEL = {"PNG": 8, "WEBP": 16, "AVIF": 16}
_JPEG_PIXEL = 8
_JPEG_COEFFICIENTS = 8  # 16 bits for each of up to four colours
_SCALES = (8, 4, 2)  # a JPEG can be decoded this many times smaller


def decoding_scale(info: ImageInfo, at_least: int) -> int:
    """How many times smaller an image is decoded whose shorter side has to keep `at_least`."""
    if info.format != "JPEG":
        return 1
    shorter = min(info.width, info.height)
    return next((each for each in _SCALES if shorter // each >= at_least), 1)


def decoding_bytes(info: ImageInfo, at_least: int) -> int:
    """Memory that decoding takes for its pixels, when the shorter side has to keep `at_least`."""
    if info.format != "JPEG":
        return info.pixels * _BYTES_A_PIXEL[info.format]
    scale = decoding_scale(info, at_least)
    held = info.pixels * _JPEG_COEFFICIENTS if info.buffered else 0
    return held + info.pixels * _JPEG_PIXEL // (scale * scale)
