"""Drawings of fruit, vegetables and leaves, each on a 480 x 480 canvas."""

import math
from collections.abc import Callable

from PIL.ImageDraw import ImageDraw

from services.demo.colours import darker, lighter, mix
from services.demo.flavours import RGB

_LEAF: RGB = (66, 132, 54)
_STEM: RGB = (92, 70, 40)
Points = list[tuple[float, float]]


def blade(x: float, y: float, length: float, angle: float, width: float) -> Points:
    """A leaf outline: from (x, y), `length` pixels along `angle` radians, `width` across."""
    cos, sin = math.cos(angle), math.sin(angle)
    steps = [i / 14 for i in range(15)]
    edge = [(t * length, width / 2 * math.sin(math.pi * t**0.8)) for t in steps]
    outline = edge + [(a, -b) for a, b in reversed(edge)]
    return [(x + a * cos - b * sin, y + a * sin + b * cos) for a, b in outline]


def disc(draw: ImageDraw, x: float, y: float, r: float, colour: RGB, tall: float = 1.0) -> None:
    """A filled ellipse of half width `r` and half height `r * tall`."""
    draw.ellipse((x - r, y - r * tall, x + r, y + r * tall), (*colour, 255))


def leaf(draw: ImageDraw, x: float, y: float, length: float, angle: float, colour: RGB) -> None:
    """A leaf with a midrib and side veins."""
    draw.polygon(blade(x, y, length, angle, length * 0.44), (*colour, 255))
    rib = (*lighter(colour, 0.45), 255)
    tip = (x + 0.94 * length * math.cos(angle), y + 0.94 * length * math.sin(angle))
    draw.line((x, y, *tip), rib, 5)
    for t in (0.25, 0.42, 0.59, 0.74):
        a, b = x + t * length * math.cos(angle), y + t * length * math.sin(angle)
        for side in (-0.75, 0.75):
            reach = length * 0.2 * (1.1 - t)
            end = (a + reach * math.cos(angle + side), b + reach * math.sin(angle + side))
            draw.line((a, b, *end), rib, 3)


def _citrus(draw: ImageDraw, colour: RGB) -> None:
    leaf(draw, 270, 120, 190, -0.55, _LEAF)
    disc(draw, 220, 270, 196, colour)
    disc(draw, 220, 270, 178, lighter(colour, 0.82))
    for i in range(9):
        middle = 2 * math.pi * (i + 0.5) / 9
        wedge = [(220 + 14 * math.cos(middle), 270 + 14 * math.sin(middle))]
        for k in range(-5, 6):
            angle = middle + k * 0.057
            wedge.append((220 + 164 * math.cos(angle), 270 + 164 * math.sin(angle)))
        draw.polygon(wedge, (*mix(colour, lighter(colour, 0.3), (i % 3) / 3), 255))
        for r in (80, 120):
            x, y = 220 + r * math.cos(middle), 270 + r * math.sin(middle)
            disc(draw, x, y, 5, lighter(colour, 0.45))


def _round(draw: ImageDraw, colour: RGB) -> None:
    disc(draw, 240, 285, 176, colour, 0.96)
    for i in range(18):
        disc(draw, 290 - 3 * i, 310 - 4 * i, 150 - 7 * i, mix(colour, lighter(colour, 0.5), i / 24))
    disc(draw, 240, 124, 40, darker(colour, 0.25), 0.35)
    draw.line((240, 126, 252, 50), (*_STEM, 255), 14)
    leaf(draw, 250, 92, 160, -0.35, _LEAF)


def _tomato(draw: ImageDraw, colour: RGB) -> None:
    disc(draw, 240, 275, 186, colour, 0.86)
    for i in range(16):
        disc(draw, 200 - 2 * i, 245 - 3 * i, 130 - 8 * i, mix(colour, lighter(colour, 0.4), i / 20))
    for i in range(6):
        angle = i * math.pi / 3 + 0.3
        draw.polygon(blade(240, 135, 110, angle, 30), (*_LEAF, 255))
    draw.line((240, 135, 262, 60), (*_LEAF, 255), 16)


