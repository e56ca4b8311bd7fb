"""Customer photos: the product among its neighbours, taken by hand, with known ground truth."""

import random
from collections.abc import Sequence
from dataclasses import replace

from PIL import Image, ImageDraw, ImageFilter

from services.demo.camera import Box, shoot
from services.demo.catalog import DemoProduct
from services.demo.packshot import render_cutout
from services.demo.surfaces import flat_surface, shelf, shelf_front, table

_CUTOUT = 480
_CENTIMETRES = {
    "bottle": 28,
    "water": 29,
    "beer": 25,
    "oil": 27,
    "jar": 14,
    "roundjar": 13,
    "widejar": 13,
    "can": 14,
    "slimcan": 17,
    "tin": 13,
    "lowtin": 7,
    "shampoo": 21,
    "pump": 21,
    "tub": 12,
    "tallbox": 28,
    "teabox": 11,
    "widebox": 11,
    "bar": 17,
    "carton": 23,
    "pillow": 27,
    "pouch": 22,
}


def render_photo(
    product: DemoProduct, neighbours: Sequence[DemoProduct], seed: int, size: int = 640
) -> Image.Image:
    """A photo of `product` (`size` x `size` pixels, RGB) with some of `neighbours` around it.

    The same product, neighbours and seed give the same pixels; `neighbours` may be empty.
    """
    rng = random.Random(f"photo:{product.sku}:{seed}")
    canvas = round(size * 1.5)
    others = [other for other in neighbours if other.sku != product.sku]
    rng.shuffle(others)
    draw = rng.random()
    if draw < 0.45:
        scene, frame = _on_shelf(product, others, canvas, rng)
    elif draw < 0.75:
        scene, frame = _on_table(product, others, canvas, rng)
    else:
        scene, frame = _lying(product, others, canvas, rng)
    return shoot(scene, frame, size, rng)


