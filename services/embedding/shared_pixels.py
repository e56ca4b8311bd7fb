"""One decoding of an image for several embedders, and which bytes of its row each of them reads."""

from collections.abc import Sequence

import numpy as np

from services.core.domain.errors import FailedPrecondition
from services.core.domain.model_spec import ModelSpec
from services.core.domain.pixel_views import bytes_of
from services.imaging.resizing import PixelRecipe, Pixels, squares_of


class SharedPixels:
    """`recipe` has the squares of all embedders, each once.

    Raises FailedPrecondition (PIXELS_UNSUPPORTED) for more pixels than a decoder gives.
    """

    def __init__(self, specs: Sequence[ModelSpec]) -> None:
        try:
            self.recipe = PixelRecipe.of(*specs)
            self._parts = [self._ranges(spec) for spec in specs]
        except ValueError as error:
            names = ", ".join(dict.fromkeys(each.backbone for each in specs))
            raise FailedPrecondition(
                f"the squares that {names} read cannot be cut out of one image ({error}): use "
                "fewer or smaller resolutions",
                reason="PIXELS_UNSUPPORTED",
            ) from error

    def part(self, row: Pixels, number: int) -> Pixels:
        """What embedder `number` reads, uint8 [bytes_of(spec.views)], of a row of the recipe.

        Copied only where its squares do not lie side by side.
        """
        pieces = [row[start:end] for start, end in self._parts[number]]
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)

    def first(self, row: Pixels) -> Pixels:
        """The first square of the first embedder: uint8 [crop, crop, 3]."""
        side = self.recipe.views[0].crop
        return row[: 3 * side * side].reshape(side, side, 3)

    def _ranges(self, spec: ModelSpec) -> list[tuple[int, int]]:
        """Bytes of the spec's squares in a row; neighbours are one range."""
        views = self.recipe.views
        ranges: list[tuple[int, int]] = []
        for square in squares_of(spec):
            at = self.recipe.squares.index(square)
            start, end = bytes_of(views[:at]), bytes_of(views[: at + 1])
            if ranges and ranges[-1][1] == start:
                start = ranges.pop()[0]
            ranges.append((start, end))
        return ranges