def _cherry(draw: ImageDraw, colour: RGB) -> None:
    draw.line((150, 320, 270, 60), (*_LEAF, 255), 11)
    draw.line((330, 330, 270, 60), (*_LEAF, 255), 11)
    leaf(draw, 270, 66, 180, 0.15, _LEAF)
    for x, y in ((145, 345), (325, 355)):
        disc(draw, x, y, 104, colour)
        disc(draw, x - 26, y - 28, 62, lighter(colour, 0.18))
        disc(draw, x - 38, y - 42, 22, lighter(colour, 0.7))


def _strawberry(draw: ImageDraw, colour: RGB) -> None:
    outline = []
    for i in range(60):
        t = 2 * math.pi * i / 60
        r = 150 * (1 - 0.16 * math.sin(t)) if math.sin(t) < 0 else 150
        outline.append(
            (
                240 + r * math.cos(t) * (1 - 0.24 * max(math.sin(t), 0)),
                240 + r * math.sin(t) * (1.35 if math.sin(t) > 0 else 0.85),
            )
        )
    draw.polygon(outline, (*colour, 255))
    for row in range(6):
        for k in range(-3, 4):
            x, y = 240 + k * 46 + (row % 2) * 23, 170 + row * 46
            if abs(x - 240) < 125 - row * 17:
                disc(draw, x, y, 7, (250, 214, 120), 1.5)
    for i in range(7):
        draw.polygon(blade(240, 118, 130, math.pi * i / 6, 46), (*_LEAF, 255))
    draw.line((240, 120, 240, 40), (*_LEAF, 255), 13)


def _drupes(draw: ImageDraw, colour: RGB, radius: float, widths: tuple[int, ...]) -> None:
    step = radius * 1.62
    for row, many in enumerate(widths):
        for k in range(many):
            x = 240 + (k - (many - 1) / 2) * step * 1.08
            y = 150 + row * step
            disc(draw, x, y, radius, darker(colour, 0.3))
            disc(draw, x - 2, y - 3, radius * 0.88, mix(colour, lighter(colour, 0.2), (k % 2) / 2))
            disc(draw, x - radius * 0.3, y - radius * 0.35, radius * 0.28, lighter(colour, 0.6))


def _berry(draw: ImageDraw, colour: RGB) -> None:
    _drupes(draw, colour, 40, (4, 5, 4, 3, 2))
    for i in range(5):
        draw.polygon(blade(240, 120, 100, math.pi * (i + 0.5) / 5, 36), (*_LEAF, 255))
    draw.line((240, 122, 250, 44), (*_LEAF, 255), 12)


def _grapes(draw: ImageDraw, colour: RGB) -> None:
    draw.line((240, 150, 256, 40), (*_STEM, 255), 13)
    leaf(draw, 250, 96, 180, -0.25, _LEAF)
    leaf(draw, 236, 104, 150, 3.5, darker(_LEAF, 0.15))
    _drupes(draw, colour, 50, (4, 3, 2, 1))


def _kiwi(draw: ImageDraw, colour: RGB) -> None:
    disc(draw, 240, 240, 206, darker(colour, 0.45))
    disc(draw, 240, 240, 190, colour)
    disc(draw, 240, 240, 120, lighter(colour, 0.35))
    disc(draw, 240, 240, 58, lighter(colour, 0.75))
    for i in range(26):
        angle = 2 * math.pi * i / 26
        r = 86 + 16 * (i % 2)
        x, y = 240 + r * math.cos(angle), 240 + r * math.sin(angle)
        draw.polygon(blade(x, y, 24, angle, 12), (48, 40, 30, 255))


def _leaf_sprig(draw: ImageDraw, colour: RGB) -> None:
    draw.line((240, 450, 240, 150), (*darker(colour, 0.3), 255), 10)
    leaf(draw, 240, 400, 190, -2.6, darker(colour, 0.12))
    leaf(draw, 240, 400, 190, -0.5, colour)
    leaf(draw, 240, 290, 185, -2.45, colour)
    leaf(draw, 240, 290, 185, -0.7, darker(colour, 0.12))
    leaf(draw, 240, 200, 180, -1.57, lighter(colour, 0.12))


