"""Drawings of nuts, grain, sweets, water and the rest, each on a 480 x 480 canvas."""

import math
from collections.abc import Callable

from PIL.ImageDraw import ImageDraw

from services.demo.colours import darker, lighter, mix
from services.demo.flavours import RGB
from services.demo.motifs_plants import blade, disc, leaf

_LEAF: RGB = (66, 132, 54)


def _banana(draw: ImageDraw, colour: RGB) -> None:
    for offset, shade in ((60, darker(colour, 0.12)), (0, colour)):
        outer = [
            (240 + 215 * math.cos(t), 90 + offset + 250 * math.sin(t))
            for t in (0.1 + 2.9 * i / 30 for i in range(31))
        ]
        inner = [
            (240 + 185 * math.cos(t), 60 + offset + 160 * math.sin(t))
            for t in (3.0 - 2.9 * i / 30 for i in range(31))
        ]
        draw.polygon(outer + inner, (*shade, 255))
        draw.line(outer[3:28], (*darker(shade, 0.2), 255), 5)
        disc(draw, *outer[0], 20, (96, 74, 40))
        disc(draw, *outer[-1], 16, (96, 74, 40))


def _coconut(draw: ImageDraw, colour: RGB) -> None:
    disc(draw, 240, 250, 200, colour)
    for i in range(40):
        a = 2 * math.pi * i / 40
        draw.line(
            (
                240 + 186 * math.cos(a),
                250 + 186 * math.sin(a),
                240 + 206 * math.cos(a + 0.1),
                250 + 206 * math.sin(a + 0.1),
            ),
            (*darker(colour, 0.35), 255),
            6,
        )
    disc(draw, 246, 246, 166, (252, 250, 244), 0.96)
    disc(draw, 252, 254, 118, (226, 222, 212), 0.94)
    disc(draw, 258, 264, 96, (244, 242, 236), 0.9)


def _nuts(draw: ImageDraw, colour: RGB) -> None:
    for x, y, angle, shade in (
        (90, 180, 0.35, darker(colour, 0.12)),
        (130, 360, -0.5, colour),
        (215, 290, 0.2, lighter(colour, 0.1)),
    ):
        draw.polygon(blade(x, y, 250, angle, 150), (*shade, 255))
        for k in (-0.16, 0.0, 0.16):
            path = [
                (
                    x + 250 * t * math.cos(angle + k * math.sin(math.pi * t)),
                    y + 250 * t * math.sin(angle + k * math.sin(math.pi * t)),
                )
                for t in (0.12 + 0.076 * i for i in range(11))
            ]
            draw.line(path, (*darker(shade, 0.25), 255), 5)


def _beans(draw: ImageDraw, colour: RGB) -> None:
    for x, y, wide in ((150, 170, 104), (320, 200, 96), (215, 335, 112)):
        disc(draw, x, y, wide, darker(colour, 0.2), 0.76)
        disc(draw, x - 5, y - 6, wide * 0.92, colour, 0.74)
        path = [
            (x - wide * 0.8 + 1.6 * wide * t, y + 16 * math.sin(2 * math.pi * t))
            for t in (i / 20 for i in range(21))
        ]
        draw.line(path, (*darker(colour, 0.55), 255), 12)
        disc(draw, x - wide * 0.3, y - wide * 0.36, wide * 0.24, lighter(colour, 0.35), 0.5)


def _wheat(draw: ImageDraw, colour: RGB) -> None:
    for foot, lean in ((150, -0.22), (240, 0.0), (330, 0.22)):
        top = foot + 250 * lean
        draw.line((240, 460, top, 110), (*darker(colour, 0.2), 255), 8)
        for i in range(7):
            t = 0.42 + 0.09 * i
            x, y = 240 + (top - 240) * t, 460 - 350 * t
            for side in (-1, 1):
                angle = -math.pi / 2 + lean + side * 0.55
                shade = mix(colour, lighter(colour, 0.3), (i % 2) / 2)
                draw.polygon(blade(x, y, 84, angle, 34), (*shade, 255))
        draw.polygon(blade(top, 130, 90, -math.pi / 2 + lean, 30), (*colour, 255))


def _honeycomb(draw: ImageDraw, colour: RGB) -> None:
    for row, col in ((0, 0), (0, 1), (1, -0.5), (1, 0.5), (1, 1.5), (2, 0), (2, 1)):
        x, y = 165 + 150 * col, 115 + 130 * row
        for r, shade in ((88, darker(colour, 0.25)), (74, colour), (52, lighter(colour, 0.25))):
            draw.polygon(
                [
                    (x + r * math.cos(a), y + r * math.sin(a))
                    for a in (math.pi / 6 + k * math.pi / 3 for k in range(6))
                ],
                (*shade, 255),
            )
    draw.polygon([(240, 270), (275, 400), (240, 440), (205, 400)], (*lighter(colour, 0.1), 255))
    disc(draw, 240, 405, 38, lighter(colour, 0.1))


def _drop(draw: ImageDraw, colour: RGB) -> None:
    for x, y, r in ((240, 300, 140), (95, 200, 60), (390, 180, 52)):
        cone = [(x, y - 2.0 * r), (x + r * 0.9, y - r * 0.42), (x - r * 0.9, y - r * 0.42)]
        draw.polygon(cone, (*colour, 255))
        disc(draw, x, y, r, colour)
        disc(draw, x + r * 0.12, y + r * 0.2, r * 0.7, lighter(colour, 0.22))
        disc(draw, x - r * 0.4, y - r * 0.1, r * 0.2, lighter(colour, 0.8), 1.7)


