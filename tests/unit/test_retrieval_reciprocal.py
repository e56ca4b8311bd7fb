"""k-reciprocal re-ranking against the plain algorithm of the paper, and what must always hold."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.core.domain.stages import Reranking
from services.core.ports import Float32
from services.retrieval import reciprocal_joint
from services.retrieval.linear import Float64
from services.retrieval.reciprocal import rerank
from services.retrieval.reciprocal_joint import rerank_joint
from tests.clustered_vectors import clustered
from tests.plain_reciprocal import plain_joint, plain_rerank

DISTANCES = ["cosine", "euclidean", "manhattan"]
SETTINGS = [
    Reranking(),
    Reranking(k1=20, k2=6, weight=0.3),
    Reranking(k1=5, k2=1, weight=0.0),
    Reranking(k1=1, k2=1, weight=0.9),
    Reranking(k1=200, k2=150, weight=0.5),
]


def assert_equal(found: Float32, expected: Float32 | Float64 | float) -> None:
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def with_duplicates(count: int = 90, seed: int = 1) -> Float32:
    """Clusters, and one vector that twelve of them share, the first two included."""
    vectors = clustered(count, 12, 16, seed=seed)
    vectors[40:50] = vectors[:2] = vectors[30]
    return vectors


def on_a_grid(seed: int, count: int, dimension: int = 3) -> Float32:
    """Small whole numbers: many equal vectors and many equal distances."""
    random = np.random.default_rng(seed)
    return random.integers(-1, 2, size=(count, dimension)).astype(np.float32)


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("reranking", SETTINGS)
def test_one_query_is_ranked_as_the_paper_says(reranking: Reranking, distance: str) -> None:
    vectors = with_duplicates()
    for query in vectors[:4]:
        found = rerank(query, vectors[4:], reranking, distance)
        assert found.dtype == np.float32
        expected = plain_rerank(query, vectors[4:], reranking, distance)
        assert_equal(found, expected)


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("reranking", SETTINGS)
def test_the_joint_form_is_as_the_paper_says(reranking: Reranking, distance: str) -> None:
    vectors = with_duplicates()
    found = rerank_joint(vectors[:30], vectors[30:], reranking, distance)
    assert found.dtype == np.float32
    expected = plain_joint(vectors[:30], vectors[30:], reranking, distance)
    assert_equal(found, expected)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    queries=st.integers(1, 12),
    gallery=st.integers(1, 25),
    k1=st.integers(1, 12),
    distance=st.sampled_from(DISTANCES),
)
def test_equal_distances_are_settled_alike_in_all_forms(
    seed: int, queries: int, gallery: int, k1: int, distance: str
) -> None:
    reranking = Reranking(k1=k1, k2=(k1 + 1) // 2, weight=0.3)
    vectors = on_a_grid(seed, queries + gallery)
    asked, stored = vectors[:queries], vectors[queries:]
    joint = rerank_joint(asked, stored, reranking, distance)
    assert_equal(joint, plain_joint(asked, stored, reranking, distance))
    alone = rerank(asked[0], stored, reranking, distance)
    assert_equal(alone, plain_rerank(asked[0], stored, reranking, distance))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), distance=st.sampled_from(DISTANCES))
def test_the_order_of_the_candidates_does_not_matter(seed: int, distance: str) -> None:
    vectors = on_a_grid(seed, 30)
    order = np.random.default_rng(seed).permutation(29)
    found = rerank(vectors[0], vectors[1:], Reranking(), distance)
    moved = rerank(vectors[0], vectors[1:][order], Reranking(), distance)
    assert_equal(moved, found[order])


def test_a_query_alone_in_the_joint_form_is_ranked_as_online() -> None:
    vectors = with_duplicates()
    joint = rerank_joint(vectors[:1], vectors[1:], Reranking(), "cosine")
    online = rerank(vectors[0], vectors[1:], Reranking(), "cosine")
    assert_equal(1 - joint[0], online)


def test_other_queries_change_the_joint_form() -> None:
    vectors = clustered(60, 6, 16, seed=3)
    together = rerank_joint(vectors[:20], vectors[20:], Reranking(), "cosine")
    alone = rerank_joint(vectors[:1], vectors[20:], Reranking(), "cosine")
    assert np.abs(together[0] - alone[0]).max() > 0.01


@pytest.mark.parametrize("distance", DISTANCES)
def test_a_weight_of_one_keeps_the_order(distance: str) -> None:
    vectors = clustered(80, 9, 16, seed=4)
    found = rerank(vectors[0], vectors[1:], Reranking(weight=1.0), distance)
    order = 1 if distance == "manhattan" else 2
    distances = np.linalg.norm((vectors[1:] - vectors[0]).astype(np.float64), order, axis=1)
    assert np.argsort(-found).tolist() == np.argsort(distances).tolist()


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("count", [1, 3, 300])
def test_candidates_that_are_all_equal_get_one_value(count: int, distance: str) -> None:
    query, same = clustered(2, 2, 16, seed=5)
    found = rerank(query, np.tile(same, (count, 1)), Reranking(), distance)
    assert np.ptp(found) < 1e-6
    joint = rerank_joint(query[None], np.tile(same, (count, 1)), Reranking(), distance)
    assert_equal(1 - joint[0], found)


def test_candidates_equal_to_the_query_are_as_near_as_can_be() -> None:
    (query,) = clustered(1, 1, 16, seed=6)
    found = rerank(query, np.tile(query, (12, 1)), Reranking(), "cosine")
    assert_equal(found, 1.0)


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_fewer_candidates_than_neighbours_are_ranked(count: int) -> None:
    vectors = clustered(count + 1, 3, 16, seed=7)
    found = rerank(vectors[0], vectors[1:], Reranking(k1=8, k2=5), "cosine")
    assert found.shape == (count,)
    if count:
        expected = plain_rerank(vectors[0], vectors[1:], Reranking(), "cosine")
        assert_equal(found, expected)


def test_vectors_of_zeros_stay_finite() -> None:
    vectors = np.zeros((6, 4), np.float32)
    assert np.isfinite(rerank(vectors[0], vectors[1:], Reranking(), "cosine")).all()
    vectors[3] = [1, 0, 0, 0]
    assert np.isfinite(rerank_joint(vectors[:2], vectors[2:], Reranking(), "cosine")).all()


def test_values_lie_between_nought_and_one() -> None:
    vectors = with_duplicates()
    for distance in DISTANCES:
        found = rerank(vectors[0], vectors[1:], Reranking(), distance)
        assert found.min() >= 0.0
        assert found.max() <= 1.0 + 1e-6


def test_a_neighbour_of_neighbours_passes_a_stranger_that_is_nearer() -> None:
    """The query lies at the edge of a cluster; a stranger on its other side is a little nearer."""
    angles = np.deg2rad([0, 8, 9, 10, 11, 12, 13, -9.5, -30, -31, -32])
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    found = rerank(circle[0], circle[1:], Reranking(k1=4, k2=2, weight=0.3), "cosine")
    member, stranger = 2, 6  # at 10 and at -9.5 degrees
    assert found[member] > found[stranger]


def test_more_images_of_the_query_s_cluster_come_first() -> None:
    vectors = clustered(600, 60, 32, seed=8, spread=1.0)
    centres = clustered(600, 60, 32, seed=8, spread=0.0)
    before = after = 0
    for number in range(30):
        query, gallery = vectors[number], vectors[100:]
        relevant = centres[100:] @ centres[number] > 0.999
        best = np.argsort(-(gallery @ query))[:200]
        reranked = rerank(query, gallery[best], Reranking(), "cosine")
        before += int(relevant[best[:5]].sum())
        after += int(relevant[best[np.argsort(-reranked)[:5]]].sum())
    assert after > 1.1 * before


def test_small_batches_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = with_duplicates()
    whole = rerank_joint(vectors[:30], vectors[30:], Reranking(), "cosine")
    monkeypatch.setattr(reciprocal_joint, "_VALUES", 50)
    cut = rerank_joint(vectors[:30], vectors[30:], Reranking(), "cosine")
    assert_equal(cut, whole)


def test_a_picture_that_thousands_share_costs_no_more_than_one() -> None:
    vectors = clustered(3_000, 300, 16, seed=8)
    vectors[500:] = vectors[500]
    found = rerank_joint(vectors[:100], vectors[100:], Reranking(), "cosine")
    assert np.ptp(found[:, 400:], axis=1).max() == 0.0


def test_joint_without_queries_or_gallery_is_empty() -> None:
    vectors = clustered(3, 1, 16, seed=9)
    assert rerank_joint(vectors[:0], vectors, Reranking(), "cosine").shape == (0, 3)
    assert rerank_joint(vectors, vectors[:0], Reranking(), "cosine").shape == (3, 0)


def test_arrays_that_do_not_fit_are_refused() -> None:
    vectors = clustered(5, 2, 16, seed=10)
    with pytest.raises(ValueError, match="candidates"):
        rerank(vectors[0], vectors[1:, :8], Reranking(), "cosine")
    with pytest.raises(ValueError, match="query"):
        rerank(vectors, vectors, Reranking(), "cosine")
    with pytest.raises(ValueError, match="gallery"):
        rerank_joint(vectors, vectors[:, :8], Reranking(), "cosine")
    with pytest.raises(ValueError, match="hamming"):
        rerank(vectors[0], vectors[1:], Reranking(), "hamming")


def test_retrieval_needs_no_scipy() -> None:
    code = (
        "import sys, services.retrieval.reciprocal_joint, services.retrieval.diversity, "
        "services.retrieval.expansion, services.retrieval.folding, services.retrieval.fusing; "
        "sys.exit('scipy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
