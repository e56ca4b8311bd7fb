"""How often the right product of real photos from shops comes first."""

import csv
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.bench.catalogues import Query, write_manifest
from tests.bench.figures import Figure, Outcome, Skipped, at_least
from tests.bench.servers import CATALOG, fresh_server

_DEPTH = 10


def grocery_recall(data: Path | None) -> Iterator[Outcome]:
    """Imports the train photos, searches with the val photos; right: the same SKU.

    A plain loop over timm's own transforms gives 0.564 (R@10 0.966) on this split of 296 photos;
    the published test split, 63.5 % with this model, is another.
    """
    photos = data / "photos.csv" if data else None
    splits = _splits(photos) if photos and photos.exists() else {}
    if data is None or not splits.get("train") or not splits.get("val"):
        yield Skipped("grocery-recall", "needs DATA=FOLDER with photos.csv: image, sku, split")
        return
    ranks = list(_ranks(data, splits["train"], splits["val"]))
    for depth, target in ((1, at_least(0.55)), (_DEPTH, None)):
        right = sum(rank < depth for rank in ranks)
        yield Figure(f"grocery R@{depth}, train to val", right / len(ranks), "", target)
    yield Figure("grocery queries", len(ranks))


def _ranks(data: Path, train: list[Query], val: list[Query]) -> Iterator[int]:
    """Place of the right SKU for each query, _DEPTH when it is not among the first."""
    with (
        fresh_server() as server,
        server.client() as client,
        tempfile.TemporaryDirectory() as folder,
    ):
        # One row a photo: rows of one SKU merge.
        manifest = write_manifest(Path(folder) / "train.csv", train)
        counts = client.import_products(CATALOG, manifest, root=data).raise_for_error().counts
        if counts.rows_accepted != len(train):
            raise ValueError(f"{counts.rows_rejected} of {len(train)} rows were rejected")
        for sku, image in val:
            answer = client.search(CATALOG, data / image, top_k=_DEPTH)
            skus = [each.sku for each in answer.results]
            yield skus.index(sku) if sku in skus else _DEPTH


def _splits(photos: Path) -> dict[str, list[Query]]:
    splits: dict[str, list[Query]] = {}
    with photos.open(newline="", encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            splits.setdefault(row.get("split", ""), []).append((row["sku"], Path(row["image"])))
    return splits
