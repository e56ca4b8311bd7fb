"""Datasets of made-up embeddings in a real object store."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from services.core.dataset_files import (
    GALLERY,
    QUERIES,
    DatasetRow,
    Place,
    write_places,
    write_rows,
)
from services.core.domain.keys import page_key
from services.core.domain.model import Model
from services.core.evaluation_messages import EvaluateModel, FreezeDataset
from services.core.ports import Float32, ObjectStore
from services.core.shard_files import Embeddings, write_embeddings
from tests.unit.retrieval_models import an_embedder, single

DRAFTS, DATASET, PLACES, RESULTS = "working/d/drafts/", "datasets/d/1/", "working/e/0/", "e/0/"
UNKNOWN = Place((), ())
Thumbnails = npt.NDArray[np.uint8]


def sha(role: str, number: int) -> str:
    return f"{'ab'['qg'.index(role)]}{number:063x}"


def row(role: str, number: int, product: str, **other: Any) -> DatasetRow:
    return DatasetRow(sha(role, number), product, sku=f"SKU-{product}", **other)


def unit(vectors: Any) -> Float32:
    wide = np.asarray(vectors, np.float64)
    scaled: Float32 = (wide / np.linalg.norm(wide, axis=1, keepdims=True)).astype(np.float32)
    return scaled


def draft(objects: ObjectStore, role: str, rows: Sequence[DatasetRow], page: int = 3) -> None:
    for number, start in enumerate(range(0, len(rows), page)):
        data = write_rows(rows[start : start + page])
        objects.put(page_key(DRAFTS, role, number), data)


def freeze_message(**changes: Any) -> FreezeDataset:
    values: dict[str, Any] = {"drafts": DRAFTS, "dataset": DATASET} | changes
    return FreezeDataset(id="freeze", operation="d", revision=0, **values)


@dataclass
class World:
    """A frozen dataset, pages of `page` rows, and places of the vectors that it is given."""

    objects: ObjectStore
    queries: Sequence[DatasetRow]
    gallery: Sequence[DatasetRow]
    page: int = 64
    models: dict[str, Model] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for role, rows in ((QUERIES, self.queries), (GALLERY, self.gallery)):
            for number, start in enumerate(range(0, len(rows), self.page)):
                data = write_rows(rows[start : start + self.page])
                self.objects.put(page_key(DATASET, role, number), data)

    def embed(self, queries: Float32, gallery: Float32, *, missing: Sequence[str] = ()) -> Model:
        """A plain model that gives these vectors; images in `missing` have none."""
        for role, rows, vectors in (
            (QUERIES, self.queries, queries),
            (GALLERY, self.gallery, gallery),
        ):
            key = f"embeddings/{role}.arrow"
            # Rows are not in the order of the pages.
            file = Embeddings(
                tuple(each.sha256 for each in rows)[::-1],
                vectors[::-1],
                np.ones(len(rows), np.float32),
            )
            self.objects.put(key, write_embeddings(file))
            places = [
                UNKNOWN if each.sha256 in missing else Place((key,), (len(rows) - 1 - at,))
                for at, each in enumerate(rows)
            ]
            for number, start in enumerate(range(0, len(rows), self.page)):
                data = write_places(places[start : start + self.page])
                self.objects.put(page_key(PLACES, role, number), data)
        return single(an_embedder(queries.shape[1]))


def evaluate_message(model: Model, **changes: Any) -> EvaluateModel:
    values: dict[str, Any] = {
        "model": model.to_json(),
        "dataset": DATASET,
        "places": PLACES,
        "results": RESULTS,
    }
    return EvaluateModel(id="evaluate", operation="e", revision=0, **(values | changes))


def clusters(
    products: int, images: int, queries: int, *, noise: float, dimension: int = 16, seed: int = 0
) -> tuple[list[DatasetRow], Float32, list[DatasetRow], Float32]:
    """Queries and a gallery of products whose images lie around a centre each."""
    random = np.random.default_rng(seed)
    centres = random.standard_normal((products, dimension))

    def around(count: int) -> Float32:
        rows = np.repeat(centres, count, axis=0)
        return unit(rows + noise * random.standard_normal(rows.shape))

    asked = [row("q", n, f"p{n // queries:04d}", category=f"c{n % 2}")
             for n in range(products * queries)]  # fmt: skip
    found = [row("g", n, f"p{n // images:04d}") for n in range(products * images)]
    return asked, around(queries), found, around(images)
