"""The gallery of a dataset as one array of a model's vectors."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from services.core.dataset_files import GALLERY
from services.core.domain.errors import FailedPrecondition, InvalidArgument
from services.core.ports import Float32, ObjectStore
from services.evaluation.dataset_reading import ModelVectors, read_page_places, read_pages

MOST_BYTES = 8 << 30
Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class DatasetGallery:
    """Images that a model has embeddings of: `vectors` float32 [g, d], `sha256s` [g], and
    `products` int64 [g], places in `names`. `images` counts those of each product by name, also
    such that could not be embedded."""

    vectors: Float32
    sha256s: list[str]
    products: Int64
    names: list[str]
    images: Mapping[str, int]

    def codes(self, products: list[str]) -> Int64:
        """Places of products in `names`, -1 for those that have no image."""
        place = {name: number for number, name in enumerate(self.names)}
        return np.array([place.get(each, -1) for each in products], np.int64)


def read_gallery(
    objects: ObjectStore,
    dataset: str,
    places: str,
    vectors: ModelVectors,
    dimension: int,
    most_bytes: int = MOST_BYTES,
) -> DatasetGallery:
    """Reads the pages below the prefix `dataset`, and their places below `places`.

    Raises InvalidArgument (GALLERY_TOO_LARGE) before embeddings are read, FailedPrecondition
    (NOTHING_EMBEDDED), and as ModelVectors.
    """
    pages = list(read_pages(objects, dataset, GALLERY))
    images = Counter(each.product for page in pages for each in page)
    total = sum(map(len, pages))
    if (size := 4 * total * dimension) > most_bytes:
        raise InvalidArgument(
            f"{total} images in {dimension} dimensions take {size} bytes, more than {most_bytes}: "
            "take a model of fewer dimensions, or a smaller dataset",
            reason="GALLERY_TOO_LARGE",
        )
    found = np.empty((total, dimension), np.float32)
    sha256s: list[str] = []
    products: list[str] = []
    for number, page in enumerate(pages):
        at = read_page_places(objects, places, GALLERY, number, len(page))
        some, known = vectors.of(at)
        rows = [page[each] for each in np.flatnonzero(known)]
        found[len(sha256s) : len(sha256s) + len(rows)] = some[known]
        sha256s += [each.sha256 for each in rows]
        products += [each.product for each in rows]
    if not sha256s:
        raise FailedPrecondition(
            f"the model has embedded none of the {total} images of the gallery",
            reason="NOTHING_EMBEDDED",
        )
    names, codes = np.unique(np.array(products, np.str_), return_inverse=True)
    return DatasetGallery(
        found[: len(sha256s)], sha256s, codes.astype(np.int64), names.tolist(), images
    )
