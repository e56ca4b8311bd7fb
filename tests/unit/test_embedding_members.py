"""Shards and photos that go through several embedders after one decoding."""

import asyncio
import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from services.core.adapters.file_objects import FileObjects
from services.core.domain.errors import FailedPrecondition, InvalidArgument
from services.core.domain.model import LinearSpec, Member, Model
from services.core.domain.near_duplicates import fingerprint
from services.core.messages import EmbedShard
from services.core.outcomes import ShardEmbedded
from services.core.shard_files import Embeddings, read_embeddings
from services.embedding.explaining import Explainer
from services.embedding.handlers import BulkEmbedder, QueryEmbedder
from services.imaging.decode_pool import DecodePool
from services.imaging.resizing import PixelRecipe, Pixels
from services.retrieval.composing import compose
from services.retrieval.linear import Linear
from tests.unit.embedding_world import World, linear, photo, shard, spec, stored, world

ONE = spec("one")
SAME_SQUARE = spec("same square", 5)
TWO_VIEWS = spec("two views", 7, resolutions=(24, 48))
PADDED = spec("padded", 4, fit="pad", crop=36)
ALL = (ONE, SAME_SQUARE, TWO_VIEWS, PADDED)
DIGESTS = tuple(each.digest for each in ALL)


class CountingPool(DecodePool):
    """Writes down what it was to decode."""

    def __init__(self) -> None:
        self.decoded: list[PixelRecipe] = []
        super().__init__(2)

    def submit(self, data: bytes, recipe: PixelRecipe, *, urgent: bool = False) -> "Future[Pixels]":
        self.decoded.append(recipe)
        return super().submit(data, recipe, urgent=urgent)


@pytest.fixture(scope="module")
def shared_pool() -> Iterator[CountingPool]:
    with CountingPool() as pool:
        yield pool


@pytest.fixture
def pool(shared_pool: CountingPool) -> CountingPool:
    shared_pool.decoded.clear()
    return shared_pool


@pytest.fixture
def objects(tmp_path: Path) -> FileObjects:
    return FileObjects(tmp_path)


@pytest.fixture
def here() -> Iterator[World]:
    with world(*ALL) as made:
        yield made


def queries(objects: FileObjects, pool: DecodePool, here: World) -> QueryEmbedder:
    return QueryEmbedder(pool, here.host, Explainer(objects, pool, here.host))


def embed(
    objects: FileObjects, pool: DecodePool, here: World, message: EmbedShard
) -> tuple[ShardEmbedded, list[Embeddings]]:
    bulk = BulkEmbedder(objects, pool, here.host, batch=3)
    try:
        outcome = bulk.embed_shard(message)
    finally:
        bulk.close()
    return outcome, [read_embeddings(objects.get(each)) for each in message.embeddings]


def test_an_image_is_decoded_once_for_all_embedders_of_a_shard(
    objects: FileObjects, pool: CountingPool, here: World
) -> None:
    sha256s = stored(objects, *(photo(seed) for seed in range(8)))
    outcome, files = embed(objects, pool, here, shard(sha256s, *DIGESTS))
    assert outcome.sha256s == sha256s
    assert len(pool.decoded) == 8
    assert len(pool.decoded[0].squares) == 4  # two embedders share theirs
    assert [each.embeddings.shape for each in files] == [(8, 6), (8, 5), (8, 7), (8, 4)]


@pytest.mark.parametrize("size", [(320, 240), (1600, 1200)])
def test_an_embedder_gives_the_same_beside_others_as_alone(
    objects: FileObjects, pool: CountingPool, here: World, size: tuple[int, int]
) -> None:
    sha256s = stored(objects, *(photo(seed, "JPEG", size) for seed in range(4)))
    _, together = embed(objects, pool, here, shard(sha256s, *DIGESTS))
    for digest, file in zip(DIGESTS, together, strict=True):
        _, (alone,) = embed(objects, pool, here, shard(sha256s, digest))
        assert np.array_equal(file.embeddings, alone.embeddings)
        assert np.array_equal(file.norms, alone.norms)


def test_a_file_holds_what_its_embedder_was_to_embed_without_the_refused(
    objects: FileObjects, pool: CountingPool, here: World
) -> None:
    a, b, c, d, bad, unwanted = stored(
        objects, *(photo(seed) for seed in range(4)), b"not a picture", photo(9)
    )
    message = shard(
        (a, bad, b, a, unwanted, c, d), *DIGESTS[:3], wanted=((6, 0, 1), (2, 3, 5, 1), (5,))
    )
    outcome, files = embed(objects, pool, here, message)
    assert outcome.sha256s == (a, b, c, d)
    assert outcome.refused == ((bad, "IMAGE_FORMAT_UNSUPPORTED"),)
    assert [each.sha256s for each in files] == [(a, d), (a, b, c), (c,)]
    assert len(pool.decoded) == 5
    _, (everything,) = embed(objects, pool, here, shard((a, b, c, d), DIGESTS[1]))
    assert np.array_equal(files[1].embeddings, everything.embeddings[:3])
    assert files[1].thumbnails is not None
    assert everything.thumbnails is not None
    assert np.array_equal(files[1].thumbnails, everything.thumbnails[:3])


