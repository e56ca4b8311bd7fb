"""Whether probabilities come true, and what is accepted where the product is not in the gallery."""

import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from services.core.adapters.file_objects import FileObjects
from services.core.dataset_files import (
    GALLERY,
    QUERIES,
    DatasetRow,
    Place,
    write_places,
    write_rows,
)
from services.core.domain.evaluation import Estimate, EvaluationOptions, Metrics
from services.core.domain.keys import page_key
from services.core.domain.model import Model
from services.core.domain.near_duplicates import fingerprint
from services.core.domain.pixel_views import split_views
from services.core.evaluation_messages import EvaluateModel, FreezeDataset
from services.core.ports import ObjectStore
from services.core.shard_files import Embeddings, write_embeddings
from services.demo.writer import write_catalog
from services.evaluation.dataset_reading import read_pages
from services.evaluation.evaluating import Evaluator
from services.evaluation.freezing import Freezer
from services.evaluation.result_files import read_results
from services.imaging.decode_pool import DecodePool
from services.imaging.look_ahead import in_order
from services.imaging.resizing import PixelRecipe, Pixels
from services.vision.embedder import ImageEmbedder
from services.vision.models import builtin_model
from tests.bench.catalogues import PRODUCTS, BenchCatalog, Query, cache_folder
from tests.bench.figures import Figure, Outcome, Skipped, Target, at_least, at_most

_PHOTOS = 10_800
_FEWEST, _FEWEST_HELD_OUT = 200, 5_000
_BATCH, _WORKERS, _AHEAD = 8, 2, 32
_FILE = 1_024  # images of an embeddings file
_DRAFTS, _DATASET, _PLACES, _RESULTS = "working/d/", "datasets/d/1/", "working/e/", "e/"
_PRECISION = 0.95


def calibration(data: Path | None) -> Iterator[Outcome]:
    """Photos of 3,000 rendered products, a third of which have no packshot in the gallery.

    Half of the products calibrates, the figures are of the other half. A catalogue of one's own may
    have fewer photos, and has no targets.
    """
    catalog = _catalog(data)
    photos = catalog.queries(_PHOTOS)
    if not catalog.photos.exists() or len(photos) < _FEWEST:
        yield Skipped("calibration", f"needs photos.csv with {_FEWEST} photos, has {len(photos)}")
        return
    with tempfile.TemporaryDirectory(prefix="shelflens-bench-") as folder:
        objects = FileObjects(Path(folder))
        model = _frozen(objects, photos, _two_thirds(catalog.packshots()))
        for method in ("platt", "isotonic"):
            yield from _figures(objects, model, method, rendered=data is None)


def _catalog(data: Path | None) -> BenchCatalog:
    root = data or cache_folder() / f"products-{PRODUCTS}-photos-{_PHOTOS}"
    if data is None:
        write_catalog(root, products=PRODUCTS, photos=_PHOTOS)
    return BenchCatalog(root, root / "products.csv", root / "photos.csv")


def _two_thirds(packshots: Sequence[Query]) -> list[Query]:
    """Which products these are depends on their SKU alone."""
    return [each for each in packshots if hashlib.sha256(each[0].encode()).digest()[0] % 3]


def _frozen(objects: ObjectStore, photos: Sequence[Query], packshots: Sequence[Query]) -> Model:
    """Embeds and freezes both, with places; the model that did it."""
    spec, load = builtin_model("base")
    embedder = load()
    at: dict[str, Place] = {}
    with DecodePool(_WORKERS, reserved=0) as pool:
        for role, listed in ((QUERIES, photos), (GALLERY, packshots)):
            for number, start in enumerate(range(0, len(listed), _FILE)):
                key = f"embeddings/{role}-{number:08d}.arrow"
                rows = _embedded(objects, key, listed[start : start + _FILE], embedder, pool)
                objects.put(page_key(_DRAFTS, role, number), write_rows(rows))
                at |= {row.sha256: Place((key,), (row.embedding_row,)) for row in rows}
    Freezer(objects).freeze(
        FreezeDataset(
            id="f", operation="d", revision=0, drafts=_DRAFTS, dataset=_DATASET, allow_absent=True
        )
    )
    for role in (QUERIES, GALLERY):
        for number, page in enumerate(read_pages(objects, _DATASET, role)):
            places = write_places([at[row.sha256] for row in page])
            objects.put(page_key(_PLACES, role, number), places)
    return Model.plain(spec)


def _embedded(
    objects: ObjectStore,
    key: str,
    listed: Sequence[Query],
    embedder: ImageEmbedder,
    pool: DecodePool,
) -> list[DatasetRow]:
    """Writes the embeddings file `key`; the rows of a draft."""
    data = [file.read_bytes() for _, file in listed]
    sha256s = [hashlib.sha256(each).hexdigest() for each in data]
    recipe = PixelRecipe.of(embedder.spec)
    hashes: list[str] = []
    thumbnails: list[Pixels] = []
    parts = []
    decoded = in_order(data, lambda each: pool.submit(each, recipe), _AHEAD)
    pixels = (each.result() for each in decoded)
    while batch := list(islice(pixels, _BATCH)):
        for each in batch:
            picture_hash, thumbnail = fingerprint(split_views(each, embedder.spec.views)[0])
            hashes.append(picture_hash)
            thumbnails.append(thumbnail)
        parts.append(embedder.embed(np.stack(batch)))
    embeddings, norms = (np.concatenate(each) for each in zip(*parts, strict=True))
    file = Embeddings(tuple(sha256s), embeddings, norms, np.stack(thumbnails))
    objects.put(key, write_embeddings(file))
    return [
        DatasetRow(sha256s[row], sku, sku, picture_hash=hashes[row], embeddings=key,
                   embedding_row=row)
        for row, (sku, _) in enumerate(listed)
    ]  # fmt: skip


def _figures(objects: ObjectStore, model: Model, method: str, rendered: bool) -> Iterator[Outcome]:
    options = EvaluationOptions(calibrate=method, precision=_PRECISION)
    outcome = Evaluator(objects).evaluate(
        EvaluateModel(
            id="e",
            operation="e",
            revision=0,
            model=model.to_json(),
            dataset=_DATASET,
            places=_PLACES,
            results=_RESULTS,
            options=options.to_json(),
        )
    )
    metrics = Metrics.from_dict(outcome.metrics)
    held_out = int(read_results(objects, _RESULTS).held_out.sum())
    if method == "platt":
        fewest = at_least(_FEWEST_HELD_OUT) if rendered else None
        yield Figure("photos that are held out", held_out, "", fewest)
        absent = metrics.absent / (metrics.queries + metrics.absent)
        yield Figure("share of photos without product in the gallery", absent)
        yield Figure("R@1 of the others", metrics.product["recall@1"].value)
    target = at_most(0.03) if rendered else None
    yield from _interval(f"{method}: calibration error", metrics.expected_calibration_error, target)
    yield from _interval(f"{method}: coverage at {_PRECISION:.0%} precision", metrics.coverage)
    yield from _interval(f"{method}: precision of what is accepted", metrics.accepted_precision)
    yield from _interval(f"{method}: absent products accepted", metrics.absent_accepted)


def _interval(name: str, told: Estimate | None, target: Target | None = None) -> Iterator[Outcome]:
    if told is None:
        yield Skipped(name, "nothing is accepted, or nothing is absent")
        return
    yield Figure(name, told.value, "", target)
    yield Figure(f"{name}, 95% from", told.low)
    yield Figure(f"{name}, 95% to", told.high)