def _bubbles(draw: ImageDraw, colour: RGB) -> None:
    spots = (
        (150, 330, 110),
        (330, 290, 84),
        (230, 150, 70),
        (390, 130, 48),
        (90, 160, 44),
        (400, 410, 50),
        (270, 430, 36),
        (310, 60, 30),
    )
    for x, y, r in spots:
        disc(draw, x, y, r, darker(colour, 0.15))
        disc(draw, x, y, r * 0.88, lighter(colour, 0.25))
        disc(draw, x + r * 0.1, y + r * 0.12, r * 0.66, colour)
        disc(draw, x - r * 0.4, y - r * 0.4, r * 0.22, lighter(colour, 0.85))


def _squares(draw: ImageDraw, colour: RGB) -> None:
    for row in range(3):
        for col in range(3):
            if row + col > 3:
                continue
            x, y = 50 + col * 132 - row * 14, 70 + row * 122 + col * 14
            for inset, shade in (
                (0, darker(colour, 0.25)),
                (6, lighter(colour, 0.16)),
                (24, colour),
            ):
                box = [
                    (x + inset, y + inset),
                    (x + 126 - inset, y + 6 + inset),
                    (x + 120 - inset, y + 118 - inset),
                    (x - 6 + inset, y + 112 - inset),
                ]
                draw.polygon(box, (*shade, 255))


def _crystals(draw: ImageDraw, colour: RGB) -> None:
    for x, y, r in ((160, 320, 108), (320, 340, 92), (240, 180, 96), (390, 210, 52), (90, 190, 48)):
        top, left = (x, y - r * 0.6), (x - r, y - r * 0.2)
        right, mid, low = (x + r, y - r * 0.2), (x, y + r * 0.2), (x, y + r)
        draw.polygon((top, right, mid, left), (*lighter(colour, 0.75), 255))
        draw.polygon((left, mid, low, (x - r, y + r * 0.6)), (*darker(colour, 0.12), 255))
        draw.polygon((right, mid, low, (x + r, y + r * 0.6)), (*lighter(colour, 0.25), 255))


def _cheese(draw: ImageDraw, colour: RGB) -> None:
    draw.polygon(((40, 270), (420, 110), (440, 260)), (*lighter(colour, 0.4), 255))
    draw.polygon(((40, 270), (440, 260), (440, 400), (40, 400)), (*colour, 255))
    for x, y, r in ((120, 340, 30), (230, 320, 40), (340, 350, 34), (400, 300, 20), (190, 385, 18)):
        disc(draw, x, y, r, darker(colour, 0.22))
        disc(draw, x + 3, y + 5, r * 0.82, darker(colour, 0.1))


def _rings(draw: ImageDraw, colour: RGB) -> None:
    for x, y, r in ((180, 200, 150), (310, 320, 130)):
        for k in range(4):
            disc(draw, x, y, r * (1 - 0.2 * k), darker(colour, 0.35), 0.94)
            disc(draw, x, y, r * (0.95 - 0.2 * k), lighter(colour, 0.45), 0.94)
    for angle in (-0.9, -0.5, -0.1):
        leaf(draw, 60, 450, 240, angle, _LEAF)


def _corn(draw: ImageDraw, colour: RGB) -> None:
    disc(draw, 240, 230, 92, darker(colour, 0.15), 2.1)
    for row in range(12):
        for k in range(-2, 3):
            x, y = 240 + k * 34, 62 + row * 30 + (k % 2) * 12
            if ((x - 240) / 96) ** 2 + ((y - 230) / 190) ** 2 < 1:
                disc(draw, x, y, 16, mix(colour, lighter(colour, 0.35), (row + k) % 2 * 0.7))
    draw.polygon(blade(240, 460, 330, -2.05, 130), (*_LEAF, 255))
    draw.polygon(blade(240, 460, 330, -1.08, 130), (*lighter(_LEAF, 0.15), 255))


def _fish(draw: ImageDraw, colour: RGB) -> None:
    draw.polygon(blade(30, 240, 370, 0.0, 220), (*colour, 255))
    draw.polygon(blade(30, 262, 360, 0.0, 150), (*lighter(colour, 0.55), 255))
    draw.polygon(((370, 240), (465, 150), (445, 240), (465, 330)), (*darker(colour, 0.2), 255))
    draw.polygon(((170, 140), (290, 96), (290, 160)), (*darker(colour, 0.2), 255))
    for col in range(6):
        for row in range(-1, 2):
            x, y = 150 + col * 36, 226 + row * 36
            draw.arc((x - 20, y - 20, x + 20, y + 20), -70, 70, (*darker(colour, 0.25), 255), 5)
    disc(draw, 88, 222, 16, (250, 250, 250))
    disc(draw, 88, 222, 9, (20, 20, 24))
    draw.arc((70, 170, 150, 310), -60, 60, (*darker(colour, 0.4), 255), 6)


SWEETS: dict[str, Callable[[ImageDraw, RGB], None]] = {
    "banana": _banana,
    "coconut": _coconut,
    "nuts": _nuts,
    "beans": _beans,
    "wheat": _wheat,
    "honeycomb": _honeycomb,
    "drop": _drop,
    "bubbles": _bubbles,
    "squares": _squares,
    "crystals": _crystals,
    "cheese": _cheese,
    "rings": _rings,
    "corn": _corn,
    "fish": _fish,
}