def test_an_embedder_that_wants_nothing_in_particular_gets_all(
    objects: FileObjects, pool: CountingPool, here: World
) -> None:
    sha256s = stored(objects, photo(0), photo(1))
    _, files = embed(objects, pool, here, shard(sha256s, *DIGESTS[:2], wanted=((), (1,))))
    assert [each.sha256s for each in files] == [sha256s, sha256s[1:]]


def test_the_picture_hash_is_that_of_the_first_view_of_the_first_embedder(
    objects: FileObjects, pool: CountingPool, here: World
) -> None:
    (sha256,) = stored(objects, photo(3))
    outcome, files = embed(objects, pool, here, shard((sha256,), DIGESTS[2], DIGESTS[0]))
    pixels = pool.decode(photo(3), PixelRecipe.of(TWO_VIEWS))[: 3 * 24 * 24].reshape(24, 24, 3)
    expected_hash, thumbnail = fingerprint(pixels)
    assert outcome.picture_hashes == (expected_hash,)
    for each in files:
        assert each.thumbnails is not None
        assert np.array_equal(each.thumbnails[0], thumbnail)


@pytest.mark.parametrize(
    "change",
    [
        {"embedders": (), "embeddings": ()},
        {"embeddings": ("embeddings/0",)},
        {"wanted": ((0,),)},
        {"wanted": ((0,), (2,))},
        {"wanted": ((0,), (-1,))},
    ],
)
def test_a_shard_whose_fields_do_not_fit_is_refused(
    objects: FileObjects, pool: CountingPool, here: World, change: dict[str, object]
) -> None:
    message = replace(shard(("ab" * 32, "cd" * 32), *DIGESTS[:2]), **change)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument) as caught:
        embed(objects, pool, here, message)
    assert caught.value.reason == "BAD_MESSAGE"
    assert pool.decoded == []


def test_more_pixels_than_a_decoder_gives_are_refused_before_any_image_is_read(
    objects: FileObjects, pool: CountingPool
) -> None:
    many = [
        spec(f"large {n}", resolutions=tuple(range(1017 - 8 * n, 1025 - 8 * n))) for n in range(3)
    ]
    with world(*many) as here, pytest.raises(FailedPrecondition, match="large 1") as caught:
        embed(objects, pool, here, shard(("ab" * 32,), *(each.digest for each in many)))
    assert caught.value.reason == "PIXELS_UNSUPPORTED"
    assert pool.decoded == []


def ensemble() -> tuple[Model, dict[str, Linear]]:
    """Three members, two of them with one embedder, whitened and compressed."""
    parts = {"aa" * 32: linear(1, 6, 3), "bb" * 32: linear(2, 12, 8)}
    model = Model(
        (
            Member(ONE, LinearSpec("aa" * 32, 6, 3, norms=True)),
            Member(TWO_VIEWS),
            Member(ONE, LinearSpec("aa" * 32, 6, 3)),
        )
    )
    return model, parts


def with_linear_of_the_whole() -> tuple[Model, dict[str, Linear]]:
    model, parts = ensemble()
    parts["cc" * 32] = linear(3, 13, 5)
    return replace(model, linear=LinearSpec("cc" * 32, 13, 5)), parts


@pytest.mark.parametrize("make", [ensemble, with_linear_of_the_whole])
async def test_a_photo_has_the_composed_embedding_of_the_stored_image(
    objects: FileObjects, pool: CountingPool, make: Callable[[], tuple[Model, dict[str, Linear]]]
) -> None:
    model, parts = make()
    (sha256,) = stored(objects, photo(5))
    with world(model, linears=parts) as here:
        _, (one, two) = embed(objects, pool, here, shard((sha256,), ONE.digest, TWO_VIEWS.digest))
        pairs = [(each.embeddings, each.norms) for each in (one, two, one)]
        expected = compose(model, pairs, parts)[0]
        pool.decoded.clear()
        asked = queries(objects, pool, here)
        answers = [
            await asked.embed(photo(5), model.digest, 20),
            await asyncio.to_thread(asked.embed_here, photo(5), model.digest, 20),
        ]
        assert len(pool.decoded) == 2
        assert here.loads == [ONE.digest, TWO_VIEWS.digest]
        for answer in answers:
            assert answer.embedding.shape == (model.embedding_dim,)
            assert np.allclose(answer.embedding, expected, atol=1e-6)
            assert answer.norm == float(one.norms[0])


async def test_an_embedder_that_several_members_have_runs_once_a_photo(
    objects: FileObjects, pool: CountingPool
) -> None:
    model, parts = ensemble()
    with world(model, linears=parts) as here:
        await queries(objects, pool, here).embed(photo(5), model.digest, 20)
        assert [here.loaded[each.digest].sizes for each in (ONE, TWO_VIEWS)] == [[1, 1], [1, 1]]


def test_a_composed_model_embeds_no_shard(objects: FileObjects, pool: CountingPool) -> None:
    model, parts = ensemble()
    with world(model, linears=parts) as here, pytest.raises(FailedPrecondition) as caught:
        embed(objects, pool, here, shard((hashlib.sha256().hexdigest(),), model.digest))
    assert caught.value.reason == "NOT_AN_EMBEDDER"
