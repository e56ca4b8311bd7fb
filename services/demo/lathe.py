"""Turned geometry: where the camera sees each point of a vessel, and how the light falls on it."""

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from services.demo.forms import VIEWS, Floats, Form, bake, half, studio
from services.demo.vessels import VESSELS, Part, Vessel

SPAN = math.radians(240)
_MARGIN = 4


@lru_cache(maxsize=80)
def turned_form(shape: str, scale: float, size: int, view: int) -> Form:
    """The vessel `shape` at `scale` of its full height in a picture of `size` pixels."""
    vessel, look = VESSELS[shape], VIEWS[view % len(VIEWS)]
    high = round(vessel.height * scale * size * 2)
    radii = _radii(vessel, high)
    widest = float(radii.max())
    if widest > size * 0.94:
        raise ValueError(f"{shape} is wider than the picture")
    squash = look.tilt
    wide = round(widest + _MARGIN) * 2
    rows = (round(high + squash * widest * 2) + 2 * _MARGIN) // 2 * 2
    xs = (np.arange(wide, dtype=np.float32) - wide / 2 + 0.5)[None, :]
    ys = (np.arange(rows, dtype=np.float32) - _MARGIN - squash * radii[0])[:, None]
    place, radius = _unproject(xs, ys, radii, squash)
    share = (place / high).astype(np.float32)
    top = _top_disc(xs, ys, float(radii[0]), squash)
    on_side = (place <= high - 1) & (place >= 0)
    cover = np.where(on_side, np.clip(radius - np.abs(xs) + 0.5, 0, 1), 0).astype(np.float32)
    cover = np.maximum(cover, top)
    if vessel.lid == "spout":
        cover = np.maximum(cover, _spout(xs, share, high))
    angle = np.arcsin(np.clip(xs / radius, -0.999, 0.999))
    shade, gloss = _light(vessel, half(share), half(angle), look.light, _slope(radii, half(place)))
    on_top = half(top * (place < 0)) > 0
    _light_top(vessel, half(xs), half(ys), radii, squash, on_top, shade, gloss)
    atlas = (round(widest * SPAN), high)
    texel = _texels(place, angle + math.radians(look.turn), atlas)
    origin = (size // 2 - wide // 4, round(0.51 * size) - rows // 4)
    foot = origin[1] + (_MARGIN + squash * float(radii[0]) + high) / 2
    ground = studio(size, look, _footprint(size, foot, radii, squash))
    return bake(atlas, origin, texel, cover, shade, gloss, ground)


def _radii(vessel: Vessel, high: int) -> Floats:
    places, radii = zip(*vessel.outline, strict=True)
    dense = np.interp(np.linspace(0, 1, high), places, radii) * high
    width = max(high // 60, 2)
    kernel = np.ones(width) / width
    smooth = np.convolve(np.pad(dense, width, mode="edge"), kernel, mode="same")[width:-width]
    return smooth.astype(np.float32)


def _unproject(xs: Floats, ys: Floats, radii: Floats, squash: float) -> tuple[Floats, Floats]:
    """Place along the axis and the radius there of each pixel, by fixed-point steps."""
    place = np.broadcast_to(ys, (ys.shape[0], xs.shape[1])).astype(np.float32)
    for _ in range(4):
        radius = radii[np.clip(place, 0, len(radii) - 1).astype(np.intp)]
        depth = np.sqrt(np.maximum(radius**2 - xs**2, 0))
        place = ys - squash * depth
    return place, radius


def _top_disc(xs: Floats, ys: Floats, radius: float, squash: float) -> Floats:
    reach = np.sqrt((xs / radius) ** 2 + (ys / (squash * radius)) ** 2)
    disc: Floats = np.clip((1 - reach) * radius * squash + 0.5, 0, 1).astype(np.float32)
    return disc


def _spout(xs: Floats, share: Floats, high: int) -> Floats:
    """The nozzle of a pump: a bar to the left of its head, drooping at the tip."""
    out = -xs / high
    centre = 0.026 + np.clip(out - 0.10, 0, 1) * 0.5
    bar = (out > 0) & (out < 0.148) & (np.abs(share - centre) < 0.0125)
    return bar.astype(np.float32)


def _slope(radii: Floats, place: Floats) -> Floats:
    slopes = np.gradient(radii).astype(np.float32)
    picked: Floats = slopes[np.clip(place, 0, len(radii) - 1).astype(np.intp)]
    return picked.clip(-1.5, 1.5)


def _lobe(angle: Floats, centre: float, width: float) -> Floats:
    lobe: Floats = np.exp(-(((angle - centre) / width) ** 2))
    return lobe


def _light(
    vessel: Vessel, share: Floats, angle: Floats, side: float, slope: Floats
) -> tuple[Floats, Floats]:
    shade, gloss = np.ones_like(angle), np.zeros_like(angle)
    for part in vessel.parts:
        rows = np.nonzero(((share >= part.top) & (share <= part.bottom)).any(axis=1))[0]
        if not len(rows):
            continue
        band = slice(rows[0], rows[-1] + 1)
        inside = (share[band] >= part.top) & (share[band] <= part.bottom)
        lit, shine = _material(part, angle[band], side, share[band], slope[band])
        shade[band] = np.where(inside, lit, shade[band])
        gloss[band] = np.where(inside, shine, gloss[band])
    # The foot turns away from the light, and the edge of each part casts a hairline of shade.
    shade *= 1 - 0.35 * np.clip((share - 0.955) / 0.045, 0, 1) ** 2
    for part in vessel.parts[1:]:
        shade *= 1 - 0.22 * np.exp(-(((share - part.top) / 0.004) ** 2))
    return shade, gloss


def _material(
    part: Part, angle: Floats, side: float, share: Floats, slope: Floats
) -> tuple[Floats, Floats]:
    falloff = np.cos(angle)
    key = _lobe(angle, 0.62 * side, 0.9)
    tilt = np.clip(slope, -1, 1) * 0.12
    match part.material:
        case "glass":
            shade = 0.50 + 0.38 * falloff**0.6 + 0.16 * key
            gloss = 0.62 * _lobe(angle, 0.80 * side, 0.085) + 0.30 * _lobe(angle, -0.98 * side, 0.1)
        case "clear":
            shade = 0.62 + 0.34 * falloff**0.5 + 0.10 * key - 0.12 * np.sin(angle * 7) ** 2 * 0.5
            gloss = 0.70 * _lobe(angle, 0.72 * side, 0.07) + 0.42 * _lobe(angle, -0.9 * side, 0.12)
        case "metal":
            bands = 0.5 + 0.5 * np.cos(angle * 5.2 + 0.7 * side)
            shade = 0.46 + 0.22 * falloff + 0.36 * bands
            gloss = 0.55 * _lobe(angle, 0.55 * side, 0.13) + 0.25 * _lobe(angle, -0.75 * side, 0.1)
        case "sheen":
            shade = 0.42 + 0.40 * falloff**0.7 + 0.22 * key
            gloss = 0.36 * _lobe(angle, 0.66 * side, 0.12) + 0.22 * _lobe(angle, -1.0 * side, 0.13)
        case "ribbed":
            ribs = 0.5 + 0.5 * np.cos(angle * 46)
            shade = 0.44 + 0.40 * falloff**0.7 + 0.12 * key + 0.10 * ribs
            gloss = 0.14 * _lobe(angle, 0.6 * side, 0.3) * (0.4 + 0.6 * ribs)
        case "plastic":
            shade = 0.48 + 0.40 * falloff**0.65 + 0.16 * key
            gloss = 0.24 * _lobe(angle, 0.62 * side, 0.16) + 0.10 * _lobe(angle, -0.95 * side, 0.15)
        case _:
            shade = 0.52 + 0.36 * falloff**0.75 + 0.16 * key
            gloss = 0.06 * _lobe(angle, 0.6 * side, 0.35)
    return shade + tilt, gloss * (1 + tilt)


def _light_top(
    vessel: Vessel,
    xs: Floats,
    ys: Floats,
    radii: Floats,
    squash: float,
    on: NDArray[np.bool_],
    shade: Floats,
    gloss: Floats,
) -> None:
    """Shade the flat top in place: rings of a can's lid, or a plain lit disc."""
    radius = float(radii[0])
    reach = np.sqrt((xs / radius) ** 2 + (ys / (squash * radius)) ** 2)
    sweep = 0.5 + 0.5 * np.sin(3 * np.arctan2(ys / squash, xs) + 0.8)
    if vessel.lid == "can":
        rings = 0.62 + 0.2 * sweep + 0.16 * np.cos(reach * 26) * (reach > 0.55)
        tab = np.abs(ys / squash + radius * 0.1) < radius * 0.45
        tab = tab & (np.abs(xs) < radius * 0.16)
        lit = np.where(tab, 0.98, rings) - 0.35 * (np.abs(reach - 0.88) < 0.05)
        shine = 0.25 * sweep * (reach < 0.85) + 0.4 * (reach > 0.94)
    elif vessel.lid == "foil":
        lit, shine = 0.86 + 0.14 * sweep + 0 * reach, 0.16 * sweep + 0 * reach
    else:
        lit = 0.94 + 0.06 * sweep - 0.1 * (np.abs(reach - 0.9) < 0.03)
        shine = 0.10 + 0 * reach
    shade[on], gloss[on] = lit[on], shine[on]


def _texels(place: Floats, angle: Floats, atlas: tuple[int, int]) -> NDArray[np.int32]:
    columns = np.clip((angle / SPAN + 0.5) * atlas[0], 0, atlas[0] - 1).astype(np.int32)
    rows = np.clip(place, 0, atlas[1] - 1).astype(np.int32)
    flat: NDArray[np.int32] = rows * np.int32(atlas[0]) + columns
    return flat


def _footprint(size: int, foot: float, radii: Floats, squash: float) -> list[tuple[float, float]]:
    radius = float(radii[-1]) / 2 * 1.04
    return [
        (size / 2 + radius * math.cos(t), foot + squash * radius * math.sin(t))
        for t in (2 * math.pi * i / 40 for i in range(40))
    ]
