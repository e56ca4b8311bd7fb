"""Pictures of why images were found, by models that need no weights."""

import asyncio
import io
import time
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
from services.core.domain.model import Member, Model
from services.core.evaluation_messages import ExplainPairs
from services.embedding.explaining import Explainer
from services.embedding.forward_gate import Batch, Embedded
from services.imaging.decode_pool import DecodePool
from tests.unit.embedding_world import World, photo, spec, stored, world

ONE = spec("one")
TWO_VIEWS = spec("two views", 7, resolutions=(24, 48))
DUO = Model((Member(ONE), Member(TWO_VIEWS)))
GONE = "cd" * 32
SECONDS = 20.0


@pytest.fixture(scope="module")
def pool() -> Iterator[DecodePool]:
    with DecodePool(1) as pool:
        yield pool


@pytest.fixture
def objects(tmp_path: Path) -> FileObjects:
    return FileObjects(tmp_path)


@pytest.fixture
def here() -> Iterator[World]:
    with world(DUO) as made:
        yield made


@pytest.fixture
def explainer(objects: FileObjects, pool: DecodePool, here: World) -> Iterator[Explainer]:
    explainer = Explainer(objects, pool, here.host)
    yield explainer
    explainer.close()


def pairs(
    pairs: tuple[tuple[str, str], ...], embedder: str = ONE.digest, pictures: int | None = None
) -> ExplainPairs:
    count = len(pairs) if pictures is None else pictures
    return ExplainPairs(
        id="e-0",
        operation="e",
        revision=0,
        embedder=embedder,
        pairs=pairs,
        pictures=tuple(f"evaluations/e/0/failures/{number:04d}.png" for number in range(count)),
    )


def is_picture(data: bytes) -> bool:
    with Image.open(io.BytesIO(data)) as image:
        return image.format == "PNG" and image.size == (456, 224)


def without_map(rows: Batch) -> Embedded:
    raise FailedPrecondition("it has none", reason="NO_FEATURE_MAP")


def test_images_are_explained_in_their_order_and_bad_ones_left_out(
    explainer: Explainer, objects: FileObjects, tmp_path: Path
) -> None:
    one, two, text = stored(objects, photo(1), photo(2), b"not a picture")
    damaged = "ab" * 32
    (tmp_path / image_key(damaged)).parent.mkdir(parents=True)
    (tmp_path / image_key(damaged)).write_bytes(photo(3))
    asked = (GONE, two, text, one, damaged, two)
    found = explainer.explain_here(photo(1), asked, ONE.digest, SECONDS)
    assert [bool(each) for each in found] == [False, True, False, True, False, True]
    assert all(is_picture(each) for each in found if each)
    assert found[1] == found[5] != found[3]


def test_a_photo_of_the_image_itself_is_hot_where_the_image_is(
    explainer: Explainer, objects: FileObjects
) -> None:
    (same,) = stored(objects, photo(1))
    (picture,) = explainer.explain_here(photo(1), (same,), ONE.digest, SECONDS)
    with Image.open(io.BytesIO(picture)) as image:
        sheet = np.asarray(image)
    assert np.array_equal(sheet[:, :224], sheet[:, -224:])


def test_a_composed_model_is_explained_by_the_first_embedder_that_has_a_map(
    explainer: Explainer, objects: FileObjects, here: World
) -> None:
    (sha256,) = stored(objects, photo(2))
    first, second = (
        explainer.explain_here(photo(1), (sha256,), each, SECONDS)
        for each in (ONE.digest, TWO_VIEWS.digest)
    )
    assert first != second
    assert explainer.explain_here(photo(1), (sha256,), DUO.digest, SECONDS) == first


