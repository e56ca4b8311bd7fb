"""Query expansion and database-side augmentation against their formulas."""

import numpy as np
import pytest

from services.core.domain.errors import InvalidArgument
from services.core.domain.stages import Expansion
from services.core.ports import Float32
from services.retrieval import expansion as module
from services.retrieval.expansion import augment, expand
from tests.clustered_vectors import clustered

OTHERS = ["euclidean", "manhattan"]


def unit(vectors: Float32) -> Float32:
    lengths: Float32 = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return lengths


def nearest(query: Float32, gallery: Float32, count: int) -> tuple[Float32, Float32]:
    """The best of a gallery and their cosine similarities."""
    order = np.argsort(-(gallery @ query))[:count]
    return gallery[order], gallery[order] @ query


def test_average_is_the_mean_of_query_and_neighbours() -> None:
    vectors = clustered(6, 1, 8, seed=1)
    found = expand(
        vectors[0], vectors[1:], vectors[1:] @ vectors[0], Expansion(method="average"), "cosine"
    )
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, unit(vectors.mean(axis=0)), atol=1e-6)


def test_alpha_weighs_by_similarity_and_never_below_zero() -> None:
    vectors = clustered(4, 1, 8, seed=2)
    similarities = np.array([0.9, 0.5, -0.4], np.float32)
    found = expand(vectors[0], vectors[1:], similarities, Expansion(3, "alpha", 2.0), "cosine")
    expected = vectors[0] + 0.81 * vectors[1] + 0.25 * vectors[2]
    np.testing.assert_allclose(found, unit(expected), atol=1e-6)


def test_alpha_of_zero_is_the_average() -> None:
    vectors = clustered(6, 1, 8, seed=3)
    similarities = vectors[1:] @ vectors[0]
    alpha = expand(vectors[0], vectors[1:], similarities, Expansion(alpha=0.0), "cosine")
    average = expand(vectors[0], vectors[1:], similarities, Expansion(method="average"), "cosine")
    np.testing.assert_allclose(alpha, average, atol=1e-6)


@pytest.mark.parametrize("distance", OTHERS)
@pytest.mark.parametrize("method", ["average", "alpha"])
def test_negative_distances_give_the_plain_mean(method: str, distance: str) -> None:
    vectors = 5 * clustered(4, 1, 8, seed=4)
    scores = np.array([-1.0, -3.0, -9.0], np.float32)
    found = expand(vectors[0], vectors[1:], scores, Expansion(method=method), distance)
    np.testing.assert_allclose(found, vectors.mean(axis=0), rtol=1e-5)


def test_only_the_first_neighbours_count() -> None:
    vectors = clustered(9, 1, 8, seed=5)
    similarities = vectors[1:] @ vectors[0]
    some = expand(vectors[0], vectors[1:4], similarities[:3], Expansion(3), "cosine")
    many = expand(vectors[0], vectors[1:], similarities, Expansion(3), "cosine")
    assert np.array_equal(some, many)


def test_a_query_without_neighbours_comes_back() -> None:
    (query,) = clustered(1, 1, 8, seed=6)
    none = np.zeros((0, 8), np.float32)
    found = expand(query, none, none[:, 0], Expansion(), "cosine")
    assert np.array_equal(found, query)


def test_a_query_that_its_neighbours_cancel_comes_back() -> None:
    (query,) = clustered(1, 1, 8, seed=7)
    similarities = np.array([-1.0], np.float32)
    average = Expansion(method="average")
    assert np.array_equal(expand(query, -query[None], similarities, average, "cosine"), query)


def test_an_expanded_query_lies_nearer_to_the_centre_of_its_cluster() -> None:
    vectors = clustered(400, 40, 32, seed=8, spread=1.0)
    centres = clustered(400, 40, 32, seed=8, spread=0.0)
    before, after = [], []
    for number in range(100):
        query, gallery = vectors[number], np.delete(vectors, number, axis=0)
        best, similarities = nearest(query, gallery, 3)
        expanded = expand(query, best, similarities, Expansion(3), "cosine")
        before.append(query @ centres[number])
        after.append(expanded @ centres[number])
    assert np.mean(after) > np.mean(before) + 0.1


@pytest.mark.parametrize("distance", ["cosine", *OTHERS])
@pytest.mark.parametrize("rows", [1, 17, 1_000])
def test_augmentation_is_expansion_of_every_image(
    rows: int, distance: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery = clustered(50, 7, 8, seed=9)
    monkeypatch.setattr(module, "_DISTANCES", 50 * rows)
    found = augment(gallery, 4, 3.0, distance)
    assert found.dtype == np.float32
    for number, vector in enumerate(gallery):
        others = np.delete(gallery, number, axis=0)
        order = 1 if distance == "manhattan" else 2
        best = others[np.argsort(np.linalg.norm(others - vector, order, axis=1))[:4]]
        expected = expand(vector, best, best @ vector, Expansion(4, "alpha", 3.0), distance)
        np.testing.assert_allclose(found[number], expected, atol=1e-5)


def test_augmentation_of_a_gallery_with_fewer_images_takes_them_all() -> None:
    gallery = clustered(3, 1, 8, seed=10)
    np.testing.assert_allclose(
        augment(gallery, 10, 0.0, "euclidean"), np.tile(gallery.mean(axis=0), (3, 1)), rtol=1e-5
    )
    assert np.array_equal(augment(gallery[:1], 10, 3.0, "cosine"), gallery[:1])
    assert augment(gallery[:0], 10, 3.0, "cosine").shape == (0, 8)


def test_equal_images_stay_as_they_are() -> None:
    gallery = np.tile(clustered(1, 1, 8, seed=11), (20, 1))
    np.testing.assert_allclose(augment(gallery, 5, 3.0, "cosine"), gallery, atol=1e-6)


def test_impossible_augmentation_is_refused() -> None:
    gallery = clustered(5, 1, 8, seed=12)
    with pytest.raises(InvalidArgument, match="neighbours"):
        augment(gallery, 0, 3.0, "cosine")
    with pytest.raises(InvalidArgument, match="alpha"):
        augment(gallery, 5, -1.0, "cosine")


def test_arrays_that_do_not_fit_are_refused() -> None:
    vectors = clustered(5, 1, 8, seed=13)
    with pytest.raises(ValueError, match="neighbours"):
        expand(vectors[0], vectors[:, :4], np.ones(5, np.float32), Expansion(), "cosine")
    with pytest.raises(ValueError, match="similarities"):
        expand(vectors[0], vectors, np.ones(4, np.float32), Expansion(), "cosine")
    with pytest.raises(ValueError, match="gallery"):
        augment(vectors[0], 5, 3.0, "cosine")
    with pytest.raises(ValueError, match="hamming"):
        augment(vectors, 5, 3.0, "hamming")
