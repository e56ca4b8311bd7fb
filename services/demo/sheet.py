"""Contact sheets: many pictures on one page, to look the renderer over or to show it."""

from collections.abc import Sequence

from PIL import Image

from services.demo.catalog import DemoProduct
from services.demo.lettering import PLAIN, write
from services.demo.packshot import render_packshot
from services.demo.photo import render_photo

_CAPTION = 22


def packshot_sheet(
    products: Sequence[DemoProduct], columns: int = 10, cell: int = 200
) -> Image.Image:
    """A grid of captioned packshots, `cell` pixels each."""
    entries = [(product.title, [render_packshot(product)]) for product in products]
    return _grid(entries, columns, cell)


def photo_sheet(
    products: Sequence[DemoProduct], seed: int = 0, columns: int = 4, cell: int = 200
) -> Image.Image:
    """A grid of pairs: the packshot and beside it a customer photo of the same product."""
    pairs = []
    for i, product in enumerate(products):
        photo = render_photo(product, products[max(i - 4, 0) : i + 5], seed)
        pairs.append((product.title, [render_packshot(product), photo]))
    return _grid(pairs, columns, cell)


def _grid(entries: Sequence[tuple[str, list[Image.Image]]], columns: int, cell: int) -> Image.Image:
    across = len(entries[0][1]) * cell + 8
    down = cell + _CAPTION + 8
    page = Image.new("RGB", (columns * across, -(-len(entries) // columns) * down), (255, 255, 255))
    for i, (title, pictures) in enumerate(entries):
        left, top = i % columns * across + 4, i // columns * down + 4
        for k, picture in enumerate(pictures):
            small = picture.resize((cell, cell), Image.Resampling.LANCZOS)
            page.paste(small, (left + k * cell, top))
        box = (left, top + cell + 4, left + across - 8, top + cell + _CAPTION - 6)
        write(page, title, box, (70, 70, 74), PLAIN)
    return page
