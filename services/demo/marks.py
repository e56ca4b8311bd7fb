"""Brand marks and wordmarks: how an invented brand signs its packs."""

import math
import random
from functools import lru_cache

from PIL import Image, ImageDraw

from services.demo.lettering import Face, text_mask
from services.demo.motifs_plants import Points, blade

_CANVAS = 240


def wordmark_face(look: int) -> Face:
    """The lettering of the brand with this look."""
    rng = random.Random(look)
    return Face(
        weight=rng.choice((0.005, 0.02, 0.035, 0.05)),
        tracking=rng.choice((0.0, 0.0, 0.05, 0.14)),
        slant=rng.choice((0.0, 0.0, 0.0, 0.22)),
        squeeze=rng.choice((0.72, 0.9, 1.0)),
        arch=rng.choice((0.0, 0.0, 0.0, 0.0, 0.16)),
    )


def wordmark_text(name: str, look: int) -> str:
    """The brand's name as it writes itself: capitals, lower case or as it is."""
    return (name.upper(), name, name, name.lower())[look % 4]


@lru_cache(maxsize=512)
def mark(look: int, initial: str, size: int) -> Image.Image:
    """The brand's emblem as coverage (mode L), `size` x `size` pixels."""
    image = Image.new("L", (_CANVAS, _CANVAS))
    draw = ImageDraw.Draw(image)
    match (look >> 3) % 8:
        case 0:
            draw.ellipse((8, 8, 232, 232), 255)
            draw.ellipse((24, 24, 216, 216), 0)
            draw.ellipse((34, 34, 206, 206), 255)
            _initial(image, initial, 0)
        case 1:
            _rays(draw, 14)
        case 2:
            draw.polygon(((10, 210), (90, 60), (140, 150), (165, 110), (230, 210)), 255)
            draw.ellipse((160, 30, 210, 80), 255)
        case 3:
            for angle in (-2.3, -math.pi / 2, -0.84):
                draw.polygon(blade(120, 220, 200, angle, 78), 255)
                draw.line(
                    (120, 220, 120 + 190 * math.cos(angle), 220 + 190 * math.sin(angle)), 0, 6
                )
        case 4:
            crown: Points = [
                (20, 190),
                (10, 70),
                (70, 130),
                (120, 40),
                (170, 130),
                (230, 70),
                (220, 190),
            ]
            draw.polygon(crown, 255)
            draw.rectangle((20, 202, 220, 222), 255)
        case 5:
            shield: Points = [(30, 20), (210, 20), (210, 130), (120, 230), (30, 130)]
            draw.polygon(shield, 255)
            _initial(image, initial, 0)
        case 6:
            for k in range(3):
                wave = [(x, 70 + 55 * k + 22 * math.sin(x / 30)) for x in range(10, 231, 4)]
                draw.line(wave, 255, 24, joint="curve")
        case _:
            points = [
                (120 + r * math.cos(a), 125 + r * math.sin(a))
                for r, a in (((112, 48)[i % 2], -math.pi / 2 + i * math.pi / 5) for i in range(10))
            ]
            draw.polygon(points, 255)
    return image.resize((size, size), Image.Resampling.BILINEAR, reducing_gap=2.0)


def _rays(draw: ImageDraw.ImageDraw, many: int) -> None:
    draw.ellipse((72, 72, 168, 168), 255)
    for i in range(many):
        angle = 2 * math.pi * i / many
        draw.polygon(
            blade(120 + 58 * math.cos(angle), 120 + 58 * math.sin(angle), 58, angle, 20), 255
        )


def _initial(image: Image.Image, initial: str, fill: int) -> None:
    letter = text_mask(initial.upper(), 100, 110, Face(weight=0.05))
    image.paste(fill, ((_CANVAS - letter.width) // 2, 115 - letter.height // 2), letter)
