"""Rankings that go through stages, through the API."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from services.core.domain.stages import Expansion, Reranking
from services.core.ports import Float32
from services.evaluation.ranker import Ranker
from services.gateway.servicers.stage_conversions import stages_of
from services.retrieval.expansion import expand
from services.retrieval.reciprocal import rerank
from shelflens.v1 import catalogs_pb2 as pb
from shelflens.v1 import search_pb2 as sp
from tests.unit.gateway_doubles import DIMENSION, embedding_of, picture
from tests.unit.test_gateway_world import World, refused

pytest_plugins = ("tests.unit.test_gateway_world",)

PHOTO = picture(1_000)
QUERY = embedding_of(PHOTO)
ALL = sp.RankingStages(
    expand=sp.RankingStages.Expand(),
    rerank=sp.RankingStages.Rerank(candidates=12, k1=4, k2=2),
    fold=sp.RankingStages.Fold(similarity=0.95),
    diversify=sp.RankingStages.Diversify(results=6),
)


def by_photo(**fields: object) -> sp.SearchProductsRequest:
    return sp.SearchProductsRequest(parent="catalogs/shop", photo=PHOTO, **fields)  # type: ignore[arg-type]


async def search(world: World, **fields: object) -> sp.SearchProductsResponse:
    return await world.search.SearchProducts(by_photo(**fields))


def skus(answer: sp.SearchProductsResponse) -> list[str]:
    return [each.sku for each in answer.results]


def near(cosine: float, axis: int) -> Float32:
    """Of length 1, with this similarity to the query; those of one axis are alike."""
    basis = np.linalg.qr(np.column_stack([QUERY, np.eye(DIMENSION)]))[0]
    basis[:, 0] *= np.sign(basis[:, 0] @ QUERY)
    vector: Float32 = (cosine * basis[:, 0] + np.sqrt(1 - cosine**2) * basis[:, axis]).astype("f4")
    return vector


async def shelf(world: World, vectors: Mapping[str, Float32]) -> None:
    """One product with one image for each vector."""
    await world.catalog()
    for number, sku in enumerate(vectors):
        await world.image((await world.product(sku)).name, picture(number))
    world.index()
    for points in world.vectors.points.values():
        for key, point in points.items():
            points[key] = replace(point, vector=vectors[str(point.payload["sku"])])
    world.vectors.with_vectors.clear()
    world.vectors.limits.clear()


def crowd(count: int = 40) -> dict[str, Float32]:
    """Vectors in clusters of four, some of them nearly the same."""
    generator = np.random.default_rng(7)
    centres = generator.normal(size=(count // 4, DIMENSION))
    rows = np.repeat(centres, 4, axis=0) + 0.2 * generator.normal(size=(count, DIMENSION))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return {f"p-{number}": row.astype(np.float32) for number, row in enumerate(rows)}


def by_score(vectors: Mapping[str, Float32], query: Float32) -> list[str]:
    return sorted(vectors, key=lambda sku: -float(vectors[sku] @ query))


async def test_a_search_without_stages_fetches_no_vectors_and_asks_once(world: World) -> None:
    await shelf(world, crowd())
    answer = await search(world, stages=sp.RankingStages(), include_timings=True)
    assert world.vectors.with_vectors == [False]
    assert [each.stage for each in answer.timings] == [
        "decode", "embed", "search", "records", "total",
    ]  # fmt: skip
    assert not any(each.HasField("reranked") for each in answer.results)
    assert not answer.skipped_stages
    assert not answer.HasField("verdict")


async def test_each_stage_has_its_own_time(world: World) -> None:
    await shelf(world, crowd())
    answer = await search(world, stages=ALL, include_timings=True)
    assert [each.stage for each in answer.timings] == [
        "decode", "embed", "search", "expand", "rerank", "fold", "diversify", "records", "total",
    ]  # fmt: skip
    parts = sum(each.milliseconds for each in answer.timings[2:-1])
    assert parts <= answer.timings[-1].milliseconds


async def test_an_expanded_query_is_the_mean_with_its_best_live_hits(world: World) -> None:
    vectors = crowd()
    await shelf(world, vectors)
    gone = by_score(vectors, QUERY)[1]
    product = f"catalogs/shop/products/{gone}"
    await world.catalogs.DeleteProduct(pb.DeleteProductRequest(name=product))
    del vectors[gone]
    best = by_score(vectors, QUERY)[:3]
    scores = np.array([vectors[sku] @ QUERY for sku in best])
    neighbours = np.stack([vectors[sku] for sku in best])
    moved = expand(QUERY, neighbours, scores, Expansion(neighbours=3), "cosine")
    stages = sp.RankingStages(expand=sp.RankingStages.Expand(neighbours=3))
    answer = await search(world, stages=stages)
    assert skus(answer) == by_score(vectors, moved)[:10]
    assert answer.results[0].score == pytest.approx(float(vectors[best[0]] @ moved), abs=1e-5)
    assert world.vectors.with_vectors == [True, False]


async def test_the_best_images_are_reranked_and_the_rest_follow(world: World) -> None:
    vectors = crowd()
    await shelf(world, vectors)
    order = by_score(vectors, QUERY)
    first = order[:8]
    candidates = np.stack([vectors[sku] for sku in first])
    values = rerank(QUERY, candidates, Reranking(candidates=8, k1=4, k2=2), "cosine")
    expected = dict(zip(first, values.tolist(), strict=True))
    stages = sp.RankingStages(rerank=sp.RankingStages.Rerank(candidates=8, k1=4, k2=2))
    answer = await search(world, stages=stages, top_k=20)
    assert skus(answer)[:8] == sorted(first, key=lambda sku: -expected[sku])
    assert skus(answer)[:8] != first
    assert skus(answer)[8:] == order[8:20]
    for place, result in enumerate(answer.results):
        assert result.score == pytest.approx(float(vectors[result.sku] @ QUERY), abs=1e-5)
        assert result.HasField("reranked") == result.hits[0].HasField("reranked") == (place < 8)
        if place < 8:
            assert result.reranked == pytest.approx(expected[result.sku], abs=1e-6)
    assert world.vectors.with_vectors == [True]


async def test_near_duplicates_are_folded_into_the_best_of_them(world: World) -> None:
    same = near(0.9, 1)
    await shelf(
        world,
        {"a": same, "b": near(0.899, 1), "c": near(0.8, 2), "d": near(0.898, 1), "e": near(0.5, 3)},
    )
    stages = sp.RankingStages(fold=sp.RankingStages.Fold(similarity=0.99))
    answer = await search(world, stages=stages, top_k=3)
    assert skus(answer) == ["a", "c", "e"]
    assert list(answer.results[0].folded_products) == [
        "catalogs/shop/products/b",
        "catalogs/shop/products/d",
    ]
    assert not answer.results[1].folded_products


async def test_folding_looks_further_until_top_k_is_full(world: World) -> None:
    many = {f"same-{number}": near(0.9 - number * 1e-5, 1) for number in range(50)}
    await shelf(world, many | {"c": near(0.7, 2), "d": near(0.6, 3)})
    stages = sp.RankingStages(fold=sp.RankingStages.Fold())
    answer = await search(world, stages=stages, top_k=3)
    assert skus(answer) == ["same-0", "c", "d"]
    assert len(answer.results[0].folded_products) == 49
    assert not answer.truncated


async def test_diverse_results_come_first_and_none_is_lost(world: World) -> None:
    await shelf(
        world, {"a": near(0.9, 1), "b": near(0.89, 1), "c": near(0.88, 1), "d": near(0.8, 2)}
    )
    assert skus(await search(world)) == ["a", "b", "c", "d"]
    stages = sp.RankingStages(diversify=sp.RankingStages.Diversify(relevance=0.3, results=4))
    answer = await search(world, stages=stages)
    assert skus(answer)[:2] == ["a", "d"]
    assert sorted(skus(answer)) == ["a", "b", "c", "d"]
    few = await search(world, stages=stages, top_k=2)  # chosen from more than are shown
    assert skus(few) == ["a", "d"]


@pytest.mark.parametrize(
    "stages",
    [
        ALL,
        sp.RankingStages(
            rerank=sp.RankingStages.Rerank(candidates=8, k1=4, k2=2, weight=0.2),
            diversify=sp.RankingStages.Diversify(relevance=0.4, results=20),
        ),
        sp.RankingStages(expand=ALL.expand, fold=ALL.fold),
        sp.RankingStages(),
    ],
    ids=lambda stages: "-".join(stages_of(stages).names),
)
async def test_searches_rank_as_evaluations_do(world: World, stages: sp.RankingStages) -> None:
    vectors = crowd()
    await shelf(world, vectors)
    names, gallery = list(vectors), np.stack(list(vectors.values()))
    ranker = Ranker(gallery, np.arange(len(names)), "cosine", stages_of(stages), seed=0)
    evaluated = ranker.rank(QUERY[None], 0)
    expected = [names[number] for number in evaluated.answers[0] if number >= 0]
    answer = await search(world, stages=stages, top_k=40)
    assert skus(answer) == expected
    scores = [each.score for each in answer.results]
    np.testing.assert_allclose(scores, evaluated.scores[0, : len(scores)], atol=1e-5)


async def test_pages_of_all_stages_make_up_the_ranked_list(world: World) -> None:
    await shelf(world, crowd())
    whole = await search(world, stages=ALL, top_k=14)
    request = by_photo(stages=ALL, top_k=14, page_size=4)
    paged: list[sp.SearchResult] = []
    while True:
        answer = await world.search.SearchProducts(request)
        paged += answer.results
        if not answer.next_page_token:
            break
        request.page_token = answer.next_page_token
    assert paged == list(whole.results)
    assert len({each.sku for each in paged}) == 14


async def test_stages_that_do_not_fit_are_skipped_by_name(world: World) -> None:
    vectors = crowd()
    await shelf(world, vectors)
    answer = await search(world, stages=ALL, latency_budget_ms=1, include_timings=True)
    assert list(answer.skipped_stages) == ["expand", "rerank", "fold", "diversify"]
    assert skus(answer) == by_score(vectors, QUERY)[:10]
    assert [each.stage for each in answer.timings] == [
        "decode", "embed", "search", "records", "total",
    ]  # fmt: skip
    assert world.vectors.with_vectors == [False]
    roomy = await search(world, stages=ALL, latency_budget_ms=60_000)
    assert not roomy.skipped_stages
    assert roomy.results == (await search(world, stages=ALL)).results


async def test_further_pages_skip_what_the_first_one_skipped(world: World) -> None:
    vectors = crowd()
    await shelf(world, vectors)
    request = by_photo(stages=ALL, top_k=8, page_size=4, latency_budget_ms=500)
    world.embedder.delay = 0.6
    first = await world.search.SearchProducts(request)
    assert list(first.skipped_stages) == ["expand", "rerank", "fold", "diversify"]
    world.embedder.delay = 0
    request.page_token = first.next_page_token
    second = await world.search.SearchProducts(request)
    assert skus(first) + skus(second) == by_score(vectors, QUERY)[:8]
    assert second.skipped_stages == first.skipped_stages
    request.ClearField("page_token")
    request.latency_budget_ms = 2_000
    first = await world.search.SearchProducts(request)
    assert not first.skipped_stages
    world.embedder.delay = 2.1
    request.page_token = first.next_page_token
    assert not (await world.search.SearchProducts(request)).skipped_stages


async def test_stages_of_an_empty_catalogue_find_nothing(world: World) -> None:
    await world.catalog()
    answer = await search(world, stages=ALL)
    assert not answer.results
    assert not answer.truncated


@pytest.mark.parametrize(
    ("stages", "field"),
    [
        ({"expand": {"neighbours": 101}}, "stages.expand.neighbours"),
        ({"expand": {"method": "sum"}}, "stages.expand.method"),
        ({"expand": {"alpha": float("nan")}}, "stages.expand.alpha"),
        ({"rerank": {"candidates": 1_001}}, "stages.rerank.candidates"),
        ({"rerank": {"k1": -1}}, "stages.rerank.k1"),
        ({"rerank": {"k1": 3, "k2": 4}}, "stages.rerank.k2"),
        ({"rerank": {"weight": 1.5}}, "stages.rerank.weight"),
        ({"fold": {"similarity": 0.2}}, "stages.fold.similarity"),
        ({"diversify": {"relevance": -0.1}}, "stages.diversify.relevance"),
        ({"diversify": {"results": 1}}, "stages.diversify.results"),
    ],
)
async def test_impossible_stages_are_refused_by_their_field(
    world: World, stages: dict[str, dict[str, object]], field: str
) -> None:
    await world.catalog()
    call = search(world, stages=sp.RankingStages(**stages))  # type: ignore[arg-type]
    with pytest.raises(Exception, match=field.replace(".", r"\.")):
        await call
    call = search(world, stages=sp.RankingStages(**stages))  # type: ignore[arg-type]
    assert await refused(call) == ("INVALID_ARGUMENT", "STAGE_INVALID")


async def test_a_negative_latency_budget_is_refused(world: World) -> None:
    await world.catalog()
    call = search(world, latency_budget_ms=-1)
    assert await refused(call) == ("INVALID_ARGUMENT", "OUT_OF_RANGE")
