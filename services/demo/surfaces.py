"""Places where customers take photos: shelves, tables, cloths; painted without products."""

import random
from functools import lru_cache

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from services.demo.colours import darker, lighter, mix
from services.demo.flavours import RGB
from services.demo.grounds import gradient
from services.demo.lettering import BOLD, write

_WOODS: tuple[RGB, ...] = ((176, 128, 82), (120, 80, 50), (206, 170, 124), (92, 66, 50))
_STONES: tuple[RGB, ...] = ((222, 220, 216), (150, 150, 152), (70, 72, 76), (236, 230, 220))
_WALLS: tuple[RGB, ...] = (
    (226, 220, 208),
    (196, 206, 210),
    (170, 160, 150),
    (220, 200, 180),
    (120, 130, 128),
    (240, 238, 234),
)
_BACKS: tuple[RGB, ...] = (
    (208, 208, 206),
    (120, 122, 126),
    (232, 230, 226),
    (60, 62, 68),
    (150, 116, 84),
)
_RAILS: tuple[RGB, ...] = (
    (236, 236, 236),
    (200, 40, 44),
    (40, 90, 160),
    (245, 205, 40),
    (88, 88, 92),
)


@lru_cache(maxsize=4)
def grain(size: int) -> Image.Image:
    """Fixed film grain of mean 128, mode L, `size` pixels square, for photos to cut from."""
    noise = np.random.default_rng(7).normal(128, 40, (size, size))
    return Image.fromarray(noise.clip(0, 255).astype(np.uint8))


