"""What is printed on boxes, cartons and bars: the front panel, side panels, roofs."""

import random

from PIL import Image, ImageDraw

from services.demo.catalog import DemoProduct
from services.demo.colours import darker, lighter, mean_colour, mix, readable
from services.demo.flavours import FLAVOURS, RGB
from services.demo.lettering import BOLD, PLAIN, text_mask, write
from services.demo.marks import mark, wordmark_face, wordmark_text
from services.demo.panels import draw_panel
from services.demo.solids import SOLIDS, Rect, solid_rects


def solid_atlas(product: DemoProduct, size: int) -> Image.Image:
    """All faces of the product's folded pack side by side, RGB; places as in `solid_rects`."""
    atlas, rects = solid_rects(product.shape, product.scale, size)
    image = Image.new("RGB", atlas, product.base)
    front = rects["front"]
    panel = draw_panel(product, front[2], front[3], 0.88)
    image.paste(panel, front[:2])
    colour = mean_colour(panel, (0, front[3] // 3, front[2], front[3]))
    _side(image, product, rects["side"], mix(colour, product.base, 0.35))
    if SOLIDS[product.shape].gable:
        _roof(image, product, rects)
    else:
        _lid(image, product, rects["roof"], mix(colour, product.base, 0.2))
    return image


def _side(image: Image.Image, product: DemoProduct, rect: Rect, colour: RGB) -> None:
    left, top, width, height = rect
    draw = ImageDraw.Draw(image)
    draw.rectangle((left, top, left + width, top + height), colour)
    ink = readable(lighter(colour, 0.8), colour)
    if width < 60:
        return
    inner = (left + width * 0.12, left + width * 0.88)
    write(
        image,
        product.flavour,
        (inner[0], top + height * 0.05, inner[1], top + height * 0.12),
        ink,
        BOLD,
    )
    rows = 9
    for i in range(rows):
        y = top + height * (0.18 + 0.045 * i)
        draw.line((inner[0], y, inner[1], y), ink, 1)
        draw.line(
            (
                inner[0],
                y + height * 0.02,
                inner[0] + width * (0.25 + 0.05 * (i * 7 % 5)),
                y + height * 0.02,
            ),
            ink,
            3,
        )
        draw.line((inner[1] - width * 0.14, y + height * 0.02, inner[1], y + height * 0.02), ink, 3)
    _barcode(draw, product.sku, (inner[0], top + height * 0.72, inner[1], top + height * 0.86))
    write(image, product.size, (inner[0], top + height * 0.89, inner[1], top + height * 0.95), ink)


def _barcode(draw: ImageDraw.ImageDraw, sku: str, box: tuple[float, float, float, float]) -> None:
    left, top, right, bottom = box
    if bottom - top < 16:
        return
    draw.rectangle(box, (255, 255, 255))
    rng = random.Random(sku)
    x = round(left) + 5
    while x < right - 6:
        thick = rng.randint(1, 4)
        draw.rectangle((x, top + 4, x + thick - 1, bottom - 4), (20, 20, 20))
        x += thick + rng.randint(2, 4)


def _lid(image: Image.Image, product: DemoProduct, rect: Rect, colour: RGB) -> None:
    left, top, width, height = rect
    ImageDraw.Draw(image).rectangle((left, top, left + width, top + height - 1), colour)
    if height > 40:
        name = wordmark_text(product.brand, product.look)
        box = (left + width * 0.3, top + height * 0.25, left + width * 0.7, top + height * 0.75)
        write(image, name, box, readable(product.ink, colour), wordmark_face(product.look))


def _roof(image: Image.Image, product: DemoProduct, rects: dict[str, Rect]) -> None:
    draw = ImageDraw.Draw(image)
    colour = FLAVOURS[product.flavour].colour
    left, top, width, height = rects["roof"]
    draw.rectangle((left, top, left + width, top + height), product.base)
    _, fin_top, _, fin = rects["fin"]
    draw.rectangle((0, fin_top, width, fin_top + fin), lighter(product.base, 0.14))
    for y in range(fin_top + 4, fin_top + fin, 6):
        draw.line((0, y, width, y), darker(product.base, 0.06), 1)
    end_left, end_top, end_width, end_high = rects["end"]
    draw.rectangle(
        (end_left, end_top, end_left + end_width, end_top + end_high), darker(product.base, 0.12)
    )
    if (product.design >> 20) % 2:
        _screw_cap(draw, left + width * 0.5, top + height * 0.52, height * 0.33, colour)
        return
    emblem = mark(product.look, product.brand[0], round(height * 0.6))
    image.paste(
        product.ink, (round(left + (width - emblem.width) / 2), round(top + height * 0.2)), emblem
    )
    size = text_mask(product.size, round(width * 0.2), round(height * 0.14), PLAIN)
    image.paste(product.ink, (round(left + width * 0.76), round(top + height * 0.78)), size)


def _screw_cap(draw: ImageDraw.ImageDraw, x: float, y: float, r: float, colour: RGB) -> None:
    for grow, drop, tone in (
        (1.12, 0.22, darker(colour, 0.55)),
        (1.0, 0.1, darker(colour, 0.2)),
        (1.0, 0.0, colour),
        (0.8, 0.0, lighter(colour, 0.2)),
        (0.74, 0.02, colour),
    ):
        reach = r * grow
        draw.ellipse((x - reach, y - reach + r * drop, x + reach, y + reach + r * drop), tone)
