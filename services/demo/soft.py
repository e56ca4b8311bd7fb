"""Soft packs (pillow bags, stand-up pouches): a puffed, creased foil with seals."""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from services.demo.forms import VIEWS, Atlas, Floats, Form, bake, doubled, half, studio

FOLDS = 3


@dataclass(frozen=True)
class Soft:
    """A soft pack in shares of the picture; `matte` 0 shiny .. 1 dull, `creases` how many."""

    wide: float
    high: float
    matte: float
    creases: int


SOFTS: dict[str, Soft] = {
    "pillow": Soft(0.60, 0.82, 0.15, 46),
    "pouch": Soft(0.56, 0.80, 0.65, 26),
}


def soft_atlas_size(shape: str, scale: float, size: int) -> Atlas:
    """Width and height in pixels of a soft pack's front."""
    soft = SOFTS[shape]
    return round(soft.wide * scale * size) * 2, round(soft.high * scale * size) * 2


@lru_cache(maxsize=32)
def soft_form(shape: str, scale: float, size: int, view: int, fold: int) -> Form:
    """The soft pack `shape`, creased the way `fold` (0..FOLDS-1) says."""
    soft, look = SOFTS[shape], VIEWS[view % len(VIEWS)]
    wide, high = soft_atlas_size(shape, scale, size)
    squeeze = math.cos(math.radians(look.turn))
    rows, columns = high + 8, wide + 8
    ys, xs = np.mgrid[0:rows, 0:columns].astype(np.float32)
    down = (ys - 4) / high
    across = (xs - columns / 2) / (wide / 2) / squeeze
    rng = np.random.default_rng([fold, len(shape)])
    edge = _edge(shape, down, rng)
    inside = across / edge
    relief = _creases(soft, half(inside), half(down), rng)
    relief += _puff(shape, half(inside), half(down))
    slope_y, slope_x = (_gradient(relief, axis) * np.float32(wide / 4) for axis in (0, 1))
    shade, gloss = _light(soft, slope_x, slope_y, look.light)
    _seals(shape, half(inside), half(down), shade)
    drift = math.sin(math.radians(look.turn)) * 0.30 * doubled(relief)
    cover = _cover(shape, inside, down, wide * squeeze, high)
    across = inside + 0.010 * doubled(slope_x) + drift
    texel = _texels(across, down + 0.004 * doubled(slope_y), (wide, high))
    origin = (size // 2 - columns // 4, round(0.51 * size) - rows // 4)
    reach, foot = wide * squeeze / 4, origin[1] + (rows - 4) / 2
    footprint = [
        (size / 2 + reach * math.cos(t), foot - 4 + 0.022 * size * math.sin(t))
        for t in (2 * math.pi * i / 40 for i in range(40))
    ]
    return bake((wide, high), origin, texel, cover, shade, gloss, studio(size, look, footprint))


def _single(values: NDArray[np.floating]) -> Floats:
    return values.astype(np.float32)


def _gradient(values: Floats, axis: int) -> Floats:
    slope: Floats = np.gradient(values, axis=axis)
    return slope


def _edge(shape: str, down: Floats, rng: np.random.Generator) -> Floats:
    """Half width of the outline, 0..1, at each place from the top."""
    belly = np.sin(np.pi * np.clip(down, 0, 1))
    if shape == "pillow":
        wobble = sum(
            (
                0.006 * np.sin(down * frequency + phase)
                for frequency, phase in zip((9, 17, 31), rng.uniform(0, 6, 3), strict=True)
            ),
            np.zeros_like(down),
        )
        return _single(0.985 - 0.065 * np.clip(belly, 0, 1) ** 0.5 + wobble)
    flare = 0.93 + 0.05 * np.clip(down, 0, 1) ** 2
    corner = np.clip((down - 0.93) / 0.07, 0, 1)
    return _single(flare * (1 - 0.10 * corner**2.4))


def _puff(shape: str, inside: Floats, down: Floats) -> Floats:
    t = np.clip(np.abs(inside), 0, 1)
    rise = np.clip(down, 0, 1)
    if shape == "pillow":
        fill = np.clip(np.sin(np.pi * np.clip((rise - 0.045) / 0.91, 0, 1)), 0, 1) ** 0.45
        return _single(0.34 * np.sqrt(1 - t**2.6) * fill)
    fill = np.clip((rise - 0.10) / 0.75, 0, 1) ** 0.7
    side = np.sqrt(np.clip(1 - (t / 0.95) ** 3, 0, 1))
    return _single(0.30 * side * fill * (1 - 0.35 * np.clip((rise - 0.86) / 0.14, 0, 1)))


def _creases(soft: Soft, inside: Floats, down: Floats, rng: np.random.Generator) -> Floats:
    """Short ridges: upright near the seals, any way along the sides; zero far inside the front."""
    total = np.zeros_like(inside)
    for i in range(soft.creases):
        if i % 3:
            x, y = rng.uniform(-0.95, 0.95), rng.choice((0.07, 0.93)) + rng.normal(0, 0.03)
            angle = rng.normal(math.pi / 2, 0.25) + x * (0.5 if y < 0.5 else -0.5)
        else:
            x, y = rng.choice((-1, 1)) * rng.uniform(0.6, 0.95), rng.uniform(0.12, 0.9)
            angle = rng.uniform(0, math.pi)
        length, width = rng.uniform(0.06, 0.20), rng.uniform(0.010, 0.028)
        # Only a window around the crease is touched: the maps are large, creases are many.
        first, last = np.searchsorted(down[:, 0], (y - 2 * length, y + 2 * length))
        middle = inside[(first + last) // 2 if last < len(down) else -1]
        start, stop = np.searchsorted(middle, (x - 2.2 * length, x + 2.2 * length))
        window = (slice(first, last), slice(start, stop))
        dx, dy = inside[window] - x, (down[window] - y) * 1.4
        along = dx * math.cos(angle) + dy * math.sin(angle)
        off = -dx * math.sin(angle) + dy * math.cos(angle) + along**2 * rng.normal(0, 0.8)
        ridge = np.exp(-((along / length) ** 2) - (off / width) ** 2)
        total[window] += rng.normal(0, 0.012) * ridge
    return total


def _light(soft: Soft, slope_x: Floats, slope_y: Floats, side: float) -> tuple[Floats, Floats]:
    facing = -slope_x * 0.55 * side - slope_y * 0.35
    shade = np.clip(0.86 + 0.26 * facing, 0.42, 1.0)
    toward = (slope_x * -side - 0.42) ** 2 + (slope_y - 0.12) ** 2
    away = (slope_x * side - 0.95) ** 2 + slope_y**2 * 0.4
    gloss = (1 - soft.matte) * (0.55 * np.exp(-toward / 0.03) + 0.25 * np.exp(-away / 0.05))
    return shade.astype(np.float32), gloss.astype(np.float32) + np.float32(0.02)


def _seals(shape: str, inside: Floats, down: Floats, shade: Floats) -> None:
    """Ribbed seals, a pouch's zip and gusset, darkened in place."""
    if shape == "pillow":
        band = (down < 0.045) | (down > 0.955)
        ribs = 0.90 + 0.10 * np.sin(down * 620)
        shade[band] = ribs[band]
        return
    band = (down < 0.06) | (np.abs(inside) > 0.955)
    shade[band] = 0.90 + 0.06 * np.sin(down * 500 + inside * 160)[band]
    for line in (0.105, 0.122):
        shade -= 0.16 * np.exp(-(((down - line) / 0.003) ** 2))
    gusset = 0.90 + 0.055 * (1 - inside**2)
    shade -= 0.20 * np.exp(-(((down - gusset) / 0.006) ** 2))
    shade[down > gusset] *= 0.86


def _cover(shape: str, inside: Floats, down: Floats, wide: float, high: int) -> Floats:
    side = np.clip((1 - np.abs(inside)) * wide / 2 + 0.5, 0, 1)
    if shape == "pillow":
        teeth = 3.0 * np.abs(((inside * 34) % 1) - 0.5)
        top, low = down * high - teeth, (1 - down) * high - teeth
    else:
        sag = 0.022 * (1 - np.clip(inside, -1, 1) ** 2)
        top, low = down * high, (1 - 0.022 + sag - down) * high
    cover: Floats = side * np.clip(top + 0.5, 0, 1) * np.clip(low + 0.5, 0, 1)
    return cover.astype(np.float32)


def _texels(across: Floats, down: Floats, atlas: Atlas) -> NDArray[np.int32]:
    columns = np.clip((across + 1) / 2 * atlas[0], 0, atlas[0] - 1).astype(np.int32)
    rows = np.clip(down * atlas[1], 0, atlas[1] - 1).astype(np.int32)
    return rows * np.int32(atlas[0]) + columns
