"""Text as masks: one built-in typeface made to look like many by weight, slant, width and arch."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from services.demo.flavours import RGB


@dataclass(frozen=True)
class Face:
    """How to set a text: stroke weight and tracking in ems, slant and arch as shares of height."""

    weight: float = 0.0
    tracking: float = 0.0
    slant: float = 0.0
    squeeze: float = 1.0
    arch: float = 0.0


PLAIN = Face()
BOLD = Face(weight=0.035)
SPACED = Face(weight=0.015, tracking=0.12)


def write(
    canvas: Image.Image,
    text: str,
    box: tuple[float, float, float, float],
    colour: RGB,
    face: Face = PLAIN,
    align: float = 0.5,
) -> tuple[int, int, int, int]:
    """Write `text` as large as fits `box` (pixels); `align` 0 left .. 1 right. Returns its box."""
    left, top, right, bottom = box
    mask = text_mask(text, max(int(right - left), 4), max(int(bottom - top), 4), face)
    x = round(left + (right - left - mask.width) * align)
    y = round(top + (bottom - top - mask.height) / 2)
    canvas.paste(colour, (x, y), mask)
    return x, y, x + mask.width, y + mask.height


@lru_cache(maxsize=2048)
def text_mask(text: str, width: int, height: int, face: Face) -> Image.Image:
    """The coverage (mode L) of `text` set as large as fits `width` x `height` pixels, cropped."""
    probe = 64
    wide, high = _extent(text, probe, face)
    wide, high = wide * face.squeeze + high * face.slant, high * (1 + face.arch)
    size = max(probe * min(width / wide, height / high), 5.0)
    # Bending moves whole pixels: do it on a mask of twice the size, which is then reduced.
    mask = _set(text, size * 2 if face.arch else size, face)
    if face.slant:
        slanted = round(mask.width + mask.height * face.slant)
        shear = (1, face.slant, -face.slant * mask.height, 0, 1, 0)
        mask = mask.transform(
            (slanted, mask.height), Image.Transform.AFFINE, shear, Image.Resampling.BILINEAR
        )
    if face.arch:
        mask = _arched(mask, face.arch).reduce(2)
    limit = (min(round(mask.width * face.squeeze), width), min(mask.height, height))
    return mask if limit == mask.size else mask.resize(limit, Image.Resampling.BILINEAR)


@lru_cache(maxsize=256)
def _font(size: float) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise RuntimeError("Pillow was built without FreeType: the demo cannot draw text")
    return font


def _extent(text: str, size: float, face: Face) -> tuple[float, float]:
    left, top, right, bottom = _font(size).getbbox(text, stroke_width=face.weight * size)
    return right - left + face.tracking * size * (len(text) - 1), bottom - top


def _set(text: str, size: float, face: Face) -> Image.Image:
    font, stroke = _font(round(size * 4) / 4), face.weight * size
    left, top, right, bottom = font.getbbox(text, stroke_width=stroke)
    gap = face.tracking * size
    extent = (round(right - left + gap * (len(text) - 1)) + 1, round(bottom - top) + 1)
    mask = Image.new("L", (max(extent[0], 1), max(extent[1], 1)))
    draw = ImageDraw.Draw(mask)
    if not gap:
        draw.text((-left, -top), text, 255, font, stroke_width=stroke)
        return mask
    for i, letter in enumerate(text):
        x = font.getlength(text[:i]) + gap * i
        draw.text((x - left, -top), letter, 255, font, stroke_width=stroke)
    return mask


def _arched(mask: Image.Image, arch: float) -> Image.Image:
    """Lift the middle columns of `mask` along a parabola by `arch` times its height."""
    pixels = np.asarray(mask)
    high, wide = pixels.shape
    lift = round(high * arch)
    drop = np.round(lift * np.linspace(-1, 1, wide) ** 2).astype(np.intp)
    rows = np.arange(high + lift)[:, None] - drop[None, :]
    inside = (rows >= 0) & (rows < high)
    bent = np.where(inside, pixels[rows.clip(0, high - 1), np.arange(wide)[None, :]], 0)
    return Image.fromarray(bent.astype(np.uint8))
