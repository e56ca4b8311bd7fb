"""Pictures as 16x16 thumbnails: enough to see that two photos are of one burst."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

SIDE = 16

Float32 = npt.NDArray[np.float32]


def thumbnails(paths: Sequence[Path]) -> Float32:
    """The pictures' colours as rows of length 1, without their mean: float32 [n, 3 * SIDE**2]."""
    rows = np.stack([_thumbnail(each) for each in paths])
    rows -= rows.mean(axis=1, keepdims=True)
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)
    return rows


def _thumbnail(path: Path) -> Float32:
    with Image.open(path) as picture:
        picture.draft("RGB", (4 * SIDE, 4 * SIDE))  # a JPEG is decoded no larger than needed
        small = picture.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX)
        return np.asarray(small, np.float32).ravel()
