"""Search results as a picture: the photo on the left, what was found on the right."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw

from services.demo.lettering import PLAIN, write

_CAPTION = 40
_GREEN, _GREY = (31, 138, 76), (222, 222, 226)
Found = tuple[Path, str, float, bool]  # picture, title, score, is it the product of the photo


def result_sheet(rows: Sequence[tuple[Path, Sequence[Found]]], cell: int = 180) -> Image.Image:
    """One row a query, RGB: the photo, then results best first, the right product framed."""
    across, down = cell + 10, cell + _CAPTION
    columns = 1 + max(len(found) for _, found in rows)
    page = Image.new("RGB", (columns * across + 30, len(rows) * down), (255, 255, 255))
    for number, (photo, found) in enumerate(rows):
        top = number * down
        _paste(page, photo, (5, top + 5), cell, None)
        for place, (picture, title, score, right) in enumerate(found, start=1):
            left = place * across + 25
            _paste(page, picture, (left, top + 5), cell, _GREEN if right else _GREY)
            _caption(page, f"{score:.2f}", left, top + cell + 7, cell)
            _caption(page, title, left, top + cell + 21, cell)
    return page


def _paste(
    page: Image.Image, path: Path, at: tuple[int, int], cell: int, frame: tuple[int, ...] | None
) -> None:
    with Image.open(path) as picture:
        page.paste(picture.convert("RGB").resize((cell, cell), Image.Resampling.LANCZOS), at)
    if frame is not None:
        box = (at[0], at[1], at[0] + cell - 1, at[1] + cell - 1)
        ImageDraw.Draw(page).rectangle(box, outline=frame, width=3 if frame == _GREEN else 1)


def _caption(page: Image.Image, text: str, left: int, top: int, width: int) -> None:
    write(page, text, (left, top, left + width, top + 13), (70, 70, 74), PLAIN)
