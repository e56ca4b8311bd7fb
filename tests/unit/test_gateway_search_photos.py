"""Several photos of one product, pictures of why, and tokens for feedback."""

import base64
import hashlib
import json
import re
from typing import Any

import numpy as np
import pytest

from services.core.domain import keys
from services.core.domain.errors import FailedPrecondition, InvalidArgument
from services.core.domain.stages import Expansion, Stages
from services.gateway.handlers.feedback_tokens import Answered, read_token, write_token
from services.retrieval.fusing import fuse
from shelflens.v1 import search_pb2 as sp
from tests.unit.gateway_doubles import MODEL_DIGEST, embedding_of, picture
from tests.unit.test_gateway_comparing import compare, comparison, until
from tests.unit.test_gateway_switching import begun
from tests.unit.test_gateway_world import World, refused

pytest_plugins = ("tests.unit.test_gateway_world",)
EMBEDDING = sp.Embedding(values=embedding_of(picture(1)).tolist())


def request(**fields: Any) -> sp.SearchProductsRequest:
    return sp.SearchProductsRequest(parent="catalogs/shop", **fields)


async def search(world: World, **fields: Any) -> sp.SearchProductsResponse:
    return await world.search.SearchProducts(request(**fields))


async def shop(world: World, images: int = 8) -> None:
    await world.catalog()
    for number in range(images):
        await world.image((await world.product(f"p-{number}")).name, picture(number))
    world.index()


def scored(answer: sp.SearchProductsResponse) -> list[tuple[str, object]]:
    return [(each.sku, pytest.approx(each.score, abs=1e-5)) for each in answer.results]


async def test_several_photos_ask_for_their_mean(world: World) -> None:
    await shop(world)
    photos = [picture(number) for number in (1, 2, 900)]
    mean = fuse(np.stack([embedding_of(each) for each in photos]), "cosine")
    for _ in range(2):  # the second time the model is guessed before it is known
        together = await search(world, photo=photos[0], more_photos=photos[1:])
        by_mean = await search(world, embedding=sp.Embedding(values=mean.tolist()))
        assert scored(together) == scored(by_mean)


async def test_several_photos_are_embedded_side_by_side(world: World) -> None:
    await shop(world, images=1)
    world.embedder.delay = 0.3
    photos = [picture(number) for number in range(7)]
    answer = await search(world, photo=picture(9), more_photos=photos, include_timings=True)
    total = next(each.milliseconds for each in answer.timings if each.stage == "total")
    assert 300 <= total < 1_500  # one after another: 2,400


async def test_several_photos_are_compared_on_a_deployment_to_come(world: World) -> None:
    new = await begun(world)
    compare(world, new)
    await search(world, photo=picture(1), more_photos=[picture(2)])
    await until(lambda: comparison(world).get("searches") == 1)
    assert world.embedder.digests.count(new.model_digest) == 2


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ({"photo": picture(1), "more_photos": [picture(2), b"bad"]}, "FORMAT", "more_photos[1]"),
        ({"photo": picture(1), "more_photos": [b""]}, "IMAGE_EMPTY", "more_photos[0]"),
        ({"photo": picture(1), "more_photos": [picture(2)] * 8}, "OUT_OF_RANGE", "more_photos"),
        ({"embedding": EMBEDDING, "more_photos": [picture(2)]}, "PHOTO_MISSING", "more_photos"),
        ({"more_photos": [picture(2)]}, "PHOTO_MISSING", "more_photos"),
        ({"embedding": EMBEDDING, "explain_results": 1}, "PHOTO_MISSING", "explain_results"),
        ({"photo": picture(1), "explain_results": 11}, "OUT_OF_RANGE", "explain_results"),
        ({"photo": picture(1), "explain_results": -1}, "OUT_OF_RANGE", "explain_results"),
    ],
)
async def test_what_cannot_be_is_refused_by_its_field(
    world: World, fields: dict[str, Any], code: str, field: str
) -> None:
    await shop(world, images=1)
    with pytest.raises(Exception) as caught:  # noqa: PT011 - the message is looked at below
        await search(world, **fields)
    assert f"{field}: " in str(caught.value)
    status, reason = await refused(search(world, **fields))
    assert status == "INVALID_ARGUMENT"
    assert code in reason