def _flower(draw: ImageDraw, colour: RGB) -> None:
    leaf(draw, 300, 320, 170, 0.6, _LEAF)
    leaf(draw, 180, 320, 170, 2.5, _LEAF)
    for ring, (many, length) in enumerate(((8, 205), (8, 145))):
        for i in range(many):
            angle = 2 * math.pi * (i + ring / 2) / many
            shade = mix(darker(colour, 0.1), lighter(colour, 0.35), (i % 2 + ring) / 2)
            draw.polygon(blade(240, 230, length, angle, length * 0.5), (*shade, 255))
    disc(draw, 240, 230, 46, (240, 190, 60))
    disc(draw, 240, 230, 26, (206, 146, 40))


def _olives(draw: ImageDraw, colour: RGB) -> None:
    draw.line((90, 90, 400, 230), (*_STEM, 255), 10)
    for x, y, angle in ((150, 115, -0.9), (240, 155, -0.8), (330, 200, -0.6), (395, 225, 0.5)):
        leaf(draw, x, y, 150, angle, mix(_LEAF, (150, 160, 120), 0.3))
    for x, y in ((150, 270), (270, 330)):
        disc(draw, x, y, 74, colour, 1.28)
        disc(draw, x - 20, y - 34, 26, lighter(colour, 0.5), 1.4)


def _pineapple(draw: ImageDraw, colour: RGB) -> None:
    for i in range(9):
        angle = -math.pi / 2 + (i - 4) * 0.22
        shade = mix(_LEAF, lighter(_LEAF, 0.3), (i % 2) / 2)
        draw.polygon(blade(240, 200, 190 - 14 * abs(i - 4), angle, 48), (*shade, 255))
    disc(draw, 240, 315, 118, darker(colour, 0.25), 1.3)
    for row in range(9):
        for k in range(-2, 3):
            x, y = 240 + k * 52 + (row % 2) * 26, 185 + row * 33
            if ((x - 240) / 110) ** 2 + ((y - 315) / 146) ** 2 < 1:
                draw.polygon(((x, y - 24), (x + 22, y), (x, y + 24), (x - 22, y)), (*colour, 255))
                disc(draw, x, y, 6, lighter(colour, 0.5))


def _chilli(draw: ImageDraw, colour: RGB) -> None:
    for dx, turn in ((0, 1.0), (110, 0.72)):
        spine = [
            (110 + dx + 250 * t * turn, 110 + 300 * t - 90 * t * t)
            for t in (i / 30 for i in range(31))
        ]
        for i, (x, y) in enumerate(spine):
            disc(draw, x, y, 46 * (1 - i / 31) ** 0.6 + 3, colour)
        for i, (x, y) in enumerate(spine[3:22]):
            disc(draw, x - 10, y - 14, 7 * (1 - i / 24), lighter(colour, 0.5))
        disc(draw, 108 + dx, 100, 42, _LEAF, 0.6)
        draw.line((108 + dx, 100, 90 + dx, 36), (*_LEAF, 255), 14)


def _hops(draw: ImageDraw, colour: RGB) -> None:
    leaf(draw, 230, 110, 170, -0.2, _LEAF)
    leaf(draw, 250, 110, 170, 3.4, _LEAF)
    for row in range(6):
        for k in range(-2, 3):
            if abs(k) <= 2 - max(row - 3, 0):
                x, y = 240 + k * (58 - row * 4), 150 + row * 42
                shade = mix(colour, lighter(colour, 0.4), (row + k) % 2 * 0.6)
                draw.polygon(blade(x, y, 110, math.pi / 2 - k * 0.12, 76), (*shade, 255))


PLANTS: dict[str, Callable[[ImageDraw, RGB], None]] = {
    "citrus": _citrus,
    "round": _round,
    "tomato": _tomato,
    "cherry": _cherry,
    "strawberry": _strawberry,
    "berry": _berry,
    "grapes": _grapes,
    "kiwi": _kiwi,
    "leaf": _leaf_sprig,
    "flower": _flower,
    "olives": _olives,
    "pineapple": _pineapple,
    "chilli": _chilli,
    "hops": _hops,
}
