"""A customer's phone: perspective, uneven light, glare, blur, white balance, noise, JPEG."""

import io
import math
import random

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from services.demo.surfaces import grain

Box = tuple[float, float, float, float]


def shoot(scene: Image.Image, frame: Box, size: int, rng: random.Random) -> Image.Image:
    """A photo of the part `frame` (pixels) of the scene, `size` x `size` pixels RGB."""
    photo = _perspective(scene, frame, size, rng)
    photo = _light(photo, rng)
    if rng.random() < 0.45:
        photo = _glare(photo, rng)
    photo = _blur(photo, rng)
    photo = _develop(photo, rng)
    return _compress(photo, rng)


def _perspective(scene: Image.Image, frame: Box, size: int, rng: random.Random) -> Image.Image:
    left, top, right, bottom = frame
    play = (right - left) * 0.055
    corners = [
        (x + rng.uniform(-play, play), y + rng.uniform(-play, play))
        for x, y in ((left, top), (right, top), (right, bottom), (left, bottom))
    ]
    roll = math.radians(min(max(rng.gauss(0, 3.0), -6), 6))
    middle_x, middle_y = (left + right) / 2, (top + bottom) / 2
    turned = [
        (
            middle_x + (x - middle_x) * math.cos(roll) - (y - middle_y) * math.sin(roll),
            middle_y + (x - middle_x) * math.sin(roll) + (y - middle_y) * math.cos(roll),
        )
        for x, y in corners
    ]
    rows, right_side = [], []
    for (x, y), (u, v) in zip(turned, ((0, 0), (size, 0), (size, size), (0, size)), strict=True):
        rows += [[u, v, 1, 0, 0, 0, -x * u, -x * v], [0, 0, 0, u, v, 1, -y * u, -y * v]]
        right_side += [x, y]
    solved = np.linalg.solve(np.array(rows, float), np.array(right_side, float)).tolist()
    return scene.transform(
        (size, size), Image.Transform.PERSPECTIVE, solved, Image.Resampling.BILINEAR
    )


def _light(photo: Image.Image, rng: random.Random) -> Image.Image:
    """Lamps are to one side, corners are darker, and now and then the photographer's shadow."""
    ys, xs = np.mgrid[-1:1:24j, -1:1:24j]
    angle, fall = rng.uniform(0, 2 * math.pi), rng.uniform(0.02, 0.28)
    field = 1 - fall * (0.5 + 0.5 * (xs * math.cos(angle) + ys * math.sin(angle)))
    field -= rng.uniform(0.02, 0.14) * (xs**2 + ys**2) / 2
    if rng.random() < 0.25:
        side = rng.choice((-1, 1)) * (xs + rng.uniform(-0.6, 0.6) * ys) - rng.uniform(0.1, 0.7)
        field *= 1 - rng.uniform(0.2, 0.45) / (1 + np.exp(-side * 9))
    small = Image.fromarray((field.clip(0, 1) * 255).astype(np.uint8))
    mask = small.resize(photo.size, Image.Resampling.BICUBIC)
    return ImageChops.multiply(photo, Image.merge("RGB", (mask, mask, mask)))


def _glare(photo: Image.Image, rng: random.Random) -> Image.Image:
    small = Image.new("L", (80, 80))
    draw = ImageDraw.Draw(small)
    x, y, strength = rng.uniform(20, 60), rng.uniform(14, 60), rng.randint(70, 210)
    wide, high = (
        (rng.uniform(2, 5), rng.uniform(10, 24))
        if rng.random() < 0.5
        else (rng.uniform(4, 11), rng.uniform(4, 11))
    )
    draw.ellipse((x - wide, y - high, x + wide, y + high), strength)
    small = small.rotate(rng.uniform(-50, 50)).filter(ImageFilter.GaussianBlur(rng.uniform(2, 5)))
    glow = small.resize(photo.size, Image.Resampling.BICUBIC)
    return ImageChops.screen(photo, Image.merge("RGB", (glow, glow, glow.point(lambda v: v * 0.9))))


def _blur(photo: Image.Image, rng: random.Random) -> Image.Image:
    unit = photo.width / 640
    kind = rng.random()
    if kind < 0.25:
        return photo
    if kind < 0.85:
        return photo.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.6) * unit))
    reach, angle = rng.uniform(2, 6) * unit, rng.uniform(0, math.pi)
    total = photo
    for step in range(1, 5):
        dx, dy = (round(reach * step / 4 * part) for part in (math.cos(angle), math.sin(angle)))
        total = Image.blend(total, ImageChops.offset(photo, dx, dy), 1 / (step + 1))
    return total


def _develop(photo: Image.Image, rng: random.Random) -> Image.Image:
    """Noise, then white balance, exposure and contrast as one curve per channel."""
    big = grain(photo.width + 256)
    x, y = rng.randrange(256), rng.randrange(256)
    cut = big.crop((x, y, x + photo.width, y + photo.height))
    other = cut.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    speckle = Image.merge("RGB", (cut, Image.blend(cut, other, 0.3), other))
    photo = (
        ImageChops.add(photo, speckle, 1, -128)
        if rng.random() < 0.06
        else Image.blend(photo, ImageChops.overlay(photo, speckle), rng.uniform(0.05, 0.34))
    )
    warmth, tint = rng.gauss(0, 0.075), rng.gauss(0, 0.03)
    gains = (1 + warmth, 1 + tint, 1 - warmth)
    gamma, gain, lift = rng.uniform(0.68, 1.12), rng.uniform(0.9, 1.14), rng.uniform(0, 16)
    curve: list[int] = []
    for channel in gains:
        curve += [
            max(0, min(255, round(lift + (255 - lift) * gain * channel * (v / 255) ** gamma)))
            for v in range(256)
        ]
    return photo.point(curve)


def _compress(photo: Image.Image, rng: random.Random) -> Image.Image:
    size = photo.size
    if rng.random() < 0.2:
        share = rng.uniform(0.45, 0.8)
        photo = photo.resize(
            (round(size[0] * share), round(size[1] * share)), Image.Resampling.BILINEAR
        )
    stream = io.BytesIO()
    photo.save(stream, "JPEG", quality=rng.randint(38, 90))
    stream.seek(0)
    with Image.open(stream) as opened:
        return opened.convert("RGB").resize(size, Image.Resampling.BILINEAR)
