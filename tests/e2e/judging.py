"""A shop whose photos are judged: queries in known numbers, and what searches find for them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from shelflens import Client
from shelflens.values import (
    Dataset,
    Diversify,
    Evaluation,
    Expand,
    Fold,
    RankingStages,
    Rerank,
    SearchResponse,
)
from tests.e2e.shop import Row, Shop, vary_shop, write_manifest

MODELS = ("base", "judged-max")
CATALOGS = ("judged", "judged-by-max")  # of each model, with the same images
RERANK = RankingStages(rerank=Rerank(candidates=30))
ALL = RankingStages(
    expand=Expand(neighbours=3), rerank=Rerank(candidates=30), fold=Fold(), diversify=Diversify()
)
KEPT = 45  # products in the catalogue; photos of the others are absent
DEPTH = 10


@dataclass(frozen=True)
class Judged:
    """`gallery` lists the products of the catalogue, `queries` a row with a photo each."""

    gallery: Path
    queries: Path
    photos: tuple[tuple[Path, str], ...]
    skus: frozenset[str]

    @property
    def present(self) -> list[tuple[Path, str]]:
        """Photos whose product is in the catalogue."""
        return [(photo, sku) for photo, sku in self.photos if sku in self.skus]


def judged_shop(shop: Shop, root: Path) -> Judged:
    """The photos of `shop`, and two more of each of its products, of which some are absent."""
    varied = vary_shop(shop, root, rows_per_product=1, seed=61)
    views = ((varied.root / name, row["sku"]) for row in varied.rows() for name in _names(row))
    photos = (*shop.photos, *views)
    kept = shop.rows()[:KEPT]
    gallery = write_manifest(shop.root / "judged-gallery.csv", kept)
    return Judged(
        gallery, write_queries(root / "queries.csv", photos), photos, frozenset(_skus(kept))
    )


def make_dataset(client: Client, judged: Judged) -> Dataset:
    """The models and catalogues, and the queries frozen beside the gallery, as `judged`."""
    operation = client.create_model(MODELS[1], backbone="tf_efficientnet_lite0", pooling="max")
    client.wait_operation(operation.name).raise_for_error()
    for catalog, model in zip(CATALOGS, MODELS, strict=True):
        client.create_catalog(catalog, model=model)
        client.import_products(catalog, judged.gallery).raise_for_error()
    return client.make_dataset("judged", CATALOGS[0], judged.queries, allow_absent=True)


def evaluate(
    client: Client, dataset: Dataset, stages: RankingStages, calibrate: str = ""
) -> Evaluation:
    """Both models, measured with these stages."""
    made = client.create_evaluation(
        dataset.name, MODELS, stages=stages, calibrate=calibrate, precision=0.8
    )
    client.wait_operation(made.operation, timeout=200)
    done = client.get_evaluation(made.name)
    assert done.state == "SUCCEEDED", done
    return done


def write_queries(path: Path, photos: Sequence[tuple[Path, str]]) -> Path:
    """A manifest of (photo, SKU); the photos lie anywhere."""
    rows = []
    for number, (photo, sku) in enumerate(photos):
        name = f"query-{number}{photo.suffix or '.jpg'}"
        (path.parent / name).write_bytes(photo.read_bytes())
        rows.append({"image": name, "sku": sku})
    return write_manifest(path, rows)


def search_all(
    client: Client, catalog: str, photos: Sequence[tuple[Path, str]], stages: RankingStages
) -> list[SearchResponse]:
    """What a customer finds for each photo with these stages."""
    named = [(str(number), photo) for number, (photo, _) in enumerate(photos)]
    found = dict(client.search_many(catalog, named, top_k=DEPTH, stages=stages))
    answers = [found[number] for number, _ in named]
    failed = [each for each in answers if not isinstance(each, SearchResponse)]
    assert not failed, failed[0]
    return [each for each in answers if isinstance(each, SearchResponse)]


def rank(answer: SearchResponse, sku: str) -> int:
    """The place of the right product, from 1; 0 where it is not among the results."""
    skus = [each.sku for each in answer.results]
    return skus.index(sku) + 1 if sku in skus else 0


def _names(row: Row) -> list[str]:
    return row["image"].split("|")


def _skus(rows: Sequence[Row]) -> list[str]:
    return [row["sku"] for row in rows]
