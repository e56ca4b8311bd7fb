"""Numbers that hold a score and a position, and sort by the score."""

import numpy as np

from services.retrieval.ranking_keys import pack, positions_of, scores_of, shuffles


def test_a_key_tells_its_score_and_its_position() -> None:
    random = np.random.default_rng(1)
    scores = (random.standard_normal((50, 400)) * 10.0 ** random.integers(-30, 30)).astype(
        np.float32
    )
    positions = random.integers(1 << 32, size=(50, 400))
    shuffle = shuffles(50, 2)[:, None]
    keys = pack(scores, positions, shuffle)
    np.testing.assert_array_equal(scores_of(keys), scores)
    np.testing.assert_array_equal(positions_of(keys, shuffle), positions)


def test_keys_sort_as_their_scores_whatever_their_sign() -> None:
    largest = np.finfo(np.float32).max
    scores = np.array([-np.inf, -largest, -1, -1e-40, 0, 1e-40, 1, largest, np.inf], np.float32)
    keys = pack(scores, np.arange(9)[::-1], shuffles(1, 3))
    assert (np.diff(keys.astype(object)) > 0).all()
    assert keys.all()


def test_no_score_is_read_from_zero() -> None:
    assert np.isnan(scores_of(np.zeros(1, np.uint64))).all()


def test_no_two_positions_share_a_key() -> None:
    positions = np.arange(1 << 18)
    for shuffle in shuffles(3, 4):
        keys = pack(np.zeros(1, np.float32), positions, np.array([shuffle]))
        assert len(np.unique(keys)) == len(positions)


def test_near_positions_are_spread_evenly_by_every_query() -> None:
    shuffle = shuffles(20_000, 5)[:, None]
    keys = pack(np.zeros((20_000, 10), np.float32), np.arange(10), shuffle)
    for order in (keys.argmax(axis=1), keys.argmin(axis=1)):
        # Five standard deviations around 2,000.
        assert (abs(np.bincount(order, minlength=10) - 2_000) < 213).all()
