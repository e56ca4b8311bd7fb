"""Datasets are frozen over a real object store."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.core.adapters.file_objects import FileObjects
from services.core.dataset_files import GALLERY, PAGE, QUERIES, DatasetRow
from services.core.domain.errors import InvalidArgument
from services.core.domain.near_duplicates import MOST_BITS, fingerprint
from services.core.outcomes import DatasetFrozen
from services.core.shard_files import Embeddings, write_embeddings
from services.evaluation.dataset_reading import read_pages
from services.evaluation.freezing import Freezer
from services.evaluation.near_copies import NearCopies
from tests.unit.evaluation_world import DATASET, Thumbnails, draft, freeze_message, row, sha


@pytest.fixture
def objects(tmp_path: Path) -> FileObjects:
    return FileObjects(tmp_path / "objects")


def frozen(objects: FileObjects, role: str) -> list[DatasetRow]:
    return [each for page in read_pages(objects, DATASET, role) for each in page]


def photo(seed: int) -> Thumbnails:
    """Blurred noise, 64 x 64: no two seeds look alike."""
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 8, 3))
    return np.kron(coarse, np.ones((8, 8, 1))).astype(np.uint8)


def brighter(pixels: Thumbnails, by: int) -> Thumbnails:
    return np.clip(pixels.astype(np.int16) + by, 0, 255).astype(np.uint8)


def looks(objects: FileObjects, key: str, pictures: list[Thumbnails]) -> list[dict[str, Any]]:
    """Stores thumbnails of the pictures; what rows say about each."""
    prints = [fingerprint(each) for each in pictures]
    file = Embeddings(
        tuple(sha("g", n) for n in range(len(pictures))),
        np.zeros((len(pictures), 2), np.float32),
        np.ones(len(pictures), np.float32),
        np.stack([thumbnail for _, thumbnail in prints]),
    )
    objects.put(key, write_embeddings(file))
    return [
        {"picture_hash": name, "embeddings": key, "embedding_row": at}
        for at, (name, _) in enumerate(prints)
    ]


def test_a_query_is_never_its_own_answer(objects: FileObjects) -> None:
    queries = [row("q", 0, "a"), row("q", 1, "b")]
    gallery = [row("g", 0, "a"), queries[0], row("g", 1, "b"), queries[1], row("g", 2, "c")]
    draft(objects, QUERIES, queries)
    draft(objects, GALLERY, gallery)
    outcome = Freezer(objects).freeze(freeze_message())
    assert outcome == DatasetFrozen(
        queries=2, gallery=3, products=3, absent=0, left_out_by_hash=2, left_out_near=0
    )
    assert [each.sha256 for each in frozen(objects, GALLERY)] == [sha("g", n) for n in range(3)]
    assert frozen(objects, QUERIES) == queries


def test_copies_of_a_query_are_left_out_and_lookalikes_stay(objects: FileObjects) -> None:
    picture = photo(1)
    (query,) = looks(objects, "embeddings/q.arrow", [picture])
    red = picture.copy()
    red[..., 0] = brighter(picture[..., 0], 40)  # of the same shape, in another colour
    shown = looks(objects, "embeddings/g.arrow", [brighter(picture, 4), red, photo(2)])
    bits = int(query["picture_hash"], 16) ^ int(shown[1]["picture_hash"], 16)
    assert bits.bit_count() <= MOST_BITS
    draft(objects, QUERIES, [row("q", 0, "a", **query)])
    draft(objects, GALLERY, [row("g", n, "a", **each) for n, each in enumerate(shown)])
    outcome = Freezer(objects).freeze(freeze_message())
    assert (outcome.left_out_near, outcome.left_out_by_hash, outcome.gallery) == (1, 0, 2)
    assert [each.sha256 for each in frozen(objects, GALLERY)] == [sha("g", 1), sha("g", 2)]
    assert not any(each.picture_hash or each.embeddings for each in frozen(objects, GALLERY))


def test_copies_are_those_that_a_comparison_of_every_pair_finds(objects: FileObjects) -> None:
    random = np.random.default_rng(3)
    bases = [photo(seed) for seed in range(40)]
    queries = looks(objects, "embeddings/q.arrow", bases)
    changed = [
        brighter(bases[int(n)], int(by)) for n, by in random.integers(-30, 30, (900, 2)) % 40
    ]
    shown = looks(objects, "embeddings/g.arrow", changed)
    asked = [row("q", n, "a", **each) for n, each in enumerate(queries * 20)]  # several chunks
    found = [row("g", n, "a", **each) for n, each in enumerate(shown)]
    found[5] = row("g", 5, "a", picture_hash=shown[5]["picture_hash"])  # without thumbnail
    found[6] = row("g", 6, "a")
    thumbnails = [fingerprint(each)[1].astype(int) for each in bases]
    expected = []
    for each, pixels in zip(found, changed, strict=True):
        own = fingerprint(pixels)[1].astype(int)
        expected.append(
            bool(each.embeddings)
            and any(
                (int(query["picture_hash"], 16) ^ int(each.picture_hash, 16)).bit_count() <= 8
                and np.abs(own - thumbnail).max() <= 17
                for query, thumbnail in zip(queries, thumbnails, strict=True)
            )
        )
    assert 100 < sum(expected) < 800
    assert NearCopies(objects, asked).among(found).tolist() == expected


def test_queries_of_products_that_are_not_there_are_flagged_where_that_is_allowed(
    objects: FileObjects,
) -> None:
    draft(objects, QUERIES, [row("q", 0, "a"), row("q", 1, "gone"), row("q", 2, "")])
    draft(objects, GALLERY, [row("g", 0, "a"), row("g", 1, "b"), row("g", 2, "")])
    outcome = Freezer(objects).freeze(freeze_message(allow_absent=True))
    assert outcome.absent == 1
    assert [each.absent for each in frozen(objects, QUERIES)] == [False, True, False]
    with pytest.raises(InvalidArgument) as refused:
        Freezer(objects).freeze(freeze_message())
    assert refused.value.reason == "QUERIES_WITHOUT_PRODUCT"
    assert "1 of 3" in refused.value.message
    assert "SKU-gone" in refused.value.message


def test_a_product_whose_images_are_all_queries_is_absent_and_the_message_says_why(
    objects: FileObjects,
) -> None:
    queries = [row("q", 0, "a"), row("q", 1, "b")]
    draft(objects, QUERIES, queries)
    draft(objects, GALLERY, [queries[0], row("g", 0, "b")])
    with pytest.raises(InvalidArgument) as refused:
        Freezer(objects).freeze(freeze_message())
    assert refused.value.reason == "QUERIES_WITHOUT_PRODUCT"
    assert "1 of these products lost" in refused.value.message
    assert Freezer(objects).freeze(freeze_message(allow_absent=True)).absent == 1


@pytest.mark.parametrize(
    ("queries", "gallery", "reason"),
    [
        ([], [row("g", 0, "a")], "NO_QUERIES"),
        ([row("q", 0, "a")], [], "NO_GALLERY"),
        ([row("q", 0, "a")], [row("q", 0, "a")], "NO_GALLERY"),
        ([row("q", 0, "a")], [row("g", 0, "b")], "NO_RELEVANT"),
    ],
)
@pytest.mark.parametrize("allow_absent", [False, True])
def test_a_dataset_that_measures_nothing_is_refused_by_name(
    objects: FileObjects,
    queries: list[DatasetRow],
    gallery: list[DatasetRow],
    reason: str,
    allow_absent: bool,
) -> None:
    draft(objects, QUERIES, queries)
    draft(objects, GALLERY, gallery)
    with pytest.raises(InvalidArgument) as refused:
        Freezer(objects).freeze(freeze_message(allow_absent=allow_absent))
    assert refused.value.reason == reason


def test_pages_are_full_but_for_the_last_and_freezing_again_gives_the_same(
    objects: FileObjects,
) -> None:
    draft(objects, QUERIES, [row("q", 0, "a")])
    draft(objects, GALLERY, [row("g", n, "a") for n in range(PAGE + 10)], page=1_000)
    first = Freezer(objects).freeze(freeze_message())
    before = {key: objects.get(key) for key in objects.keys(DATASET)}
    assert [len(page) for page in read_pages(objects, DATASET, GALLERY)] == [PAGE, 10]
    assert Freezer(objects).freeze(freeze_message()) == first
    assert {key: objects.get(key) for key in objects.keys(DATASET)} == before
