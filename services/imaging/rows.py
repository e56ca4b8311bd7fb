"""From the bytes of an image to all squares of a recipe; as decoding, in a child process only."""

from services.core.domain.pixel_views import split_views
from services.imaging.costs import decoding_scale
from services.imaging.decoding import decode
from services.imaging.headers import inspect
from services.imaging.limits import ImageLimits
from services.imaging.resizing import PixelRecipe, Pixels, Square, at_least, to_pixels


def fill(row: Pixels, data: bytes, limits: ImageLimits, recipe: PixelRecipe) -> None:
    """Writes all squares of the image `data` into `row`, uint8 [recipe.row_bytes].

    The image is decoded once: only a JPEG from which one square can do with a smaller picture than
    another is decoded at each of these sizes, because a square must not depend on its neighbours.
    Raises InvalidImage, MemoryError.
    """
    info = inspect(data, limits)
    by_scale: dict[int, list[tuple[Pixels, Square]]] = {}
    for place, square in zip(split_views(row, recipe.views), recipe.squares, strict=True):
        scale = decoding_scale(info, square.at_least)
        by_scale.setdefault(scale, []).append((place, square))
    for places in by_scale.values():
        _fill_from_one(places, data, limits)


def _fill_from_one(places: list[tuple[Pixels, Square]], data: bytes, limits: ImageLimits) -> None:
    image = decode(data, limits, at_least=at_least(square for _, square in places))
    for place, square in places:
        place[...] = to_pixels(image, square)
