"""The nearest of a gallery against comparing everything in float64."""

import tracemalloc

import numpy as np
import pytest

from services.core.domain.errors import DataLoss, InvalidArgument
from services.core.ports import Float32
from services.retrieval.linear import Float64
from services.retrieval.metrics import per_query
from services.retrieval.nearest import nearest
from services.retrieval.ranking_keys import Int64

DISTANCES = ("cosine", "euclidean", "manhattan")
SMALL = 64 << 10  # a budget for which every tile is a block


def vectors(rows: int, dimension: int, seed: int, distance: str) -> Float32:
    made = np.random.default_rng(seed).standard_normal((rows, dimension)).astype(np.float32)
    if distance == "cosine":
        made /= np.linalg.norm(made, axis=1, keepdims=True)
    return made


def obvious(queries: Float32, gallery: Float32, distance: str) -> Float64:
    """Scores float64 [q, g]."""
    first, second = queries.astype(np.float64), gallery.astype(np.float64)
    steps = first[:, None] - second
    scores: Float64 = {
        "cosine": (first[:, None] * second).sum(axis=2),
        "euclidean": -np.sqrt((steps**2).sum(axis=2)),
        "manhattan": -np.abs(steps).sum(axis=2),
    }[distance]
    return scores


def agree(positions: Int64, exact: Float64) -> None:
    """Every rank holds the score that belongs there, no position twice."""
    found = np.take_along_axis(exact, positions, axis=1)
    best = -np.sort(-exact, axis=1)[:, : positions.shape[1]]
    np.testing.assert_allclose(found, best, rtol=1e-6, atol=1e-6)
    assert (np.diff(np.sort(positions, axis=1), axis=1) > 0).all()


def same(rows: int) -> Float32:
    """Unit vectors [rows, 4] that are all the same."""
    return np.full((rows, 4), 0.5, np.float32)


def recall_of_nothing(dimension: int, seed: int, distance: str) -> float:
    """Mean recall@1 of 2,000 queries where all embeddings are the same and 300 of 1,000 images are
    relevant."""
    constant = vectors(1, dimension, 1, distance)
    queries, gallery = np.repeat(constant, 2_000, axis=0), np.repeat(constant, 1_000, axis=0)
    _, positions = nearest(queries, gallery, 5, distance, seed=seed)
    counts = np.full(2_000, 300, np.int64)
    return float(per_query(positions < 300, counts, (1,))["recall@1"].mean())


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize(
    ("queries", "gallery", "k", "budget"),
    [(1, 1, 1, SMALL), (7, 300, 10, SMALL), (130, 1_000, 100, SMALL), (70, 500, 20, 1 << 28)],
)
def test_the_nearest_are_those_of_comparing_everything(
    distance: str, queries: int, gallery: int, k: int, budget: int
) -> None:
    asked, held = vectors(queries, 24, 1, distance), vectors(gallery, 24, 2, distance)
    scores, positions = nearest(asked, held, k, distance, budget=budget)
    exact = obvious(asked, held, distance)
    agree(positions, exact)
    np.testing.assert_allclose(
        scores, np.take_along_axis(exact, positions, axis=1), rtol=1e-5, atol=1e-6
    )
    assert scores.dtype == np.float32
    assert positions.dtype == np.int64


@pytest.mark.parametrize("distance", DISTANCES)
def test_a_gallery_that_gets_nearer_and_nearer_is_ranked_all_the_same(distance: str) -> None:
    asked, held = vectors(70, 16, 3, distance), vectors(900, 16, 4, distance)
    held = held[np.argsort(obvious(asked[:1], held, distance)[0])]
    _, positions = nearest(asked, held, 9, distance, budget=SMALL)
    agree(positions, obvious(asked, held, distance))


@pytest.mark.parametrize("distance", DISTANCES)
def test_all_of_a_gallery_smaller_than_k_is_ranked(distance: str) -> None:
    asked, held = vectors(5, 16, 5, distance), vectors(200, 16, 6, distance)
    scores, positions = nearest(asked, held, 1_000, distance, budget=SMALL)
    assert scores.shape == positions.shape == (5, 200)
    agree(positions, obvious(asked, held, distance))


def test_no_queries_and_no_gallery_find_nothing() -> None:
    some, none = vectors(3, 8, 7, "cosine"), np.zeros((0, 8), np.float32)
    assert nearest(none, some, 2, "cosine")[1].shape == (0, 2)
    assert nearest(some, none, 2, "cosine")[1].shape == (3, 0)


@pytest.mark.parametrize("distance", ["euclidean", "manhattan"])
def test_a_small_distance_far_from_the_origin_keeps_its_digits(distance: str) -> None:
    held = 10_000 + vectors(300, 32, 8, distance)
    asked = held[:50] + 0.01 * vectors(50, 32, 9, distance)
    scores, positions = nearest(asked, held, 3, distance)
    np.testing.assert_array_equal(positions[:, 0], np.arange(50))
    exact = np.take_along_axis(obvious(asked, held, distance), positions, axis=1)
    np.testing.assert_allclose(scores, exact, rtol=1e-5)


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("dimension", [3, 512])
def test_constant_embeddings_score_at_chance(distance: str, dimension: int) -> None:
    for seed in range(2):
        # Five standard deviations of the mean of 2,000 throws.
        assert abs(recall_of_nothing(dimension, seed, distance) - 0.3) < 0.052


