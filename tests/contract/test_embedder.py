"""What every Embedder promises: in the process, and through the queue embed.query."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from services.core.adapters.file_objects import FileObjects
from services.core.domain.errors import (
    DeadlineExceeded,
    FailedPrecondition,
    InvalidImage,
    ShelflensError,
)
from services.core.domain.model import Model
from services.core.ports import Embedder, QueryEmbedding
from tests.contract.embedders import (
    SmallModel,
    embedder_behind_queue,
    embedder_here,
    photo,
    publish_duo,
    small_model,
)

SECONDS = 30.0
BAD = {
    "IMAGE_EMPTY": b"",
    "IMAGE_TRUNCATED": photo(7)[:500],
    "IMAGE_FORMAT_UNSUPPORTED": b"not a picture",
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> SmallModel:
    return small_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("objects")


@pytest.fixture(scope="module")
def duo(model: SmallModel, objects: Path) -> Model:
    return publish_duo(model, FileObjects(objects))


@pytest.fixture(scope="module")
def reference(model: SmallModel, objects: Path) -> Iterator[Embedder]:
    with embedder_here(model, FileObjects(objects)) as made:
        yield made


@pytest.fixture(scope="module", params=["here", pytest.param("queue", marks=pytest.mark.servers)])
def embedder(
    request: pytest.FixtureRequest, model: SmallModel, objects: Path
) -> Iterator[Embedder]:
    if request.param == "here":
        with embedder_here(model, FileObjects(objects)) as here:
            yield here
        return
    broker = request.getfixturevalue("rabbitmq")
    with embedder_behind_queue(model, broker.url, objects) as queue:
        yield queue


async def test_a_photo_has_the_same_embedding_everywhere(
    embedder: Embedder, reference: Embedder, model: SmallModel
) -> None:
    for each in (photo(1), photo(2), photo(3, 2_000)):
        expected = await reference.embed(each, model.spec.digest, SECONDS)
        found = await embedder.embed(each, model.spec.digest, SECONDS)
        assert found.embedding.dtype == np.float32
        assert np.array_equal(found.embedding, expected.embedding)
        assert found.norm == expected.norm


async def test_a_photo_has_the_same_embedding_by_a_composed_model_everywhere(
    embedder: Embedder, reference: Embedder, model: SmallModel, duo: Model
) -> None:
    for each in (photo(1), photo(3, 2_000)):
        expected = await reference.embed(each, duo.digest, SECONDS)
        found = await embedder.embed(each, duo.digest, SECONDS)
        first = await reference.embed(each, model.spec.digest, SECONDS)
        assert found.embedding.shape == (duo.embedding_dim,)
        assert np.array_equal(found.embedding, expected.embedding)
        assert abs(np.linalg.norm(found.embedding) - 1) < 1e-5
        assert found.norm == pytest.approx(first.norm, rel=1e-3)


async def test_timings_name_decoding_and_embedding(embedder: Embedder, model: SmallModel) -> None:
    found = await embedder.embed(photo(1), model.spec.digest, SECONDS)
    assert {"decode", "embed"} <= found.timings_ms.keys()
    assert all(0 <= each < 1e3 * SECONDS for each in found.timings_ms.values())


@pytest.mark.parametrize("reason", sorted(BAD))
async def test_a_bad_photo_is_refused_with_its_reason(
    embedder: Embedder, model: SmallModel, reason: str
) -> None:
    with pytest.raises(InvalidImage) as caught:
        await embedder.embed(BAD[reason], model.spec.digest, SECONDS)
    assert caught.value.reason == reason
    assert caught.value.message


async def test_a_model_that_is_not_loaded_is_named(embedder: Embedder) -> None:
    with pytest.raises(FailedPrecondition, match="ffffffffffff") as caught:
        await embedder.embed(photo(1), "f" * 64, SECONDS)
    assert caught.value.reason == "MODEL_NOT_LOADED"
    assert caught.value.metadata == {"model_digest": "f" * 64}


async def test_a_photo_that_is_late_says_so_and_the_next_one_is_answered(
    embedder: Embedder, model: SmallModel
) -> None:
    with pytest.raises(DeadlineExceeded):
        await embedder.embed(photo(1), model.spec.digest, 0.0005)
    assert (await embedder.embed(photo(1), model.spec.digest, SECONDS)).norm > 0


async def test_callers_that_leave_harm_no_others(embedder: Embedder, model: SmallModel) -> None:
    leaving = [
        asyncio.create_task(embedder.embed(photo(seed), model.spec.digest, SECONDS))
        for seed in range(8)
    ]
    staying = asyncio.create_task(embedder.embed(photo(9), model.spec.digest, SECONDS))
    await asyncio.sleep(0.002)
    for each in leaving:
        each.cancel()
    gone = await asyncio.gather(*leaving, return_exceptions=True)
    assert any(isinstance(each, asyncio.CancelledError) for each in gone)
    assert (await staying).norm > 0


async def test_of_32_photos_at_once_the_good_are_embedded_and_the_bad_refused(
    embedder: Embedder, reference: Embedder, model: SmallModel
) -> None:
    order = np.random.default_rng(3).permutation(32)
    kinds = [("", photo(int(n))) if n % 4 else _bad(int(n)) for n in order]
    results = await asyncio.gather(
        *(embedder.embed(data, model.spec.digest, SECONDS) for _, data in kinds),
        return_exceptions=True,
    )
    for (reason, data), result in zip(kinds, results, strict=True):
        if reason:
            assert isinstance(result, ShelflensError)
            assert result.reason == reason
        else:
            assert isinstance(result, QueryEmbedding)
            alone = await reference.embed(data, model.spec.digest, SECONDS)
            assert float(result.embedding @ alone.embedding) > 0.9999


def _bad(number: int) -> tuple[str, bytes]:
    return list(BAD.items())[number // 4 % len(BAD)]
