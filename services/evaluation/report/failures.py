"""The worst failures of a model, and what is shown of them."""

import math
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass

from services.core.dataset_files import GALLERY, QUERIES
from services.core.domain.keys import failure_picture_key
from services.core.ports import ObjectStore
from services.evaluation.dataset_reading import read_pages
from services.evaluation.measuring import worst_failures
from services.evaluation.report.pictures import Pictures
from services.evaluation.result_files import QueryResults

MOST_SHOWN = 24
Names = Mapping[str, tuple[str, str]]  # product id -> SKU, title


@dataclass(frozen=True, slots=True)
class Failure:
    """A query whose first product is another one; `number` is that of its picture.

    Hashes and product ids as in QueryResults. `probability` is None without calibration, `rank`
    0 where the right product was not among the candidates.
    """

    number: int
    query: str
    product: str
    found_image: str
    found_product: str
    score: float
    probability: float | None
    rank: int


@dataclass(frozen=True, slots=True)
class Shown:
    """A failure with its pictures, data URIs; None where there is none."""

    failure: Failure
    photo: str | None
    found: str | None
    map: str | None


def failures_of(results: QueryResults, most: int) -> list[Failure]:
    """The worst failures in their order, at most MOST_SHOWN of them."""
    places = {(query, found): at for at, (query, found) in enumerate(_pairs(results))}
    worst = worst_failures(results, min(most, MOST_SHOWN))
    return [_failure(results, number, places[pair]) for number, pair in enumerate(worst)]


def _pairs(results: QueryResults) -> Iterator[tuple[str, str]]:
    return zip(results.sha256, results.first_image, strict=True)


def _failure(results: QueryResults, number: int, at: int) -> Failure:
    probability = float(results.probability[at])
    return Failure(
        number,
        results.sha256[at],
        results.product[at],
        results.first_image[at],
        results.first_product[at],
        float(results.score[at]),
        probability if math.isfinite(probability) else None,
        int(results.rank[at]),
    )


def with_pictures(failures: Sequence[Failure], results: str, pictures: Pictures) -> list[Shown]:
    """Failures of the model whose results lie below the prefix `results`."""
    photos = pictures.photos([each.query for each in failures])
    found = pictures.photos([each.found_image for each in failures])
    maps = pictures.maps([failure_picture_key(results, each.number) for each in failures])
    return [Shown(*each) for each in zip(failures, photos, found, maps, strict=True)]


def product_names(objects: ObjectStore, dataset: str, products: Set[str]) -> Names:
    """SKU and title of those products that the dataset below the prefix `dataset` knows.

    Goes through its pages only until all are found.
    """
    names: dict[str, tuple[str, str]] = {}
    for role in (QUERIES, GALLERY):
        for page in read_pages(objects, dataset, role):
            if len(names) == len(products):
                return names
            for row in page:
                if row.product in products and row.product not in names:
                    names[row.product] = (row.sku, row.title)
    return names
