"""Folded packs (boxes, cartons, bars): flat faces in space, seen in perspective."""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from services.demo.forms import VIEWS, Atlas, Floats, Form, View, bake, half, studio

Point = tuple[float, float, float]
Rect = tuple[int, int, int, int]
Corners = NDArray[np.float64]
_DISTANCE = 4.2
_MARGIN = 4


@dataclass(frozen=True)
class Solid:
    """A folded pack in shares of the picture; `gable` is the rise of a carton's roof, `fin` its
    sealed ridge, `turn` (degrees) the pack's own angle to the camera and `sheen` its gloss."""

    wide: float
    high: float
    deep: float
    turn: float = -24.0
    gable: float = 0.0
    fin: float = 0.0
    sheen: float = 0.05


SOLIDS: dict[str, Solid] = {
    "tallbox": Solid(0.50, 0.74, 0.15),
    "teabox": Solid(0.58, 0.40, 0.26, turn=-28.0),
    "widebox": Solid(0.70, 0.40, 0.17, turn=-20.0),
    "bar": Solid(0.37, 0.80, 0.035, turn=-14.0, sheen=0.12),
    "carton": Solid(0.31, 0.56, 0.27, turn=-30.0, gable=0.13, fin=0.055),
}


@dataclass(frozen=True)
class Face:
    """One flat face: corners from the upper left clockwise, its place in the atlas, its light."""

    corners: tuple[Point, Point, Point, Point]
    rect: Rect
    light: float


def solid_rects(shape: str, scale: float, size: int) -> tuple[Atlas, dict[str, Rect]]:
    """The atlas of a folded pack and the place (left, top, width, height) of each face in it."""
    solid, unit = SOLIDS[shape], scale * size * 2
    wide, high, deep = (round(side * unit) for side in (solid.wide, solid.high, solid.deep))
    roof = round(math.hypot(solid.gable, solid.deep / 2) * unit) if solid.gable else deep
    fin = round(solid.fin * unit)
    top = roof + fin
    rects = {
        "fin": (0, 0, wide, fin),
        "roof": (0, fin, wide, roof),
        "front": (0, top, wide, high),
        "side": (wide, top, deep, high),
        "end": (wide, fin, deep, roof),
    }
    return (wide + deep, top + high), rects