def test_embedders_without_a_map_are_passed_over_and_a_model_of_such_is_refused(
    objects: FileObjects, pool: DecodePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    (sha256,) = stored(objects, photo(2))
    with world(DUO) as here:
        explainer = Explainer(objects, pool, here.host)
        with here.host.model(DUO.digest) as model:
            expected = explainer.explain_here(photo(1), (sha256,), TWO_VIEWS.digest, SECONDS)
            model.embedders[ONE.digest].maps = without_map
            found = explainer.explain_here(photo(1), (sha256,), DUO.digest, SECONDS)
            assert found == expected
            with pytest.raises(FailedPrecondition) as caught:
                explainer.explain_here(photo(1), (sha256,), ONE.digest, SECONDS)
            assert caught.value.reason == "NO_FEATURE_MAP"
            assert explainer.explain_pairs(pairs(((sha256, sha256),))).pictures == 0
        explainer.close()


def test_what_cannot_be_asked_is_refused_by_reason(
    explainer: Explainer, objects: FileObjects
) -> None:
    for sha256s, reason in (((GONE,) * 11, "TOO_MANY_EXPLAINED"), (("x",), "INVALID_DIGEST")):
        with pytest.raises(InvalidArgument) as caught:
            explainer.explain_here(photo(1), sha256s, ONE.digest, SECONDS)
        assert caught.value.reason == reason
    with pytest.raises(InvalidImage) as refused:
        explainer.explain_here(photo(1)[:400], (GONE,), ONE.digest, SECONDS)
    assert refused.value.reason == "IMAGE_TRUNCATED"
    assert explainer.explain_here(photo(1), (), ONE.digest, SECONDS) == []


async def test_passes_are_small_and_a_query_goes_between_them(
    explainer: Explainer, objects: FileObjects, here: World
) -> None:
    sha256s = stored(objects, *(photo(seed) for seed in range(10)))
    order: list[str] = []
    with here.host.model(ONE.digest) as model:
        embedder = model.embedders[ONE.digest]
        maps, forward = embedder.maps, embedder.forward
        begun = asyncio.Event()
        loop = asyncio.get_running_loop()

        def slow(rows: Batch) -> Embedded:
            order.append(f"maps {len(rows)}")
            loop.call_soon_threadsafe(begun.set)
            time.sleep(0.05)
            return maps(rows)

        def query(rows: Batch) -> Embedded:
            order.append("query")
            return forward(rows)

        embedder.maps, embedder.forward = slow, query
        asked = asyncio.create_task(explainer.explain(photo(1), sha256s, ONE.digest, SECONDS))
        await begun.wait()
        row = np.zeros((1, 3 * 32 * 32), np.uint8)
        await asyncio.wrap_future(embedder.submit(row, urgent=True))
        assert len(order) < 6
        assert all(is_picture(each) for each in await asked)
    assert order.count("query") == 1
    assert order.index("query") <= 3
    assert [each for each in order if each != "query"] == ["maps 2"] * 5 + ["maps 1"]


async def test_a_late_explanation_says_so_and_leaves_nothing_behind(
    explainer: Explainer, objects: FileObjects, here: World
) -> None:
    sha256s = stored(objects, *(photo(seed) for seed in range(4)))
    with pytest.raises(DeadlineExceeded, match="were not explained"):
        await explainer.explain(photo(1), sha256s, ONE.digest, 0.0005)
    found = await explainer.explain(photo(1), sha256s, ONE.digest, SECONDS)
    assert all(is_picture(each) for each in found)


def test_pairs_become_pictures_and_those_with_bad_images_are_left_out(
    explainer: Explainer, objects: FileObjects
) -> None:
    one, two, text = stored(objects, photo(1), photo(2), b"not a picture")
    message = pairs(((one, two), (GONE, two), (one, text), (two, one), (one, one)))
    assert explainer.explain_pairs(message).pictures == 3
    there = [objects.size(each) is not None for each in message.pictures]
    assert there == [True, False, False, True, True]
    assert all(is_picture(objects.get(each)) for each in message.pictures if objects.size(each))


def test_pairs_delivered_twice_become_the_same_pictures(
    explainer: Explainer, objects: FileObjects
) -> None:
    one, two = stored(objects, photo(1), photo(2))
    message = ExplainPairs.from_json(pairs(((one, two),)).to_json())
    outcome, before = explainer.explain_pairs(message), objects.get(message.pictures[0])
    assert explainer.explain_pairs(message) == outcome
    assert objects.get(message.pictures[0]) == before


def test_pairs_and_pictures_that_do_not_fit_together_are_refused(explainer: Explainer) -> None:
    with pytest.raises(InvalidArgument) as caught:
        explainer.explain_pairs(pairs(((GONE, GONE),), pictures=2))
    assert caught.value.reason == "BAD_MESSAGE"
    with pytest.raises(FailedPrecondition) as refused:
        explainer.explain_pairs(pairs(((GONE, GONE),), embedder=DUO.digest))
    assert refused.value.reason == "NOT_AN_EMBEDDER"