async def test_the_first_results_of_a_page_are_explained(world: World) -> None:
    await shop(world)
    photo = picture(3)
    answer = await search(world, photo=photo, explain_results=2, include_timings=True)
    pictures = [each.explanation for each in answer.results]
    sha256s = [each.image.rsplit("/", 1)[1] for each in answer.results]
    assert pictures[:2] == [photo + each.encode() for each in sha256s[:2]]
    assert not any(pictures[2:])
    assert [each.stage for each in answer.timings][-2:] == ["explain", "total"]
    paged = request(photo=photo, explain_results=1, page_size=3)
    paged.page_token = (await world.search.SearchProducts(paged)).next_page_token
    second = await world.search.SearchProducts(paged)
    assert second.results[0].explanation == photo + sha256s[3].encode()
    assert not second.results[1].explanation


async def test_a_stored_image_is_explained_with_its_own_bytes(world: World) -> None:
    await shop(world)
    image = (await search(world, photo=picture(3))).results[0].image
    answer = await search(world, image=image, explain_results=1)
    assert answer.results[0].explanation.startswith(picture(3))
    world.objects.delete(keys.image_key(image.rsplit("/", 1)[1]))
    answer = await search(world, image=image, explain_results=1)
    assert len(answer.results) == 8
    assert answer.warnings[0].startswith("the results could not be explained: ")


async def test_an_answer_comes_without_explanations_that_fail(world: World) -> None:
    await shop(world)
    world.embedder.explaining = FailedPrecondition("no maps", reason="MODEL_HAS_NO_MAPS")
    answer = await search(world, photo=picture(3), explain_results=2)
    assert answer.results[0].sku == "p-3"
    assert not any(each.explanation for each in answer.results)
    assert list(answer.warnings) == ["the results could not be explained: no maps"]


async def test_an_answer_waits_for_explanations_no_longer_than_its_deadline(world: World) -> None:
    await shop(world)
    await search(world, photo=picture(3))
    image = (await search(world, photo=picture(3))).results[0].image
    world.embedder.delay = 30
    call = world.search.SearchProducts(request(image=image, explain_results=1), timeout=2)
    answer = await call
    assert answer.results[0].sku == "p-3"
    assert answer.warnings[0].startswith("the results could not be explained: ")


async def test_explaining_is_skipped_when_it_does_not_fit(world: World) -> None:
    await shop(world)
    answer = await search(world, photo=picture(3), explain_results=1, latency_budget_ms=1)
    assert list(answer.skipped_stages) == ["explain"]
    assert not answer.results[0].explanation
    assert not answer.warnings


async def test_the_token_of_an_answer_says_what_made_it(world: World) -> None:
    await shop(world)
    photo = picture(3)
    stages = sp.RankingStages(expand=sp.RankingStages.Expand())
    sha256 = hashlib.sha256(photo).hexdigest()
    plain = await search(world, photo=photo)
    assert read_token(plain.feedback_token) == Answered("shop", MODEL_DIGEST, "{}", sha256)
    expanded = await search(world, photo=photo, stages=stages)
    assert read_token(expanded.feedback_token).stages == Stages(expand=Expansion()).key
    skipped = await search(world, photo=photo, stages=stages, latency_budget_ms=1)
    assert read_token(skipped.feedback_token).stages == "{}"
    by_image = await search(world, image=plain.results[0].image)
    assert read_token(by_image.feedback_token).photo == sha256
    assert not (await search(world, embedding=EMBEDDING)).feedback_token


def test_a_token_comes_back_as_it_was_written() -> None:
    answered = Answered("shop", MODEL_DIGEST, Stages(expand=Expansion()).key, "0" * 64)
    token = write_token(answered)
    assert read_token(token) == answered
    assert re.fullmatch("[A-Za-z0-9_=-]+", token)


def encoded(**fields: object) -> str:
    body = {
        "version": 1, "catalog": "shop", "model_digest": "0" * 64, "stages": "{}",
        "photo": "0" * 64,
    } | fields  # fmt: skip
    return base64.urlsafe_b64encode(json.dumps(body).encode()).decode()


@pytest.mark.parametrize(
    "token",
    [
        "",
        "garbage",
        "bm90IGpzb24=",
        "ü",
        base64.urlsafe_b64encode(b"[1]").decode(),
        base64.urlsafe_b64encode(b"[" * 3_000).decode(),
        "A" * 5_000,
        encoded(version=2),
        encoded(catalog="No Id"),
        encoded(catalog=3),
        encoded(photo="00"),
        encoded(model_digest=None),
        encoded(stages="[]"),
        encoded(stages='{"expand": 1}'),
        encoded(stages='{"other": {}}'),
        encoded(stages='{"expand":{}}'),
        encoded(more="fields"),
    ],
)
def test_a_token_that_no_answer_brought_is_refused(token: str) -> None:
    with pytest.raises(InvalidArgument, match="feedback_token") as caught:
        read_token(token)
    assert caught.value.reason == "FEEDBACK_TOKEN_INVALID"
