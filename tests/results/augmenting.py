"""Database-side augmentation: offline, from embeddings that the system exported.

Each vector of the gallery becomes a mean of itself and its nearest others (Arandjelovic and
Zisserman 2012). The product has no such stage; this says whether it lacks one.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from services.core.ports import Float32
from services.evaluation.result_files import Float64
from services.retrieval.expansion import augment
from services.retrieval.nearest import nearest
from shelflens import Client
from tests.results.choosing import MAP, RECALL
from tests.results.measuring import Results
from tests.results.query_sets import Shop

AUGMENTATIONS = ((1, 0.0), (2, 0.0), (5, 0.0), (5, 3.0))  # neighbours, alpha
PLAIN = "not augmented"
_DEPTH = 10


def augmentation_label(neighbours: int, alpha: float) -> str:
    """For tables."""
    return f"{neighbours} {'neighbour' if neighbours == 1 else 'neighbours'}, " + (
        f"alpha {alpha:g}" if alpha else "plain mean"
    )


def augmentation_key(shop: str, label: str) -> str:
    """What its figures are kept under."""
    return f"{shop}|augmented|{label}"


def measure_augmented(client: Client, shop: Shop, folder: Path, results: Results) -> None:
    """Keeps figures of the built-in model with each of AUGMENTATIONS, and without any."""
    labels = [PLAIN, *(augmentation_label(*each) for each in AUGMENTATIONS)]
    if all(results.get(augmentation_key(shop.name, each)) for each in labels):
        return
    asked = f"{shop.name}-queries"  # embedded already: as queries of the dataset
    client.import_products(asked, shop.write(folder)[1], root=shop.root).raise_for_error()
    by_picture = {sha256: vector for sha256, _, vector in _exported(client, asked)}
    queries = np.stack([by_picture[_sha256(shop.root / each.image)] for each in shop.queries])
    skus = [each.sku for each in shop.queries]
    _, products, vectors = zip(*sorted(_exported(client, shop.name), key=_name), strict=True)
    gallery = np.stack(vectors)
    galleries = [gallery, *(augment(gallery, *each, "cosine") for each in AUGMENTATIONS)]
    for label, each in zip(labels, galleries, strict=True):
        _, found = nearest(queries, each, len(each), "cosine")
        ranks = np.array(
            [
                _rank(wanted, [products[at] for at in row])
                for wanted, row in zip(skus, found, strict=True)
            ]
        )
        results.keep(augmentation_key(shop.name, label), _figures(ranks))


def _figures(ranks: Float64) -> dict[str, list[float]]:
    """Of one relevant product a query: its average precision is the reciprocal of its rank."""
    reciprocal = np.where(ranks <= _DEPTH, 1 / ranks, 0.0)
    return {MAP: reciprocal.tolist(), RECALL: (ranks == 1).astype(float).tolist()}


def _rank(wanted: str, ranking: list[str]) -> int:
    """The place of a product among the products, from 1."""
    return list(dict.fromkeys(ranking)).index(wanted) + 1


def _exported(client: Client, catalog: str) -> Iterator[tuple[str, str, Float32]]:
    for each in client.export_embeddings(catalog):
        yield each.image.rpartition("/")[2], each.sku, np.array(each.values, np.float32)


def _name(exported: tuple[str, str, Float32]) -> tuple[str, str]:
    return exported[0], exported[1]


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