def shelf(rng: random.Random, size: int, floor: int, ceiling: int) -> Image.Image:
    """A shop shelf whose board is at row `floor` and whose upper board ends at row `ceiling`."""
    back = rng.choice(_BACKS)
    image = gradient(size, size, darker(back, 0.55), darker(back, 0.1))
    draw = ImageDraw.Draw(image)
    rail = rng.choice(_RAILS)
    for x in range(rng.randrange(40), size, 46):
        draw.ellipse((x, ceiling + 40, x + 5, ceiling + 45), darker(back, 0.65))
    board = darker(back, 0.05)
    draw.polygon(
        ((0, floor - size // 28), (size, floor - size // 28), (size, floor + 6), (0, floor + 6)),
        board,
    )
    image = image.reduce(4).resize((size, size), Image.Resampling.BILINEAR)
    shade = gradient(size, size // 5, (95, 95, 95), (255, 255, 255))
    strip = image.crop((0, ceiling, size, ceiling + size // 5))
    image.paste(ImageChops.multiply(strip, shade), (0, ceiling))
    _rail(image, rng, rail, ceiling - size // 14, size // 14)
    return image


def shelf_front(rng: random.Random, image: Image.Image, floor: int) -> None:
    """Draw the rail with price tags in front of a shelf's board, and the dark gap below it."""
    size = image.width
    rail = rng.choice(_RAILS)
    high = size // 13
    below = Image.new("RGB", (size, max(size - floor - high, 1)), (34, 33, 34))
    image.paste(below, (0, floor + high))
    _rail(image, rng, rail, floor, high)


def _rail(image: Image.Image, rng: random.Random, colour: RGB, top: int, high: int) -> None:
    size = image.width
    image.paste(gradient(size, high, lighter(colour, 0.25), darker(colour, 0.25)), (0, top))
    draw = ImageDraw.Draw(image)
    draw.line((0, top, size, top), lighter(colour, 0.6), 2)
    x = rng.randrange(size // 5)
    while x < size:
        wide = round(high * rng.uniform(1.6, 2.1))
        paper = rng.choice(((252, 252, 250), (252, 252, 250), (255, 226, 60)))
        draw.rectangle((x, top + high * 0.12, x + wide, top + high * 0.92), paper)
        price = f"{rng.randint(0, 9)}.{rng.randint(1, 9)}9"
        write(
            image,
            price,
            (x + wide * 0.3, top + high * 0.3, x + wide * 0.95, top + high * 0.8),
            (20, 20, 20),
            BOLD,
            1.0,
        )
        for k in range(3):
            y = top + high * (0.24 + 0.12 * k)
            draw.line((x + 4, y, x + wide * 0.3, y), (110, 110, 110), 1)
        x += wide + rng.randrange(size // 8, size // 3)


def table(rng: random.Random, size: int, horizon: int) -> Image.Image:
    """A table top below row `horizon`, a blurred room above it."""
    image = gradient(size, size, *_pair(rng, _WALLS))
    draw = ImageDraw.Draw(image)
    for _ in range(rng.randint(4, 9)):
        x, y = rng.randrange(size), rng.randrange(max(horizon, 1))
        wide, high = rng.randint(size // 16, size // 4), rng.randint(size // 12, size // 3)
        tone = (rng.randint(30, 250), rng.randint(30, 230), rng.randint(30, 220))
        shape = draw.ellipse if rng.random() < 0.3 else draw.rectangle
        shape((x - wide, y - high, x + wide, y + high), mix(tone, (190, 184, 176), 0.45))
    small = image.reduce(8).filter(ImageFilter.GaussianBlur(size / 220))
    image = small.resize((size, size), Image.Resampling.BICUBIC)
    top = flat_surface(rng, size)
    near = size - horizon
    squeezed = top.transform(
        (size, near),
        Image.Transform.QUAD,
        (size * 0.22, 0, 0, size, size, size, size * 0.78, 0),
        Image.Resampling.BILINEAR,
    )
    image.paste(squeezed, (0, horizon))
    return image


def flat_surface(rng: random.Random, size: int) -> Image.Image:
    """A surface seen from above: wood, stone, checked cloth or plain, `size` pixels square."""
    match rng.randrange(4):
        case 0:
            return _wood(rng, size)
        case 1:
            return _stone(rng, size)
        case 2:
            return _cloth(rng, size)
        case _:
            return gradient(size, size, *_pair(rng, _STONES + _WALLS))


def _pair(rng: random.Random, colours: tuple[RGB, ...]) -> tuple[RGB, RGB]:
    colour = rng.choice(colours)
    return lighter(colour, 0.1), darker(colour, 0.15)


def _texture(seed: int, size: int, wide: int, high: int) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 256, (high, wide), dtype=np.uint8)
    return Image.fromarray(noise).resize((size, size), Image.Resampling.BICUBIC)


def _wood(rng: random.Random, size: int) -> Image.Image:
    colour = rng.choice(_WOODS)
    fibres = Image.blend(
        _texture(rng.randrange(1 << 30), size, 6, 160),
        _texture(rng.randrange(1 << 30), size, 24, 60),
        0.35,
    )
    image = Image.composite(
        Image.new("RGB", (size, size), lighter(colour, 0.16)),
        Image.new("RGB", (size, size), darker(colour, 0.28)),
        fibres,
    )
    draw = ImageDraw.Draw(image)
    plank = size // rng.randint(4, 8)
    for y in range(rng.randrange(plank), size, plank):
        draw.line((0, y, size, y), darker(colour, 0.6), 3)
    return image


def _stone(rng: random.Random, size: int) -> Image.Image:
    colour = rng.choice(_STONES)
    clouds = Image.blend(
        _texture(rng.randrange(1 << 30), size, 9, 9),
        _texture(rng.randrange(1 << 30), size, 90, 90),
        0.4,
    )
    return Image.composite(
        Image.new("RGB", (size, size), lighter(colour, 0.2)),
        Image.new("RGB", (size, size), darker(colour, 0.16)),
        clouds,
    )


def _cloth(rng: random.Random, size: int) -> Image.Image:
    colour = (rng.randint(40, 210), rng.randint(40, 170), rng.randint(40, 190))
    image = Image.new("RGB", (size, size), (238, 234, 226))
    step = size // rng.randint(10, 22)
    band = Image.new("L", (size, size))
    draw = ImageDraw.Draw(band)
    for at in range(0, size, 2 * step):
        draw.rectangle((at, 0, at + step, size), 120)
    crossed = Image.fromarray(
        np.minimum(np.asarray(band).astype(np.uint16) + np.asarray(band).T, 230).astype(np.uint8)
    )
    image.paste(colour, (0, 0), crossed)
    return image
