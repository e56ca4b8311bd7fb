"""Flavour illustrations: small vector drawings, shaded, rendered once and reused at every size."""

import math
import random
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from services.demo.colours import darker
from services.demo.flavours import RGB
from services.demo.motifs_plants import PLANTS
from services.demo.motifs_sweets import SWEETS

_MASTER = 480
_KEPT = 340
_DRAWINGS: dict[str, Callable[[ImageDraw.ImageDraw, RGB], None]] = {**PLANTS, **SWEETS}


@lru_cache(maxsize=192)
def motif(name: str, colour: RGB, size: int) -> Image.Image:
    """The drawing `name` in `colour` as an RGBA image of `size` x `size` pixels."""
    return _master(name, colour).resize((size, size), Image.Resampling.BILINEAR, reducing_gap=2.0)


@lru_cache(maxsize=128)
def _master(name: str, colour: RGB) -> Image.Image:
    flat = Image.new("RGBA", (_MASTER, _MASTER))
    _DRAWINGS[name](ImageDraw.Draw(flat), colour)
    alpha = flat.getchannel("A")
    # Light from the upper left, found from the softened outline: gives flat shapes volume.
    height = np.asarray(alpha.filter(ImageFilter.GaussianBlur(26)), np.float32)
    down, across = np.gradient(height)
    light = np.clip(1.0 + (down + across) * 0.055, 0.72, 1.2)
    light += 0.03 * (np.asarray(alpha, np.float32) > 0) - 0.03
    pixels = np.asarray(flat, np.float32).copy()
    pixels[..., :3] = np.clip(pixels[..., :3] * light[..., None], 0, 255)
    shaded = Image.fromarray(pixels.astype(np.uint8), "RGBA")
    return shaded.resize((_KEPT, _KEPT), Image.Resampling.BICUBIC)


@lru_cache(maxsize=192)
def cluster(name: str, colour: RGB, size: int, many: int, seed: int) -> Image.Image:
    """`many` copies of a drawing piled up with leaves of shadow between, RGBA, `size` square."""
    rng = random.Random(seed)
    pile = Image.new("RGBA", (size, size))
    for i in range(many):
        angle = 2 * math.pi * i / many + rng.random()
        reach = 0.0 if many == 1 else 0.22 * size
        edge = round(size * (0.96 if many == 1 else rng.uniform(0.5, 0.62)))
        piece = motif(name, colour, edge).rotate(rng.uniform(-25, 25), Image.Resampling.BILINEAR)
        at = (
            round(size / 2 + reach * math.cos(angle) - edge / 2),
            round(size / 2 + 0.8 * reach * math.sin(angle) - edge / 2),
        )
        shade = Image.new("RGBA", piece.size, (*darker(colour, 0.75), 0))
        shade.putalpha(
            ImageChops.multiply(
                piece.getchannel("A").filter(ImageFilter.GaussianBlur(size / 40)),
                Image.new("L", piece.size, 90),
            )
        )
        _over(pile, shade, (at[0], at[1] + round(size * 0.025)))
        _over(pile, piece, at)
    return pile


def silhouette(name: str, size: int) -> Image.Image:
    """The coverage (mode L) of a drawing at `size` x `size` pixels, for patterns."""
    return motif(name, (128, 128, 128), size).getchannel("A")


def _over(canvas: Image.Image, piece: Image.Image, at: tuple[int, int]) -> None:
    layer = Image.new("RGBA", canvas.size)
    layer.paste(piece, at)
    canvas.alpha_composite(layer)