def _on_shelf(
    product: DemoProduct, others: list[DemoProduct], canvas: int, rng: random.Random
) -> tuple[Image.Image, Box]:
    target = _cutout(product, rng.choice((0, 0, 1, 2)), canvas * 0.42)
    floor = round(canvas * 0.76)
    room = round(target.height * rng.uniform(1.25, 1.6))
    scene = shelf(rng, canvas, floor, max(floor - room, 60))
    x = round(canvas * rng.uniform(0.46, 0.54))
    facings = rng.choice((1, 1, 2))
    row = [(target, x)]
    if facings == 2:
        row.append((target, x + target.width + rng.randint(1, 5)))
    last = row[-1]
    edges = [x - target.width // 2, last[1] + target.width - target.width // 2]
    for i, other in enumerate(others[:5]):
        piece = _cutout(other, rng.choice((0, 0, 1)), _like(other, product, canvas * 0.42))
        gap = rng.randint(2, max(canvas // 45, 3))
        if i % 2:
            row.append((piece, edges[1] + gap + piece.width // 2))
            edges[1] += gap + piece.width
        else:
            row.append((piece, edges[0] - gap - (piece.width - piece.width // 2)))
            edges[0] -= gap + piece.width
    for piece, at in row:
        behind = Image.blend(piece.convert("RGB"), Image.new("RGB", piece.size, (24, 22, 22)), 0.5)
        scene.paste(
            behind,
            (at - piece.width // 2 + rng.randint(-6, 6), floor - piece.height - canvas // 40),
            piece.getchannel("A"),
        )
    for piece, at in reversed(row):
        _stand(scene, piece, at, floor + rng.randint(-4, 3), 0.55)
    shelf_front(rng, scene, floor + canvas // 120)
    return scene, _frame(target, x, floor - target.height / 2, canvas, rng)


def _on_table(
    product: DemoProduct, others: list[DemoProduct], canvas: int, rng: random.Random
) -> tuple[Image.Image, Box]:
    target = _cutout(product, rng.randrange(4), canvas * 0.42)
    foot = round(canvas * 0.72)
    scene = table(rng, canvas, foot - round(canvas * rng.uniform(0.08, 0.24)))
    x = round(canvas * rng.uniform(0.44, 0.56))
    side = rng.choice((-1, 1))
    for i, other in enumerate(others[: rng.randint(1, 4)]):
        piece = _cutout(other, rng.randrange(2), _like(other, product, canvas * 0.40))
        way = side if i % 2 else -side
        off = (target.width + piece.width) * rng.uniform(0.38, 0.62) + (i // 2) * piece.width * 0.8
        back = foot - round(canvas * rng.uniform(0.015, 0.06))
        _stand(scene, piece, round(x + way * off), back, 0.75, side)
    _stand(scene, target, x, foot, 0.85, side)
    return scene, _frame(target, x, foot - target.height / 2, canvas, rng)


def _lying(
    product: DemoProduct, others: list[DemoProduct], canvas: int, rng: random.Random
) -> tuple[Image.Image, Box]:
    scene = flat_surface(rng, canvas)
    target = _cutout(product, rng.choice((0, 0, 3)), canvas * 0.46)
    middle = canvas // 2
    for i, other in enumerate(others[: rng.randint(0, 4)]):
        piece = _cutout(other, 0, _like(other, product, canvas * 0.44))
        turned = piece.rotate(rng.uniform(-80, 80), Image.Resampling.BILINEAR, expand=True)
        corner = ((-1, -1), (1, 1), (1, -1), (-1, 1))[i]
        reach = (0.24 + 0.05 * rng.random()) * canvas + min(target.width, piece.width) * 0.35
        _lay(scene, turned, round(middle + corner[0] * reach), round(middle + corner[1] * reach))
    turned = target.rotate(rng.gauss(0, 22), Image.Resampling.BICUBIC, expand=True)
    _lay(scene, turned, middle, middle)
    return scene, _frame(turned, middle, middle, canvas, rng)


def _cutout(product: DemoProduct, view: int, height: float) -> Image.Image:
    # The pack is resized anyway: one baked form per shape serves all its sizes.
    piece = render_cutout(replace(product, scale=1.0), _CUTOUT, view)
    scale = min(height / piece.height, height * 1.15 / piece.width)
    size = (max(round(piece.width * scale), 4), max(round(piece.height * scale), 4))
    return piece.resize(size, Image.Resampling.BILINEAR)


def _like(other: DemoProduct, product: DemoProduct, height: float) -> float:
    """The neighbour's height in pixels where the product's is `height`, kept within reason."""
    ratio = _CENTIMETRES[other.shape] / _CENTIMETRES[product.shape]
    return height * min(max(ratio, 0.5), 1.5) * other.scale


def _stand(
    scene: Image.Image, piece: Image.Image, x: int, foot: int, depth: float, cast: int = 0
) -> None:
    wide, high = piece.size
    left, top = x - wide // 2, foot - high
    small = Image.new("L", (wide // 4 + 24, max(high // 4, 30)))
    ground = small.height - 12
    if cast:
        outline = piece.getchannel("A").resize((max(wide // 4, 1), max(high // 10, 1)))
        shear = (1, cast * 1.1, -cast * 1.1 * outline.height, 0, 1, 0)
        outline = outline.transform((small.width, outline.height), Image.Transform.AFFINE, shear)
        at = (12 if cast < 0 else 2, ground - outline.height)
        small.paste(outline.point(lambda v: v * 0.75), at)
    ImageDraw.Draw(small).ellipse((10, ground - 6, wide // 4 + 13, ground + 2), round(255 * depth))
    blurred = small.filter(ImageFilter.GaussianBlur(2.4))
    shadow = blurred.resize((small.width * 4, small.height * 4), Image.Resampling.BILINEAR)
    scene.paste((16, 14, 14), (left - 48, foot - ground * 4), shadow)
    scene.paste(piece.convert("RGB"), (left, top), piece.getchannel("A"))


def _lay(scene: Image.Image, piece: Image.Image, x: int, y: int) -> None:
    left, top = x - piece.width // 2, y - piece.height // 2
    alpha = piece.getchannel("A")
    pad = 8
    small = Image.new("L", (piece.width // 4 + 2 * pad, piece.height // 4 + 2 * pad))
    small.paste(alpha.resize((piece.width // 4, piece.height // 4)), (pad, pad))
    soft = small.filter(ImageFilter.GaussianBlur(2.2)).point(lambda v: v * 0.6)
    shadow = soft.resize((small.width * 4, small.height * 4), Image.Resampling.BILINEAR)
    scene.paste((14, 12, 12), (left - 4 * pad + 7, top - 4 * pad + 11), shadow)
    scene.paste(piece.convert("RGB"), (left, top), alpha)


def _frame(target: Image.Image, x: float, y: float, canvas: int, rng: random.Random) -> Box:
    """A square around most of the target, whose longer side takes 55 to 102 per cent of it."""
    side = max(target.size) / rng.uniform(0.55, 1.02)
    side = min(side, canvas * 0.80)
    slack = max(side - max(target.size), side * 0.06) * 0.5
    middle_x = x + rng.uniform(-slack, slack) * 0.8
    middle_y = y + rng.uniform(-slack, slack) * 0.6
    # The camera turns and tilts the frame: what it may reach beyond it must be painted too.
    reach = side * 0.62
    middle_x = min(max(middle_x, reach), canvas - reach)
    middle_y = min(max(middle_y, reach), canvas - reach)
    return (middle_x - side / 2, middle_y - side / 2, middle_x + side / 2, middle_y + side / 2)
