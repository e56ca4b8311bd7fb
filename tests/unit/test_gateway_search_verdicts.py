"""Probabilities of answers: calibrations read, applied and doubted."""

from datetime import UTC, datetime
from typing import Any

import pytest

from services.core.domain import names
from services.core.domain.calibration import Calibration
from services.core.domain.stages import Expansion, Stages
from services.core.evaluation_ports import CalibrationRecord
from services.gateway.handlers.verdicts import LEAST
from shelflens.v1 import search_pb2 as sp
from tests.unit.gateway_doubles import MODEL_DIGEST, embedding_of, picture
from tests.unit.test_gateway_world import World

pytest_plugins = ("tests.unit.test_gateway_world",)

FITTED = Calibration(
    method="platt",
    intercept=-4.0,
    score_weight=6.0,
    margin_weight=3.0,
    knots=(),
    threshold=0.8,
    precision=0.95,
    queries=500,
    gallery_images=5,
    absent_share=0.3,
    accepted_share=0.6,
)


def calibrate(world: World, stages: Stages | None = None, **fields: Any) -> None:
    fitted = FITTED.to_dict() | fields
    key = (stages or Stages()).key
    record = CalibrationRecord("shop", MODEL_DIGEST, key, "eval", fitted, datetime.now(UTC))
    with world.records.begin(write=True) as tx:
        tx.calibrations.put(record)


async def shop(world: World, images: int = 5) -> None:
    await world.catalog()
    for number in range(images):
        await world.image((await world.product(f"p-{number}")).name, picture(number))
    world.index()


async def search(world: World, number: int = 1, **fields: Any) -> sp.SearchProductsResponse:
    request = sp.SearchProductsRequest(parent="catalogs/shop", photo=picture(number), **fields)
    return await world.search.SearchProducts(request)


def scores_of(number: int, images: int = 5) -> list[float]:
    query = embedding_of(picture(number))
    return sorted((float(embedding_of(picture(n)) @ query) for n in range(images)), reverse=True)


async def test_an_answer_has_the_probability_of_its_score_and_margin(world: World) -> None:
    await shop(world)
    assert not (await search(world)).HasField("verdict")
    calibrate(world)
    best, second = scores_of(1)[:2]
    for top_k in (10, 1):
        verdict = (await search(world, top_k=top_k)).verdict
        expected = FITTED.probability(best, best - second)
        assert verdict.probability == pytest.approx(expected, abs=1e-5)
        assert (verdict.threshold, verdict.no_match) == (0.8, expected < 0.8)
        assert verdict.calibration == names.calibration_name("shop", MODEL_DIGEST, "{}")


async def test_a_photo_of_nothing_in_the_catalogue_is_no_match(world: World) -> None:
    await shop(world)
    calibrate(world)
    assert (await search(world, number=900)).verdict.no_match
    assert not (await search(world, number=2)).verdict.no_match


async def test_an_empty_ranking_is_no_match_with_probability_0(world: World) -> None:
    await shop(world, images=1)
    calibrate(world, threshold=0.0)
    verdict = (await search(world, number=900, score_threshold=0.9999)).verdict
    assert (verdict.no_match, verdict.probability) == (True, 0.0)


async def test_a_result_that_a_threshold_left_out_counts_in_the_margin(world: World) -> None:
    await shop(world)
    calibrate(world)
    best = scores_of(1)[0]
    verdict = (await search(world, score_threshold=0.99)).verdict
    assert verdict.probability == pytest.approx(FITTED.probability(best, best - 0.99), abs=1e-5)


async def test_only_the_stages_that_ran_are_answered_for(world: World) -> None:
    await shop(world)
    calibrate(world, Stages(expand=Expansion()))
    expand = sp.RankingStages(expand=sp.RankingStages.Expand())
    assert not (await search(world)).HasField("verdict")
    answer = await search(world, stages=expand)
    name = names.calibration_name("shop", MODEL_DIGEST, Stages(expand=Expansion()).key)
    assert answer.verdict.calibration == name
    skipped = await search(world, stages=expand, latency_budget_ms=1)
    assert list(skipped.skipped_stages) == ["expand"]
    assert not skipped.HasField("verdict")
    calibrate(world, threshold=0.1)
    skipped = await search(world, stages=expand, latency_budget_ms=1)
    assert skipped.verdict.threshold == 0.1


async def test_a_new_calibration_counts_at_once_and_a_removed_one_no_more(world: World) -> None:
    await shop(world)
    calibrate(world)
    assert (await search(world)).verdict.threshold == 0.8
    calibrate(world, threshold=0.7)
    assert (await search(world)).verdict.threshold == 0.7
    with world.records.begin(write=True) as tx:
        tx.calibrations.remove("shop", MODEL_DIGEST, "{}")
    assert not (await search(world)).HasField("verdict")


async def test_a_damaged_calibration_does_not_fail_searches(world: World) -> None:
    await shop(world)
    calibrate(world, method="guess")
    answer = await search(world)
    assert len(answer.results) == 5
    assert not answer.HasField("verdict")


@pytest.mark.parametrize(
    ("images", "warned"), [(3, True), (4, False), (5, False), (6, False), (7, True)]
)
async def test_a_gallery_of_another_size_is_warned_of(
    world: World, images: int, warned: bool
) -> None:
    await shop(world, images)
    calibrate(world)
    warnings = (await search(world)).warnings
    assert [f"has {images} images, and had 5" in each for each in warnings] == [True] * warned


async def test_more_photos_of_absent_products_are_warned_of(world: World) -> None:
    await shop(world)
    calibrate(world)
    for number in range(LEAST - 1):
        assert not (await search(world, number=900 + number)).warnings
    page = await search(world, number=899, page_size=2)
    (warning,) = page.warnings
    assert warning.startswith(f"of the last {LEAST} answers ")
    assert "60%" in warning
    assert "more" in warning
    further = await search(world, 899, page_size=2, page_token=page.next_page_token)
    assert list(further.warnings) == [warning]  # a further page is no further search
    calibrate(world, intercept=-4.5)
    assert not (await search(world)).warnings
