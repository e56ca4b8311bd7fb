"""The expected calibration error, worked out by hand."""

import math

import numpy as np
import pytest

from services.retrieval.calibration_error import expected_calibration_error


def error(probabilities: list[float], right: list[int], bins: int = 10) -> float:
    return expected_calibration_error(np.array(probabilities), np.array(right, bool), bins)


@pytest.mark.parametrize(
    ("probabilities", "right", "bins", "expected"),
    [
        # Bins {0.1, 0.3} with 0 of 2 right and {0.6, 0.8} with 2 of 2: (0.2 + 0.3) / 2.
        ([0.1, 0.3, 0.6, 0.8], [0, 0, 1, 1], 2, 0.25),
        # The same in another order.
        ([0.8, 0.1, 0.6, 0.3], [1, 0, 1, 0], 2, 0.25),
        # Within a bin errors cancel: mean 0.45, 2 of 4 right.
        ([0.1, 0.3, 0.6, 0.8], [0, 1, 0, 1], 1, 0.05),
        # By rank {0.2, 0.2, 0.2} and {0.9, 0.9}: gaps of 0.2 and 0.1, weighted by 3 and 2.
        ([0.2, 0.2, 0.2, 0.9, 0.9], [0, 0, 0, 1, 1], 2, (3 * 0.2 + 2 * 0.1) / 5),
        # Fewer answers than bins: each alone.
        ([0.25, 0.5], [0, 1], 10, (0.25 + 0.5) / 2),
        ([0.0, 1.0], [0, 1], 10, 0.0),
        ([1.0, 0.0], [0, 1], 10, 1.0),
    ],
)
def test_the_error_is_what_a_hand_works_out(
    probabilities: list[float], right: list[int], bins: int, expected: float
) -> None:
    assert error(probabilities, right, bins) == pytest.approx(expected)


def test_one_probability_for_all_is_as_wrong_as_its_mean() -> None:
    for right in ([1, 1, 1, 0], [0, 1, 1, 1], [1, 0, 1, 1]):
        assert error([0.7] * 4, right, bins=2) == pytest.approx(0.05)


def test_the_order_of_equal_probabilities_does_not_matter() -> None:
    random = np.random.default_rng(1)
    probabilities = random.integers(0, 6, size=97) / 5
    right = random.random(97) < probabilities
    expected = expected_calibration_error(probabilities, right)
    for _ in range(10):
        order = random.permutation(97)
        shuffled = expected_calibration_error(probabilities[order], right[order])
        assert shuffled == pytest.approx(expected, abs=1e-12)


def test_probabilities_that_come_true_have_next_to_no_error() -> None:
    random = np.random.default_rng(2)
    probabilities = random.random(200_000)
    right = random.random(200_000) < probabilities
    assert expected_calibration_error(probabilities, right) < 0.01
    # E|p - p squared| = 1/2 - 1/3
    too_sure = expected_calibration_error(probabilities, random.random(200_000) < probabilities**2)
    assert too_sure == pytest.approx(1 / 6, abs=0.01)


def test_of_no_answers_there_is_no_error_to_tell() -> None:
    assert math.isnan(error([], []))
