"""Arithmetic on 8-bit RGB colours."""

from PIL import Image

from services.demo.flavours import RGB


def mix(first: RGB, second: RGB, share: float) -> RGB:
    """`first` moved towards `second` by `share` in 0..1."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def lighter(colour: RGB, share: float) -> RGB:
    """`colour` moved towards white by `share` in 0..1."""
    return mix(colour, (255, 255, 255), share)


def darker(colour: RGB, share: float) -> RGB:
    """`colour` moved towards black by `share` in 0..1."""
    return mix(colour, (0, 0, 0), share)


def luminance(colour: RGB) -> float:
    """Perceived brightness in 0..1."""
    return (0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]) / 255


def readable(ink: RGB, ground: RGB) -> RGB:
    """`ink` if it can be read on `ground`, else near-black or white, whichever can."""
    if abs(luminance(ink) - luminance(ground)) >= 0.3:
        return ink
    return (255, 255, 255) if luminance(ground) < 0.6 else (34, 30, 32)


def mean_colour(image: Image.Image, box: tuple[float, float, float, float]) -> RGB:
    """The average colour inside `box` (pixels) of an RGB image."""
    red, green, blue = image.resize((1, 1), Image.Resampling.BOX, box).tobytes()
    return red, green, blue
