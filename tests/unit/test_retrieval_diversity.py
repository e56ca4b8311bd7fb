"""Maximal marginal relevance against the loops of its definition."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.core.domain.stages import Diversity
from services.core.ports import Float32
from services.retrieval.diversity import diversify
from tests.clustered_vectors import clustered


def ranked(count: int, seed: int, clusters: int = 6) -> tuple[Float32, Float32]:
    """Results for a query, best first: relevance, vectors."""
    vectors = clustered(count + 1, clusters, 12, seed=seed)
    scores = vectors[1:] @ vectors[0]
    order = np.argsort(-scores)
    return scores[order], vectors[1:][order]


def plain(relevance: Float32, vectors: Float32, weight: float) -> list[int]:
    """The definition, one pair after the other."""
    everyone = range(len(vectors))
    units = vectors / np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    alike = {(a, b): float(units[a] @ units[b]) for a in everyone for b in everyone if a != b}
    least, most = min(alike.values()), max(alike.values())
    low, high = float(relevance.min()), float(relevance.max())
    order: list[int] = []
    while len(order) < len(vectors):

        def value(one: int) -> float:
            likeness = max(
                ((alike[one, other] - least) / (most - least) for other in order), default=0
            )
            return weight * (float(relevance[one]) - low) / (high - low) - (1 - weight) * likeness

        order.append(max((each for each in everyone if each not in order), key=value))
    return order


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10_000), weight=st.floats(0.0, 1.0))
def test_the_order_is_that_of_the_definition(seed: int, weight: float) -> None:
    relevance, vectors = ranked(12, seed)
    found = diversify(relevance, vectors, Diversity(weight, 12))
    assert found == plain(relevance, vectors, weight)


def test_full_relevance_keeps_the_ranking() -> None:
    relevance, vectors = ranked(40, 1)
    assert diversify(relevance, vectors, Diversity(1.0, 40)) == list(range(40))


def test_a_second_look_alike_comes_after_something_else() -> None:
    vectors = np.array([[1, 0, 0], [1, 0.02, 0], [0.7, 0.7, 0], [0, 0, 1]], np.float32)
    relevance = np.array([0.95, 0.94, 0.9, 0.2], np.float32)
    assert diversify(relevance, vectors, Diversity(0.5, 4)) == [0, 2, 3, 1]


def test_scores_of_any_range_give_the_same_order() -> None:
    relevance, vectors = ranked(20, 2)
    cosine = diversify(relevance, vectors, Diversity(0.6, 20))
    assert diversify(100 * relevance - 300, 7 * vectors, Diversity(0.6, 20)) == cosine


def test_results_behind_the_first_stay_where_they_are() -> None:
    relevance, vectors = ranked(30, 3)
    found = diversify(relevance, vectors, Diversity(0.3, 10))
    assert sorted(found[:10]) == list(range(10))
    assert found[:10] != list(range(10))
    assert found[10:] == list(range(10, 30))
    assert found[:10] == diversify(relevance[:10], vectors[:10], Diversity(0.3, 10))


def test_equal_results_keep_their_order() -> None:
    vectors = np.tile(clustered(1, 1, 8, seed=4), (9, 1))
    assert diversify(np.ones(9, np.float32), vectors, Diversity(0.5, 9)) == list(range(9))
    falling = np.linspace(1, 0.9, 9, dtype=np.float32)
    assert diversify(falling, vectors, Diversity(0.5, 9)) == list(range(9))


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_results_are_ordered(count: int) -> None:
    relevance, vectors = ranked(5, 5)
    found = diversify(relevance[:count], vectors[:count], Diversity(0.0, 50))
    assert found == list(range(count))


def test_arrays_that_do_not_fit_are_refused() -> None:
    relevance, vectors = ranked(5, 6)
    with pytest.raises(ValueError, match="relevance"):
        diversify(relevance[:4], vectors, Diversity())
    with pytest.raises(ValueError, match="vectors"):
        diversify(relevance, vectors[0], Diversity())
