"""Metrics of rankings, worked out by hand."""

from collections.abc import Sequence

import numpy as np
import pytest

from services.core.domain.errors import InvalidArgument
from services.core.domain.evaluation import METRICS
from services.retrieval.metrics import per_query


def of(ranking: str, count: int, k: int) -> dict[str, float]:
    """Metrics of one query, without their @k; `ranking` has + where a result is relevant."""
    relevant = np.array([[each == "+" for each in ranking]], bool).reshape(1, len(ranking))
    values = per_query(relevant, np.array([count]), (k,))
    return {name.removesuffix(f"@{k}"): float(value[0]) for name, value in values.items()}


@pytest.mark.parametrize(
    ("ranking", "count", "k", "expected"),
    [
        # Precisions 1/1, 2/3 and 3/5 at the relevant ranks: their sum is 34/15.
        ("+-+-+", 4, 5, (34 / 60, 34 / 45, 34 / 60, 3 / 4, 1, 3 / 5, 1)),
        # min(R, k) = 5, R = 10: the best ranking reaches half of all.
        ("+-+-+", 10, 5, (34 / 75, 34 / 45, 34 / 150, 3 / 10, 1 / 2, 3 / 5, 1)),
        # Within 2 of the same: 1/1 alone.
        ("+-+-+", 4, 2, (1 / 2, 1, 1 / 4, 1 / 4, 2 / 4, 1 / 2, 1)),
        ("---", 2, 3, (0, 0, 0, 0, 1, 0, 0)),
        ("--+", 1, 3, (1 / 3, 1 / 3, 1 / 3, 1, 1, 1 / 3, 1)),
        ("--+", 1, 2, (0, 0, 0, 0, 1, 0, 0)),
        ("+++", 3, 3, (1, 1, 1, 1, 1, 1, 1)),
        ("+", 7, 1, (1, 1, 1 / 7, 1 / 7, 1 / 7, 1, 1)),
        # Three results in all: the ranks from four to ten hold nothing.
        ("-++", 2, 10, (7 / 12, 7 / 12, 7 / 12, 1, 1, 2 / 10, 1)),
        ("", 2, 10, (0, 0, 0, 0, 1, 0, 0)),
    ],
)
def test_metrics_are_what_a_hand_works_out(
    ranking: str, count: int, k: int, expected: Sequence[float]
) -> None:
    assert of(ranking, count, k) == pytest.approx(dict(zip(METRICS, expected, strict=True)))


def test_every_metric_is_told_at_every_rank_for_every_query() -> None:
    relevant = np.random.default_rng(1).random((40, 12)) < 0.3
    values = per_query(relevant, np.full(40, 12), (1, 5, 10))
    assert set(values) == {f"{name}@{k}" for name in METRICS for k in (1, 5, 10)}
    assert {(value.shape, str(value.dtype)) for value in values.values()} == {((40,), "float64")}


def test_average_precision_is_what_two_loops_add_up_to() -> None:
    random = np.random.default_rng(2)
    relevant = random.random((200, 30)) < 0.2
    counts = relevant.sum(axis=1) + random.integers(1, 5, size=200)
    values = per_query(relevant, counts, (7, 30))
    for k in (7, 30):
        for query, (row, count) in enumerate(zip(relevant, counts, strict=True)):
            found, gain = 0, 0.0
            for rank in range(1, k + 1):
                if row[rank - 1]:
                    found += 1
                    gain += found / rank
            assert values[f"map@{k}"][query] == pytest.approx(gain / min(count, k))
            assert values[f"map_hits@{k}"][query] == pytest.approx(gain / found if found else 0)
            assert values[f"map_all@{k}"][query] == pytest.approx(gain / count)


def test_no_ranking_exceeds_its_ceiling() -> None:
    random = np.random.default_rng(3)
    relevant = random.random((500, 20)) < random.random((500, 1))
    counts = np.maximum(relevant.sum(axis=1), 1)
    for k in (1, 3, 20):
        values = per_query(relevant, counts, (k,))
        assert (values[f"mar@{k}"] <= values[f"mar_ceiling@{k}"]).all()
        assert all((value >= 0).all() and (value <= 1).all() for value in values.values())


def test_many_queries_are_measured_as_each_alone() -> None:
    relevant = np.random.default_rng(4).random((3, 3_000_000)) < 1e-4  # several parts
    counts = np.array([1_000, 2_000, 3_000])
    together = per_query(relevant, counts, (1_000_000,))
    for query in range(3):
        alone = per_query(relevant[query : query + 1], counts[query : query + 1], (1_000_000,))
        assert {name: value[query] for name, value in together.items()} == {
            name: value[0] for name, value in alone.items()
        }


def test_no_queries_have_no_values() -> None:
    values = per_query(np.zeros((0, 5), bool), np.zeros(0, np.int64), (1, 5))
    assert {value.shape for value in values.values()} == {(0,)}


@pytest.mark.parametrize(
    ("shape", "counts", "ks"),
    [
        ((2, 3), [3, 0], (1,)),
        ((2, 3), [3, 2], (1,)),
        ((2, 3), [3], (1,)),
        ((2, 3), [3, 3], (0, 1)),
    ],
)
def test_what_cannot_be_measured_is_refused(
    shape: tuple[int, int], counts: list[int], ks: tuple[int, ...]
) -> None:
    with pytest.raises(InvalidArgument) as refused:
        per_query(np.ones(shape, bool), np.array(counts), ks)
    assert refused.value.reason == "RELEVANCE_MISMATCH"
