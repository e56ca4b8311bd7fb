"""Small pictures for a report, as data URIs. Bytes are decoded in children that can be killed."""

import base64
import io
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from PIL import Image

from services.core.domain.errors import DataLoss, InvalidImage, NotFound
from services.core.ports import ObjectStore
from services.core.stored_images import read_image
from services.imaging.decode_pool import DecodePool
from services.imaging.resizing import PixelRecipe, Pixels, Square

MOST_BYTES = 7_000_000  # of all pictures of one report, as text
PHOTO_SIDE, MAP_SIDE = 168, 456
_QUALITY = 82
_MOST_SOURCE = 20 << 20


class Pictures:
    """Pictures of one report: at most MOST_BYTES of them in all, which it counts.

    One that is missing, damaged or no picture is None, and so are all after the last that fits.
    """

    def __init__(self, objects: ObjectStore, pool: DecodePool, budget: int = MOST_BYTES) -> None:
        self._objects = objects
        self._pool = pool
        self._left = budget

    def photos(self, sha256s: Sequence[str]) -> Iterator[str | None]:
        """Stored images by their hash, their longer side at most PHOTO_SIDE pixels."""
        return self._shrunk(sha256s, lambda each: read_image(self._objects, each), PHOTO_SIDE)

    def maps(self, keys: Sequence[str]) -> Iterator[str | None]:
        """Pictures under object keys, their longer side at most MAP_SIDE pixels."""
        return self._shrunk(keys, self._drawn, MAP_SIDE)

    def _drawn(self, key: str) -> bytes:
        size = self._objects.size(key)
        if size is None or size > _MOST_SOURCE:
            raise NotFound(f"there is no picture {key}")
        return self._objects.get(key)

    def _shrunk(
        self, names: Sequence[str], read: Callable[[str], bytes], side: int
    ) -> Iterator[str | None]:
        recipe = PixelRecipe((Square(side, side, "lanczos", "pad"),))
        sources = (_bytes(name, read) for name in names)
        for pixels in self._pool.decode_many(sources, recipe):
            yield None if isinstance(pixels, InvalidImage) else self._kept(pixels, side)

    def _kept(self, row: Pixels, side: int) -> str | None:
        uri = _data_uri(_trimmed(row.reshape(side, side, 3)))
        if len(uri) > self._left:
            self._left = 0
            return None
        self._left -= len(uri)
        return uri


def _bytes(name: str, read: Callable[[str], bytes]) -> bytes:
    try:
        return read(name)
    except (NotFound, DataLoss):
        return b""  # refused as empty


def _trimmed(pixels: Pixels) -> Pixels:
    """Without the grey that fills the square: only rows or columns at the border."""
    filled = (pixels != 128).any(axis=2)
    rows, columns = np.flatnonzero(filled.any(axis=1)), np.flatnonzero(filled.any(axis=0))
    if not len(rows):
        return pixels
    return pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _data_uri(pixels: Pixels) -> str:
    sink = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(sink, "JPEG", quality=_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(sink.getvalue()).decode()}"
