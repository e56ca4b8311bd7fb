"""What is printed on bags and pouches."""

from PIL import Image, ImageDraw

from services.demo.catalog import DemoProduct
from services.demo.colours import darker, lighter
from services.demo.flavours import FLAVOURS
from services.demo.forms import Atlas
from services.demo.panels import draw_panel


def soft_atlas(product: DemoProduct, atlas: Atlas) -> Image.Image:
    """The front of the product's bag, RGB: the panel between plain seals."""
    wide, high = atlas
    colour = FLAVOURS[product.flavour].colour
    image = Image.new("RGB", atlas, product.base)
    head, foot = (0.045, 0.955) if product.shape == "pillow" else (0.10, 0.965)
    top, bottom = round(head * high), round(foot * high)
    image.paste(draw_panel(product, wide, bottom - top, 0.80), (0, top))
    draw = ImageDraw.Draw(image)
    if product.shape == "pillow":
        draw.rectangle((0, bottom, wide, high), colour)
    else:
        draw.rectangle((0, bottom, wide, high), darker(colour, 0.2))
        if product.category.endswith("Coffee"):
            _valve(draw, wide * 0.5, high * 0.155, wide * 0.022)
    return image


def _valve(draw: ImageDraw.ImageDraw, x: float, y: float, r: float) -> None:
    grey = (150, 150, 152)
    draw.ellipse((x - r, y - r, x + r, y + r), darker(grey, 0.3))
    draw.ellipse((x - r * 0.8, y - r * 0.85, x + r * 0.8, y + r * 0.75), lighter(grey, 0.4))
    for dx in (-0.35, 0.0, 0.35):
        draw.ellipse(
            (x + r * (dx - 0.1), y - r * 0.1, x + r * (dx + 0.1), y + r * 0.1), (60, 60, 62)
        )