def test_equal_scores_fall_differently_for_every_query() -> None:
    _, positions = nearest(same(1_500), same(1_500), 2, "cosine")
    counts = np.bincount(positions[:, 0], minlength=1_500)
    assert counts.max() <= 8  # one order for all would have 1,500
    pairs = np.unique(positions, axis=0)
    assert len(pairs) > 1_490


def test_of_equal_images_none_is_preferred_wherever_it_stands() -> None:
    held = vectors(2_001, 512, 10, "cosine")
    twins = [0, 63, 64, 1_000, 2_000]  # the last is alone in its block
    held[twins] = held[0]
    asked = np.repeat(held[:1], 1_000, axis=0)
    scores, positions = nearest(asked, held, 6, "cosine", budget=1 << 20)
    assert np.unique(scores[:, :5]).size == 1
    np.testing.assert_array_equal(np.sort(positions[:, :5]), [twins] * 1_000)
    first = np.bincount(positions[:, 0], minlength=2_001)[twins]
    assert (abs(first - 200) < 64).all()  # five standard deviations


@pytest.mark.parametrize("rows", [1, 3, 7, 65])
def test_the_edge_of_a_tile_does_not_change_scores(rows: int) -> None:
    # 3 queries of 7 images is where BLAS is seen to add up in two ways.
    for dimension in (512, 1280):
        one = vectors(1, dimension, 13, "cosine")
        queries, gallery = np.repeat(one, 3, axis=0), np.repeat(one, rows, axis=0)
        scores, _ = nearest(queries, gallery, rows, "cosine")
        assert np.unique(scores).size == 1


def test_a_seed_repeats_the_order_of_equal_scores_and_another_changes_it() -> None:
    ranked = [nearest(same(300), same(300), 5, "cosine", seed=seed)[1] for seed in (1, 1, 2)]
    np.testing.assert_array_equal(ranked[0], ranked[1])
    assert (ranked[0] != ranked[2]).mean() > 0.9


def test_tiles_of_any_size_give_equal_scores_the_same_order() -> None:
    rows = same(300)
    small, large = (nearest(rows, rows, 7, "cosine", budget=size) for size in (SMALL, 1 << 28))
    np.testing.assert_array_equal(small[1], large[1])


def test_scores_of_minus_zero_and_zero_are_equal() -> None:
    asked = np.tile(np.array([1, 0], np.float32), (500, 1))
    held = np.array([[-0.0, 1], [0.0, 1], [-0.0, -1], [0.0, -1]], np.float32)
    _, positions = nearest(asked, held, 4, "cosine")
    assert np.bincount(positions[:, 0], minlength=4).min() > 80


@pytest.mark.parametrize("distance", DISTANCES)
def test_memory_stays_within_the_budget_even_where_all_scores_are_equal(distance: str) -> None:
    budget = 8 << 20
    rows = same(3_000)
    tracemalloc.start()
    try:
        found = nearest(rows, rows, 20, distance, budget=budget)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < budget + 3 * sum(each.nbytes for each in found)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(value: float) -> None:
    good = vectors(2_000, 8, 11, "cosine")
    broken = good.copy()
    broken[1_500, 3] = value
    for asked, held in ((broken, good), (good, broken)):
        with pytest.raises(DataLoss) as refused:
            nearest(asked, held, 3, "cosine")
        assert refused.value.reason == "EMBEDDING_NOT_FINITE"


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_values_too_large_to_compare_are_refused_not_ranked_anyhow() -> None:
    huge = vectors(100, 8, 12, "euclidean") * np.float32(1e30)
    with pytest.raises(DataLoss) as refused:
        nearest(huge, huge, 3, "euclidean")
    assert refused.value.reason == "EMBEDDING_NOT_FINITE"


@pytest.mark.parametrize(
    ("shape", "k", "distance", "reason"),
    [
        ((2, 8), 1, "hamming", "UNKNOWN_DISTANCE"),
        ((2, 9), 1, "cosine", "DIMENSION_MISMATCH"),
        ((8,), 1, "cosine", "DIMENSION_MISMATCH"),
        ((2, 8), 0, "cosine", "TOO_FEW_RESULTS"),
    ],
)
def test_what_cannot_be_compared_is_refused_by_name(
    shape: tuple[int, ...], k: int, distance: str, reason: str
) -> None:
    with pytest.raises(InvalidArgument) as refused:
        nearest(np.zeros(shape, np.float32), np.zeros((3, 8), np.float32), k, distance)
    assert refused.value.reason == reason
