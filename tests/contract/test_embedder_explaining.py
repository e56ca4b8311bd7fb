"""What every Embedder promises of explanations: in the process, and through embed.query."""

import asyncio
import hashlib
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from services.core.adapters.file_objects import FileObjects
from services.core.domain.errors import (
    DeadlineExceeded,
    FailedPrecondition,
    InvalidArgument,
    InvalidImage,
)
from services.core.domain.keys import image_key
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
GONE = "cd" * 32
DAMAGED = "ab" * 32


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> SmallModel:
    return small_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("objects")


@pytest.fixture(scope="module")
def stored(objects: Path) -> list[str]:
    """Ten good images; beside them lies one whose bytes are damaged."""
    images = [photo(seed) for seed in range(10)]
    for each in images:
        FileObjects(objects).put(image_key(hashlib.sha256(each).hexdigest()), each)
    (objects / image_key(DAMAGED)).parent.mkdir(parents=True)
    (objects / image_key(DAMAGED)).write_bytes(photo(30))
    return [hashlib.sha256(each).hexdigest() for each in images]


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


def drawn(data: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.int16]]:
    with Image.open(io.BytesIO(data)) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"), np.int16)


async def test_every_image_gets_a_picture_that_has_the_photo_and_the_image(
    embedder: Embedder, model: SmallModel, stored: list[str]
) -> None:
    digest = model.spec.digest
    found = await embedder.explain(photo(0), stored[:3], digest, SECONDS)
    sheets = [drawn(each) for each in found]
    assert [each.shape for each in sheets] == [(224, 456, 3)] * 3
    assert np.array_equal(sheets[0][:, :224], sheets[0][:, -224:])  # the photo is the first image
    for sheet in sheets[1:]:
        assert np.abs(sheet[:, :224] - sheet[:, -224:]).mean() > 5
    (other,) = await embedder.explain(photo(1), stored[2:3], digest, SECONDS)
    assert np.abs(drawn(other)[:, :224] - sheets[2][:, :224]).mean() > 5


async def test_ten_images_and_a_large_photo_are_explained(
    embedder: Embedder, model: SmallModel, stored: list[str]
) -> None:
    found = await embedder.explain(photo(3, 2_000), stored, model.spec.digest, SECONDS)
    assert sum(len(each) for each in found) <= 1_500_000
    assert [drawn(each).shape for each in found] == [(224, 456, 3)] * 10


async def test_composed_models_are_explained(
    embedder: Embedder, model: SmallModel, objects: Path, stored: list[str]
) -> None:
    duo = publish_duo(model, FileObjects(objects))
    found = await embedder.explain(photo(1), stored[:2], duo.digest, SECONDS)
    assert found == await embedder.explain(photo(1), stored[:2], model.spec.digest, SECONDS)


async def test_missing_and_damaged_images_are_empty_and_harm_no_others(
    embedder: Embedder, model: SmallModel, stored: list[str]
) -> None:
    asked = [GONE, stored[1], DAMAGED, stored[2], stored[1]]
    found = await embedder.explain(photo(1), asked, model.spec.digest, SECONDS)
    assert [bool(each) for each in found] == [False, True, False, True, True]
    assert found[1] == found[4]
    assert await embedder.explain(photo(1), [GONE], model.spec.digest, SECONDS) == [b""]


async def test_a_bad_photo_and_an_unknown_model_are_refused_with_their_reason(
    embedder: Embedder, model: SmallModel, stored: list[str]
) -> None:
    with pytest.raises(InvalidImage) as refused:
        await embedder.explain(photo(7)[:500], stored[:1], model.spec.digest, SECONDS)
    assert refused.value.reason == "IMAGE_TRUNCATED"
    with pytest.raises(FailedPrecondition, match="ffffffffffff") as unknown:
        await embedder.explain(photo(1), stored[:1], "f" * 64, SECONDS)
    assert unknown.value.reason == "MODEL_NOT_LOADED"


async def test_too_many_images_and_what_is_no_hash_are_refused(
    embedder: Embedder, model: SmallModel
) -> None:
    for asked, reason in (([GONE] * 11, "TOO_MANY_EXPLAINED"), (["../x"], "INVALID_DIGEST")):
        with pytest.raises(InvalidArgument) as caught:
            await embedder.explain(photo(1), asked, model.spec.digest, SECONDS)
        assert caught.value.reason == reason
    assert await embedder.explain(photo(1), [], model.spec.digest, SECONDS) == []


async def test_an_explanation_that_is_late_says_so_and_the_next_one_comes(
    embedder: Embedder, model: SmallModel, stored: list[str]
) -> None:
    with pytest.raises(DeadlineExceeded, match="explained"):
        await embedder.explain(photo(1), stored, model.spec.digest, 0.0005)
    (found,) = await embedder.explain(photo(1), stored[:1], model.spec.digest, SECONDS)
    assert drawn(found).any()


async def test_photos_are_embedded_while_others_are_explained(
    embedder: Embedder, model: SmallModel, stored: list[str]
) -> None:
    digest = model.spec.digest
    results = await asyncio.gather(
        *(embedder.explain(photo(seed), stored[:4], digest, SECONDS) for seed in range(4)),
        *(embedder.embed(photo(seed), digest, SECONDS) for seed in range(8)),
    )
    assert all(len(each) == 4 for each in results[:4] if isinstance(each, list))
    assert sum(isinstance(each, QueryEmbedding) for each in results) == 8