@lru_cache(maxsize=32)
def solid_form(shape: str, scale: float, size: int, view: int) -> Form:
    """The folded pack `shape` at `scale` of its full size in a picture of `size` pixels."""
    solid, look = SOLIDS[shape], VIEWS[view % len(VIEWS)]
    atlas, rects = solid_rects(shape, scale, size)
    turn = math.radians(solid.turn + look.turn)
    flat = [
        (face, _project(face.corners, turn, look.tilt, scale * size * 2))
        for face in _faces(solid, rects, turn, look.light)
    ]
    seen = [(face, quad) for face, quad in flat if _area(quad) > 1]
    points = np.concatenate([quad for _, quad in seen])
    low, far = points.min(axis=0), points.max(axis=0)
    wide, rows = (int(side) // 2 * 2 + 2 * _MARGIN for side in np.ceil(far - low))
    seen = [(face, quad - low + _MARGIN) for face, quad in seen]
    texel, shade = _shade_faces(seen, wide, rows, atlas, look)
    cover = _cover([quad for _, quad in seen], wide, rows)
    gloss = _edges([quad / 2 for _, quad in seen], wide // 2, rows // 2) * 0.30
    gloss += _sheen(wide // 2, rows // 2, solid, look)
    origin = (size // 2 - wide // 4, round(0.51 * size) - rows // 4)
    base = _project(_floor(solid), turn, look.tilt, scale * size * 2) - low + _MARGIN
    footprint = [(origin[0] + x / 2, origin[1] + y / 2) for x, y in base.tolist()]
    return bake(atlas, origin, texel, cover, half(shade), gloss, studio(size, look, footprint))


def _faces(solid: Solid, rects: dict[str, Rect], turn: float, light: float) -> list[Face]:
    w, h, d = solid.wide / 2, solid.high, solid.deep / 2
    x = w if turn < 0 else -w
    front_light, side_light = 1.0, 0.66 if light * turn > 0 else 0.78
    near, back = ((x, d), (x, -d)) if turn < 0 else ((x, -d), (x, d))
    side = Face(
        (
            (near[0], h, near[1]),
            (back[0], h, back[1]),
            (back[0], 0, back[1]),
            (near[0], 0, near[1]),
        ),
        rects["side"],
        side_light,
    )
    front = Face(((-w, h, d), (w, h, d), (w, 0, d), (-w, 0, d)), rects["front"], front_light)
    if not solid.gable:
        top = Face(((-w, h, -d), (w, h, -d), (w, h, d), (-w, h, d)), rects["roof"], 1.08)
        return [side, top, front]
    ridge, tip = h + solid.gable, h + solid.gable + solid.fin
    end = Face(
        (
            (x, ridge, 0.001 * near[1] / d),
            (x, ridge, 0.001 * back[1] / d),
            (back[0], h, back[1]),
            (near[0], h, near[1]),
        ),
        rects["end"],
        side_light * 0.86,
    )
    roof = Face(((-w, ridge, 0), (w, ridge, 0), (w, h, d), (-w, h, d)), rects["roof"], 1.07)
    fin = Face(((-w, tip, 0), (w, tip, 0), (w, ridge, 0), (-w, ridge, 0)), rects["fin"], 0.95)
    return [side, end, fin, roof, front]


def _floor(solid: Solid) -> tuple[Point, Point, Point, Point]:
    w, d = solid.wide / 2, solid.deep / 2
    return (-w, 0, -d), (w, 0, -d), (w, 0, d), (-w, 0, d)


def _project(corners: tuple[Point, ...], turn: float, tilt: float, unit: float) -> Corners:
    """Corners (n, 3) as pixels (n, 2), y down, for a camera `tilt` radians above the middle."""
    points = np.array(corners, np.float64)
    x = points[:, 0] * math.cos(turn) + points[:, 2] * math.sin(turn)
    z = -points[:, 0] * math.sin(turn) + points[:, 2] * math.cos(turn)
    y = points[:, 1] - 0.4
    lift = tilt * 1.5
    y, z = y * math.cos(lift) - z * math.sin(lift), y * math.sin(lift) + z * math.cos(lift)
    near = _DISTANCE / (_DISTANCE - z)
    return np.stack([x * near, -y * near], axis=1) * unit


def _area(quad: Corners) -> float:
    x, y = quad[:, 0], quad[:, 1]
    return float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y)) / 2


def _shade_faces(
    seen: list[tuple[Face, Corners]], wide: int, rows: int, atlas: Atlas, look: View
) -> tuple[NDArray[np.int32], Floats]:
    ys, xs = np.mgrid[0:rows, 0:wide].astype(np.float32) + 0.5
    texel = np.zeros((rows, wide), np.int32)
    shade = np.ones((rows, wide), np.float32)
    # The first pass lets faces spill over their edges, so that the silhouette has no dark fringe.
    for spill in (0.05, 0.0):
        for face, quad in seen:
            u, v = _unproject(quad, xs, ys)
            inside = (u >= -spill) & (u <= 1 + spill) & (v >= -spill) & (v <= 1 + spill)
            left, top, width, height = face.rect
            column = left + np.clip(u * width, 0, width - 1).astype(np.int32)
            row = top + np.clip(v * height, 0, height - 1).astype(np.int32)
            texel[inside] = (row * np.int32(atlas[0]) + column)[inside]
            fade = face.light * (0.97 - 0.08 * v - 0.05 * look.light * (u - 0.5))
            shade[inside] = fade[inside]
    return texel, shade


def _unproject(quad: Corners, xs: Floats, ys: Floats) -> tuple[Floats, Floats]:
    """Pixel to face coordinates (0..1, 0..1) by the homography of the face's corners."""
    rows, right = [], []
    for (x, y), (u, v) in zip(quad.tolist(), ((0, 0), (1, 0), (1, 1), (0, 1)), strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        right += [u, v]
    a, b, c, d, e, f, g, h = np.linalg.solve(np.array(rows), np.array(right)).astype(np.float32)
    scale = 1 / (g * xs + h * ys + 1)
    return (a * xs + b * ys + c) * scale, (d * xs + e * ys + f) * scale


def _cover(quads: list[Corners], wide: int, rows: int) -> Floats:
    mask = Image.new("L", (wide * 2, rows * 2))
    draw = ImageDraw.Draw(mask)
    for quad in quads:
        draw.polygon([(x * 2, y * 2) for x, y in quad.tolist()], 255)
    return np.asarray(mask.reduce(2), np.float32) / np.float32(255)


def _edges(quads: list[Corners], wide: int, rows: int) -> Floats:
    """Card catches light along its folds."""
    mask = Image.new("L", (wide, rows))
    draw = ImageDraw.Draw(mask)
    for quad in quads:
        corners = [(x, y) for x, y in quad.tolist()]
        draw.line([*corners, corners[0]], 255, 1)
    return np.asarray(mask.filter(ImageFilter.GaussianBlur(0.6)), np.float32) / np.float32(255)


def _sheen(wide: int, rows: int, solid: Solid, look: View) -> Floats:
    ys, xs = np.mgrid[0:rows, 0:wide].astype(np.float32)
    along = (xs / wide - 0.5) * look.light + 0.45 * (ys / rows - 0.5)
    sheen: Floats = solid.sheen * np.exp(-(((along - 0.12) / 0.2) ** 2)).astype(np.float32)
    return sheen
