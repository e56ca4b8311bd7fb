"""Streaming mean and covariance against numpy over the whole matrix."""

import numpy as np
import pytest

from services.core.domain.errors import DataLoss, FailedPrecondition, InvalidArgument
from services.core.ports import Float32
from services.retrieval.linear import Float64
from services.retrieval.moments import MOST_DIMENSIONS, Moments

ROWS, DIMENSION = 9_000, 24


def correlated(seed: int, offset: float = 0.0, scale: float = 1.0) -> Float32:
    random = np.random.default_rng(seed)
    mixed = random.standard_normal((ROWS, DIMENSION)) @ random.standard_normal((DIMENSION,) * 2)
    return (offset + scale * mixed).astype(np.float32)


def moments_of(*batches: Float32) -> Moments:
    moments = Moments(DIMENSION)
    for each in batches:
        moments.add(each)
    return moments


def agree(moments: Moments, rows: Float32) -> None:
    exact: Float64 = rows.astype(np.float64)
    assert moments.count == len(rows)
    np.testing.assert_allclose(moments.mean, exact.mean(axis=0), rtol=1e-12, atol=1e-12)
    expected = np.cov(exact, rowvar=False)
    np.testing.assert_allclose(
        moments.covariance(), expected, rtol=1e-9, atol=1e-10 * np.abs(expected).max()
    )


@pytest.mark.parametrize("sizes", [(), (1,), (1, 2, 3, 4_095, 4_097), (0, 8_999)])
def test_batches_of_any_size_give_what_numpy_gives_for_all_rows(sizes: tuple[int, ...]) -> None:
    rows = correlated(1)
    agree(moments_of(*np.split(rows, np.cumsum(sizes))), rows)


@pytest.mark.parametrize("offset", [1e4, -1e6])
def test_an_offset_far_from_zero_costs_no_digits(offset: float) -> None:
    rows = correlated(2, offset)
    agree(moments_of(*np.array_split(rows, 7)), rows)
    naive = (rows.T @ rows) / len(rows) - np.outer(rows.mean(axis=0), rows.mean(axis=0))
    exact = np.cov(rows.astype(np.float64), rowvar=False)
    assert np.abs(naive - exact).max() > 0.01 * np.abs(exact).max()  # or this shows nothing


def test_batches_with_other_means_are_merged_exactly() -> None:
    rows = np.concatenate([correlated(3, 100.0, 1e-3), correlated(4, -5.0), correlated(5, 1e4)])
    agree(moments_of(*np.array_split(rows, 11)), rows)


def test_merged_moments_are_those_of_all_rows() -> None:
    first, second = correlated(6, 3.0), correlated(7, -200.0)
    merged, other = moments_of(first), moments_of(second)
    merged.merge(other)
    agree(merged, np.concatenate([first, second]))
    agree(other, second)


def test_merging_with_nothing_changes_nothing() -> None:
    rows = correlated(8)
    filled, empty = moments_of(rows), moments_of()
    filled.merge(empty)
    empty.merge(filled)
    agree(filled, rows)
    agree(empty, rows)


def test_a_covariance_of_one_row_is_refused() -> None:
    for moments in (moments_of(), moments_of(correlated(9)[:1])):
        with pytest.raises(FailedPrecondition) as refused:
            moments.covariance()
        assert refused.value.reason == "TOO_FEW_EMBEDDINGS"


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused_before_they_count(value: float) -> None:
    rows = correlated(10)[:50]
    broken = rows.copy()
    broken[7, 3] = value
    moments = moments_of(rows)
    with pytest.raises(DataLoss) as refused:
        moments.add(broken)
    assert refused.value.reason == "EMBEDDING_NOT_FINITE"
    agree(moments, rows)


def test_other_dimensions_are_refused_by_name() -> None:
    moments = moments_of()
    for shape in ((3, DIMENSION + 1), (DIMENSION,), (1, 3, DIMENSION)):
        with pytest.raises(InvalidArgument) as refused:
            moments.add(np.zeros(shape, np.float32))
        assert refused.value.reason == "DIMENSION_MISMATCH"
    with pytest.raises(InvalidArgument) as refused:
        moments.merge(Moments(DIMENSION + 1))
    assert refused.value.reason == "DIMENSION_MISMATCH"


def test_a_covariance_that_is_too_large_is_not_begun() -> None:
    with pytest.raises(InvalidArgument) as refused:
        Moments(MOST_DIMENSIONS + 1)
    assert refused.value.reason == "TOO_MANY_DIMENSIONS"
