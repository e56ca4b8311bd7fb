"""Whitening and PCA against what they promise about the gallery that they are fitted to."""

from collections.abc import Callable

import numpy as np
import pytest

from services.core.domain.errors import FailedPrecondition, InvalidArgument
from services.core.ports import Float32
from services.retrieval.fitting import Fit, fit_pca, fit_whitening
from services.retrieval.linear import Float64
from services.retrieval.moments import Moments

DIMENSION = 12


def gallery(rows: int = 2_000, seed: int = 21, rank: int = DIMENSION) -> Float32:
    """Vectors far from zero, some directions a hundred times wider than others."""
    random = np.random.default_rng(seed)
    widths = np.geomspace(1.0, 0.01, rank)
    basis = np.linalg.qr(random.standard_normal((DIMENSION, DIMENSION)))[0][:, :rank]
    spread: Float64 = (random.standard_normal((rows, rank)) * widths) @ basis.T
    return (5.0 + spread).astype(np.float32)


def moments(rows: Float32) -> Moments:
    seen = Moments(rows.shape[1])
    seen.add(rows)
    return seen


def covariance(rows: Float32) -> Float64:
    return np.atleast_2d(np.cov(rows.astype(np.float64), rowvar=False))


@pytest.mark.parametrize("dimension", [0, 1, 5, DIMENSION])
def test_a_whitened_gallery_has_no_mean_and_the_identity_as_covariance(dimension: int) -> None:
    rows = gallery()
    white = fit_whitening(moments(rows), dimension).linear.apply(rows)
    kept = dimension or DIMENSION
    assert white.shape == (len(rows), kept)
    np.testing.assert_allclose(white.mean(axis=0), 0.0, atol=1e-3)
    np.testing.assert_allclose(covariance(white), np.eye(kept), atol=1e-3)


def test_whitening_keeps_the_directions_of_most_variance() -> None:
    rows = gallery()
    fit = fit_whitening(moments(rows), 3)
    values, vectors = np.linalg.eigh(covariance(rows))
    for column, place in enumerate((-1, -2, -3)):
        expected = vectors[:, place] / np.sqrt(values[place])
        found = fit.linear.matrix[:, column]
        np.testing.assert_allclose(np.abs(found), np.abs(expected), rtol=1e-4, atol=1e-5)
    assert fit.explained == pytest.approx(values[-3:].sum() / values.sum(), rel=1e-6)


def test_shrinkage_divides_by_the_mixed_variances() -> None:
    rows = gallery()
    plain, shrunk = (fit_whitening(moments(rows), 0, each).linear for each in (0.0, 0.3))
    values = np.linalg.eigvalsh(covariance(rows))[::-1]
    mixed = 0.7 * values + 0.3 * values.mean()
    ratios = np.linalg.norm(shrunk.matrix, axis=0) / np.linalg.norm(plain.matrix, axis=0)
    np.testing.assert_allclose(ratios, np.sqrt(values / mixed), rtol=1e-4)


def test_full_shrinkage_only_turns_and_scales() -> None:
    rows = gallery()
    turned = fit_whitening(moments(rows), 0, 1.0).linear.matrix.astype(np.float64)
    scale = DIMENSION / np.trace(covariance(rows))
    np.testing.assert_allclose(turned.T @ turned / scale, np.eye(DIMENSION), atol=1e-5)


def test_pca_keeps_lengths_and_angles_within_its_directions() -> None:
    rows = gallery()
    fit = fit_pca(moments(rows))
    centred = rows.astype(np.float64) - rows.mean(axis=0, dtype=np.float64)
    turned = fit.linear.apply(rows)
    np.testing.assert_allclose(turned @ turned.T, centred @ centred.T, atol=1e-3)
    assert fit.explained == pytest.approx(1.0)


def test_pca_loses_less_than_any_other_choice_of_directions() -> None:
    rows = gallery()
    fit = fit_pca(moments(rows), 4)
    kept = covariance(fit.linear.apply(rows)).trace()
    total = covariance(rows).trace()
    assert fit.explained == pytest.approx(kept / total, rel=1e-4)
    random = np.linalg.qr(np.random.default_rng(2).standard_normal((DIMENSION, 4)))[0]
    assert kept > covariance(rows @ random.astype(np.float32)).trace()


@pytest.mark.parametrize("fit", [fit_whitening, fit_pca])
def test_the_order_of_the_gallery_changes_no_sign(fit: Callable[[Moments, int], Fit]) -> None:
    rows = gallery()
    matrices = [fit(moments(each), 6).linear.matrix for each in (rows, rows[::-1])]
    np.testing.assert_allclose(matrices[0], matrices[1], rtol=1e-3, atol=1e-4)
    largest = np.abs(matrices[0]).argmax(axis=0)
    assert (matrices[0][largest, range(6)] > 0).all()


def test_too_few_images_say_how_many_are_needed_and_what_is_possible() -> None:
    few = moments(gallery(rows=8))
    fits: tuple[Callable[[Moments, int], Fit], ...] = (fit_whitening, fit_pca)
    for fit in fits:
        with pytest.raises(FailedPrecondition) as refused:
            fit(few, 10)
        assert refused.value.reason == "TOO_FEW_EMBEDDINGS"
        assert refused.value.metadata["needed"] == "11"
        assert refused.value.metadata["possible_dimension"] == "7"
        assert "at least 11" in refused.value.message
        assert "at most 7" in refused.value.message
    assert np.isfinite(fit_whitening(few, 7).linear.matrix).all()


@pytest.mark.parametrize("rank", [1, 5])
def test_directions_without_variance_are_refused_and_not_blown_up(rank: int) -> None:
    flat = moments(gallery(rank=rank))
    with pytest.raises(FailedPrecondition) as refused:
        fit_whitening(flat)
    assert refused.value.metadata["possible_dimension"] == str(rank)
    assert np.abs(fit_whitening(flat, rank).linear.matrix).max() < 1e3
    assert np.abs(fit_whitening(flat, 0, 0.01).linear.matrix).max() < 1e3


def test_images_that_are_all_the_same_are_refused_with_any_shrinkage() -> None:
    same = moments(np.repeat(gallery(rows=1), 100, axis=0))
    for shrinkage in (0.0, 0.5, 1.0):
        with pytest.raises(FailedPrecondition) as refused:
            fit_whitening(same, 1, shrinkage)
        assert refused.value.reason == "TOO_FEW_EMBEDDINGS"


@pytest.mark.parametrize(
    ("dimension", "shrinkage", "reason"),
    [
        (DIMENSION + 1, 0.0, "DIMENSION_TOO_LARGE"),
        (-1, 0.0, "DIMENSION_TOO_LARGE"),
        (1, -0.1, "INVALID_SHRINKAGE"),
        (1, 1.1, "INVALID_SHRINKAGE"),
        (1, float("nan"), "INVALID_SHRINKAGE"),
    ],
)
def test_impossible_arguments_are_refused_by_name(
    dimension: int, shrinkage: float, reason: str
) -> None:
    with pytest.raises(InvalidArgument) as refused:
        fit_whitening(moments(gallery()), dimension, shrinkage)
    assert refused.value.reason == reason
    assert refused.value.metadata["field"] in refused.value.message
