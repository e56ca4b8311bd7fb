"""Several squares of one image in a row of bytes, as they travel from decoders to models."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from services.core.domain.model_spec import View

Bytes = npt.NDArray[np.uint8]


def bytes_of(views: Sequence[View]) -> int:
    """Length of a row with the RGB pixels of all views."""
    return sum(3 * each.crop * each.crop for each in views)


def split_views(pixels: Bytes, views: Sequence[View]) -> list[Bytes]:
    """uint8 [..., crop, crop, 3] of each view, without copying, of uint8 [..., bytes_of(views)]."""
    split, start = [], 0
    for each in views:
        end = start + 3 * each.crop * each.crop
        shape = (*pixels.shape[:-1], each.crop, each.crop, 3)
        split.append(pixels[..., start:end].reshape(shape))
        start = end
    return split
