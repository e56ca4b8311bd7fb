"""Which near-duplicate results are folded into which."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.core.ports import Float32
from services.retrieval.folding import fold
from tests.clustered_vectors import clustered


def at_degrees(*angles: float) -> Float32:
    radians = np.deg2rad(angles)
    return np.stack([np.cos(radians), np.sin(radians)], axis=1).astype(np.float32)


TEN_DEGREES = float(np.cos(np.deg2rad(10.5)))


def test_a_near_duplicate_is_folded_into_the_better_result() -> None:
    assert fold(at_degrees(0, 90, 8, 95, 180), TEN_DEGREES) == [0, 1, 0, 1, 4]


def test_a_folded_result_takes_no_others() -> None:
    """The third is like the second alone, which is gone."""
    assert fold(at_degrees(0, 9, 18), TEN_DEGREES) == [0, 0, 2]


def test_of_two_that_stay_the_better_ranked_takes_a_duplicate_of_both() -> None:
    assert fold(at_degrees(0, 15, 8), TEN_DEGREES) == [0, 1, 0]


def test_equal_images_are_folded_at_the_highest_similarity() -> None:
    vectors = clustered(5, 5, 64, seed=1)
    vectors[3] = vectors[1]
    assert fold(vectors, 1.0) == [0, 1, 2, 1, 4]


def test_the_length_of_a_vector_does_not_matter() -> None:
    lengths = np.array([[0.1], [30.0], [4.0]], np.float32)
    assert fold(at_degrees(0, 9, 90) * lengths, TEN_DEGREES) == [0, 0, 2]


def test_no_results_fold_into_none() -> None:
    assert fold(np.zeros((0, 4), np.float32), 0.99) == []
    assert fold(np.ones((1, 4), np.float32), 0.99) == [0]


def test_vectors_of_zeros_are_no_duplicates() -> None:
    assert fold(np.zeros((3, 4), np.float32), 0.5) == [0, 1, 2]


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10_000), similarity=st.floats(0.5, 1.0))
def test_who_stays_is_never_folded_and_no_two_that_stay_are_alike(
    seed: int, similarity: float
) -> None:
    vectors = clustered(30, 8, 6, seed=seed, spread=0.3)
    folded = fold(vectors, similarity)
    assert all(folded[into] == into <= position for position, into in enumerate(folded))
    staying = sorted(set(folded))
    alike = vectors[staying].astype(np.float64) @ vectors[staying].T
    assert (np.triu(alike, 1) < similarity + 1e-6).all()


def test_arrays_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="vectors"):
        fold(np.ones(4, np.float32), 0.99)
