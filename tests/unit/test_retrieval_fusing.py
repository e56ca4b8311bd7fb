"""One query out of several photos."""

import numpy as np
import pytest

from services.retrieval.fusing import fuse
from tests.clustered_vectors import clustered


def test_photos_fuse_into_their_mean() -> None:
    photos = clustered(4, 1, 16, seed=1)
    mean = photos.mean(axis=0)
    found = fuse(photos, "cosine")
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, mean / np.linalg.norm(mean), atol=1e-6)
    assert np.linalg.norm(found) == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("distance", ["euclidean", "manhattan"])
def test_other_distances_keep_the_length_of_the_mean(distance: str) -> None:
    photos = 3 * clustered(4, 1, 16, seed=2)
    np.testing.assert_allclose(fuse(photos, distance), photos.mean(axis=0), rtol=1e-5)


@pytest.mark.parametrize("distance", ["cosine", "euclidean", "manhattan"])
def test_one_photo_stays_as_it_is(distance: str) -> None:
    photos = clustered(1, 1, 16, seed=3)
    assert np.array_equal(fuse(photos, distance), photos[0])


def test_the_order_of_the_photos_does_not_matter() -> None:
    photos = clustered(5, 2, 16, seed=4)
    np.testing.assert_allclose(fuse(photos[::-1], "cosine"), fuse(photos, "cosine"), atol=1e-6)


def test_photos_that_cancel_out_leave_the_first() -> None:
    photos = clustered(1, 1, 16, seed=5)
    both = np.concatenate([photos, -photos])
    assert np.array_equal(fuse(both, "cosine"), photos[0])


def test_no_photos_are_refused() -> None:
    with pytest.raises(ValueError, match="no embeddings"):
        fuse(np.zeros((0, 8), np.float32), "cosine")
    with pytest.raises(ValueError, match="embeddings"):
        fuse(np.zeros(8, np.float32), "cosine")
