"""Baked pack geometry: everything about a picture that does not depend on what is printed."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw, ImageFilter

Floats = NDArray[np.float32]
Atlas = tuple[int, int]


@dataclass(frozen=True)
class View:
    """One way to take the picture: turn in degrees, camera height 0..1, key light -1 left..1."""

    turn: float
    tilt: float
    light: float
    warmth: float


VIEWS: tuple[View, ...] = (
    View(0.0, 0.12, -1.0, 0.0),
    View(22.0, 0.15, 1.0, 0.3),
    View(-20.0, 0.10, -0.6, -0.3),
    View(10.0, 0.20, 0.8, 0.15),
    View(-34.0, 0.14, 1.0, 0.0),
    View(30.0, 0.08, -1.0, -0.15),
)


@dataclass(frozen=True)
class Form:
    """A shape seen by the camera, ready to be dressed in an atlas (its unwrapped surface).

    `texel` (2h, 2w) holds flat indices into the atlas of `atlas` = (width, height) pixels; `cover`
    (h, w) is the silhouette's coverage; `shade` multiplies and `gloss` screens the colours; `box`
    is the place of the (h, w) crop in the picture, `ground` the empty studio with the shadow at
    half the picture's resolution (it is all soft, and there are many forms to keep).
    """

    atlas: Atlas
    box: tuple[int, int, int, int]
    texel: NDArray[np.int32]
    cover: Image.Image
    shade: Image.Image
    gloss: Image.Image
    ground: Image.Image


def bake(
    atlas: Atlas,
    origin: tuple[int, int],
    texel: NDArray[np.int32],
    cover: Floats,
    shade: Floats,
    gloss: Floats,
    ground: Image.Image,
) -> Form:
    """A form from texel and cover of shape (2h, 2w) and light of shape (h, w), values 0..1."""
    box = (origin[0], origin[1], origin[0] + cover.shape[1] // 2, origin[1] + cover.shape[0] // 2)
    return Form(
        atlas, box, texel, grey(cover).reduce(2), _tint(shade), _tint(gloss), ground.reduce(2)
    )


def half(values: Floats) -> Floats:
    """Every other row and column: light changes slowly enough to be computed on those."""
    return values[:: 2 if values.shape[0] > 1 else 1, :: 2 if values.shape[1] > 1 else 1]


def doubled(values: Floats) -> Floats:
    """`values` of shape (h, w) interpolated to (2h, 2w)."""
    image = Image.fromarray(values.astype(np.float32))
    size = (values.shape[1] * 2, values.shape[0] * 2)
    return np.asarray(image.resize(size, Image.Resampling.BILINEAR), np.float32)


def grey(values: Floats) -> Image.Image:
    """Values 0..1 as an image of mode L."""
    return Image.fromarray((values.clip(0, 1) * 255 + 0.5).astype(np.uint8))


def _tint(values: Floats) -> Image.Image:
    single = grey(values)
    return Image.merge("RGB", (single, single, single))


def dress(form: Form, atlas: Image.Image) -> Image.Image:
    """The product's colours under the studio's light, RGB, of the size of `form.box`."""
    flat = np.asarray(atlas.convert("RGBX")).view(np.uint32).ravel()
    pixels = np.take(flat, form.texel, mode="clip")
    high, wide = form.texel.shape
    colours = Image.frombuffer("RGBX", (wide, high), pixels, "raw", "RGBX", 0, 1)
    lit = ImageChops.multiply(colours.convert("RGB").reduce(2), form.shade)
    return ImageChops.screen(lit, form.gloss)


def studio(size: int, view: View, footprint: list[tuple[float, float]]) -> Image.Image:
    """A near-white studio with the contact shadow of a footprint polygon (pixels), RGB."""
    ramp = Image.linear_gradient("L").resize((size, size))
    top, bottom = Image.new("L", (size, size), 253), Image.new("L", (size, size), 243)
    wall = Image.composite(bottom, top, ramp)
    for blur, drop, depth in ((0.05, 0.012, 46), (0.018, 0.005, 70), (0.006, 0.002, 90)):
        mask = Image.new("L", (size, size))
        shift = -view.light * blur * size * 0.5
        moved = [(x + shift, y + drop * size) for x, y in footprint]
        ImageDraw.Draw(mask).polygon(moved, depth)
        mask = mask.filter(ImageFilter.GaussianBlur(blur * size))
        wall = Image.composite(Image.new("L", (size, size), 40), wall, mask)
    warm = round(3 * view.warmth)
    red, blue = wall.point(lambda v: v + warm), wall.point(lambda v: v - warm)
    return Image.merge("RGB", (red, wall, blue))
