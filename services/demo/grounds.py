"""Printed backgrounds of front panels: gradients, waves, rays, frames, patterns, stripes."""

import math
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw

from services.demo.catalog import DemoProduct
from services.demo.colours import darker, lighter, mix
from services.demo.flavours import RGB, Flavour
from services.demo.motifs import silhouette

_WAVE_EDGES = {0: 0.30, 1: 0.52, 7: 0.68}


def paint_ground(product: DemoProduct, flavour: Flavour, width: int, height: int) -> Image.Image:
    """The background of the product's front panel, `width` x `height` pixels, RGB."""
    colour, base, ground = flavour.colour, product.base, product.ground
    variant = (product.design >> 3) % 4
    match product.design % 8:
        case 0:
            return _wave(width, height, base, lighter(base, 0.25), ground, _WAVE_EDGES[0], variant)
        case 1:
            return _wave(width, height, ground, ground, colour, _WAVE_EDGES[1], variant)
        case 2:
            return _rays(width, height, colour)
        case 3:
            return _frame(width, height, ground, base, colour)
        case 4:
            return _pattern(width, height, base, flavour.motif)
        case 5:
            return _stripes(width, height, ground, colour, variant)
        case 6:
            return gradient(width, height, lighter(colour, 0.75), lighter(colour, 0.15))
        case _:
            return _wave(width, height, colour, lighter(colour, 0.2), base, _WAVE_EDGES[7], variant)


def crosses(product: DemoProduct, top: float, bottom: float) -> bool:
    """Whether an edge of the ground runs between the heights `top` and `bottom` (0..1).

    It depends on the parent's design alone, so that all variants get the same layout.
    """
    design = product.design % 8
    if design in _WAVE_EDGES:
        return top - 0.10 < _WAVE_EDGES[design] < bottom + 0.07
    return design in (2, 5)


def gradient(width: int, height: int, top: RGB, bottom: RGB) -> Image.Image:
    """A vertical blend of two colours."""
    share = np.linspace(0, 1, height)[:, None, None]
    column = np.array(top) * (1 - share) + np.array(bottom) * share
    pixels = np.broadcast_to((column + 0.5).astype(np.uint8), (height, width, 3))
    return Image.fromarray(np.ascontiguousarray(pixels))


def _wave(
    width: int, height: int, top: RGB, middle: RGB, bottom: RGB, share: float, variant: int
) -> Image.Image:
    image = gradient(width, height, top, middle)
    xs = np.linspace(-1, 1, 49)
    swing = {0: 0.06 * np.sin(xs * 4), 1: 0.09 * xs, 2: -0.08 * xs**2, 3: 0.07 * xs**2}[variant]
    draw = ImageDraw.Draw(image)
    for offset, colour in ((-0.035, lighter(bottom, 0.45)), (0.0, bottom)):
        edge = [
            ((x + 1) / 2 * width, (share + s + offset) * height)
            for x, s in zip(xs.tolist(), swing.tolist(), strict=True)
        ]
        draw.polygon([*edge, (width, height), (0, height)], colour)
    return image


def _rays(width: int, height: int, colour: RGB) -> Image.Image:
    light = Image.new("RGB", (width, height), lighter(colour, 0.42))
    return Image.composite(
        light, gradient(width, height, colour, darker(colour, 0.12)), _ray_mask(width, height)
    )


@lru_cache(maxsize=64)
def _ray_mask(width: int, height: int) -> Image.Image:
    mask = Image.new("L", (width, height))
    draw = ImageDraw.Draw(mask)
    x, y, far = width / 2, height * 0.46, width + height
    for i in range(18):
        angle = 2 * math.pi * i / 18
        draw.polygon(
            (
                (x, y),
                (x + far * math.cos(angle), y + far * math.sin(angle)),
                (x + far * math.cos(angle + 0.17), y + far * math.sin(angle + 0.17)),
            ),
            255,
        )
    return mask


def _frame(width: int, height: int, ground: RGB, base: RGB, colour: RGB) -> Image.Image:
    image = gradient(width, height, lighter(ground, 0.3), ground)
    draw = ImageDraw.Draw(image)
    edge = max(round(height * 0.018), 3)
    for y in (0.0, 1.0):
        band = height * 0.04
        start = y * (height - band)
        draw.rectangle((0, start, width, start + band), colour)
    for y in (0.055, 0.962):
        draw.line((0, height * y, width, height * y), base, edge // 3 + 1)
    return image


def _pattern(width: int, height: int, base: RGB, motif: str) -> Image.Image:
    image = gradient(width, height, lighter(base, 0.12), darker(base, 0.15))
    tone = lighter(base, 0.22)
    step = max(width // 7, 28)
    shape = silhouette(motif, round(step * 0.62))
    for row, y in enumerate(range(-step // 3, height, step)):
        for x in range(-step // 2 * (row % 2), width, step):
            image.paste(tone, (x, y), shape)
    return image


def _stripes(width: int, height: int, ground: RGB, colour: RGB, variant: int) -> Image.Image:
    image = Image.new("RGB", (width, height), lighter(ground, 0.2))
    draw = ImageDraw.Draw(image)
    pale = mix(colour, ground, 0.72)
    step = max(width // 12, 12)
    lean = (0, height // 2, -height // 2, height // 5)[variant]
    for x in range(-height, width + height, 2 * step):
        draw.polygon(((x, 0), (x + step, 0), (x + step + lean, height), (x + lean, height)), pale)
    draw.rectangle((0, height * 0.86, width, height), colour)
    draw.rectangle((0, 0, width, height * 0.03), colour)
    return image
