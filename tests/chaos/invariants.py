"""What must hold after everything has healed and come to rest. Each check returns violations."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from services.core.dead_letter_ports import DeadLetter
from services.core.domain.model_spec import ModelSpec
from services.core.domain.names import point_id
from services.core.ports import Float32, ObjectStore, VectorStore
from services.core.record_ports import RecordStore
from services.imaging.decode_pool import DecodePool
from services.imaging.resizing import PixelRecipe
from services.vision.models import load_embedder
from shelflens import Client
from shelflens.names import product_id
from shelflens.values import Image, Product
from tests.chaos.expectations import Expected
from tests.chaos.journal import Journal, Search, Upload
from tests.chaos.message_faults import MARK

LEAST_COSINE = 0.9999
SLACK_SECONDS = 0.5  # of an answer beyond its deadline
_GROWTH, _MORE_BYTES = 1.5, 50 << 20
_PAGE = 100
_BATCH = 8
Windows = list[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Found:
    """What a catalogue holds: products and their images, by SKU."""

    catalog: str
    products: Mapping[str, Product]
    images: Mapping[str, list[Image]]

    def searchable(self) -> list[tuple[str, str]]:
        """(SKU, hash) of the images that can be found."""
        return [
            (sku, each.sha256)
            for sku, images in self.images.items()
            for each in images
            if each.state == "SEARCHABLE"
        ]


def look(client: Client, catalog: str) -> Found:
    """Reads a catalogue through the API."""
    products = {each.sku: each for each in client.list_products(catalog)}
    images = {sku: list(client.list_images(each.name)) for sku, each in products.items()}
    return Found(catalog, products, images)


def check_products(found: Found, expected: Mapping[str, Expected]) -> list[str]:
    """Products equal what was acknowledged last, and nothing is half done."""
    told = []
    for sku in found.products.keys() - expected.keys():
        told.append(f"{found.catalog}/{sku} exists and nobody wrote it")
    for sku, want in expected.items():
        product = found.products.get(sku)
        if want.alive is not None and want.alive != (product is not None):
            told.append(f"{found.catalog}/{sku}: {'lost' if want.alive else 'came back'}, {want}")
        if product is None:
            continue
        if product.title not in want.titles:
            told.append(f"{found.catalog}/{sku} is {product.title!r}, not {want.titles}")
        images = {each.sha256: each.state for each in found.images[sku]}
        if want.alive and want.images is not None and set(images) != want.images:
            told.append(f"{found.catalog}/{sku} has images {sorted(images)}, not {want.images}")
        told += [
            f"{found.catalog}/{sku}/{each} is still PENDING"
            for each, state in images.items()
            if state == "PENDING"
        ]
    return told


def check_uploads(found: Found, uploads: list[Upload]) -> list[str]:
    """Every acknowledged upload can be found."""
    searchable = set(found.searchable())
    return [
        f"the upload of {each.sha256} to {each.catalog}/{each.sku} is not searchable"
        for each in uploads
        if each.catalog == found.catalog and (each.sku, each.sha256) not in searchable
    ]


def check_points(vectors: VectorStore, collection: str, found: Found) -> list[str]:
    """The points are those of the searchable images, and no others."""
    wanted = [
        point_id(found.catalog, product_id(sku), sha256) for sku, sha256 in found.searchable()
    ]
    stored = {id_ for part in _parts(wanted) for id_ in vectors.fetch(collection, part)}
    told = [f"{found.catalog}: point {each} is missing" for each in set(wanted) - stored]
    if (count := vectors.count(collection)) != len(set(wanted)):
        told.append(f"{found.catalog} has {count} points, {len(set(wanted))} images are searchable")
    return told


def check_vectors(
    vectors: VectorStore, collection: str, found: Found, fresh: Mapping[str, Float32]
) -> list[str]:
    """Stored vectors equal fresh embeddings."""
    told = []
    for part in _parts(found.searchable()):
        ids = {point_id(found.catalog, product_id(sku), each): each for sku, each in part}
        for id_, point in vectors.fetch(collection, list(ids)).items():
            vector, wanted = point.vector, fresh[ids[id_]]
            lengths = float(np.linalg.norm(vector) * np.linalg.norm(wanted))
            cosine = float(vector @ wanted) / lengths
            if not cosine > LEAST_COSINE:
                told.append(f"{found.catalog}: the vector of {ids[id_]} has cosine {cosine:.5f}")
    return told


def embed_afresh(
    records: RecordStore, digest: str, images: Mapping[str, bytes]
) -> dict[str, Float32]:
    """Embeddings made here, in batches, by the model with that digest."""
    with records.begin() as tx:
        spec = ModelSpec.from_json(json.dumps(tx.models.spec(digest)))
    model = load_embedder(spec)
    recipe = PixelRecipe.of(spec)
    fresh: dict[str, Float32] = {}
    with DecodePool(1) as pool:
        for part in _parts(list(images), _BATCH):
            pixels = np.stack([pool.decode(images[each], recipe) for each in part])
            fresh |= dict(zip(part, model.embed(pixels)[0], strict=True))
    return fresh


def check_objects(objects: ObjectStore) -> list[str]:
    """Every stored image hashes to its key."""
    told = []
    for key in objects.keys("images/sha256/"):
        digest = hashlib.sha256()
        for piece in objects.stream(key):
            digest.update(piece)
        if digest.hexdigest() != key.rsplit("/", 1)[1]:
            told.append(f"object {key} hashes to {digest.hexdigest()}")
    return told


def dead_letters(records: RecordStore) -> list[DeadLetter]:
    """All of them."""
    found: list[DeadLetter] = []
    with records.begin() as tx:
        while page := tx.dead_letters.page(found[-1].id if found else "", _PAGE):
            found += page
    return found


def check_letters(letters: list[DeadLetter], killing: bool) -> list[str]:
    """Every dead letter belongs to a fault: it carries its mark, or its workers were killed."""
    told: Counter[str] = Counter()
    for each in letters:
        marked = MARK in each.headers
        if not marked and not (killing and each.reason == "DELIVERY_LIMIT"):
            told[f"dead letter {each.reason} of {each.queue} ({each.task}): {each.detail}"] += 1
    return [f"{count} x {text}" for text, count in told.items()]


def check_deadlines(journal: Journal, excused: Windows) -> list[str]:
    """No search took longer than its deadline, unless the gateway itself was kept from it."""
    return [
        f"a search took {each.seconds:.2f} s of {each.deadline:g} s: {each.code or 'answered'} "
        f"{each.detail}, begun {each.began:.1f}"
        for each in journal.searches
        if each.seconds > each.deadline + SLACK_SECONDS and not _overlaps(each, excused)
    ]


def check_memory(before: Mapping[str, int], after: Mapping[str, int]) -> list[str]:
    """No service has grown."""
    return [
        f"{name} grew from {before[name] >> 20} to {size >> 20} MiB"
        for name, size in after.items()
        if name in before and size > _GROWTH * before[name] + _MORE_BYTES
    ]


def _overlaps(search: Search, windows: Windows) -> bool:
    end = search.began + search.seconds
    return any(search.began < last and end > first for first, last in windows)


def _parts(items: list[Any], size: int = _PAGE) -> Iterator[list[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
