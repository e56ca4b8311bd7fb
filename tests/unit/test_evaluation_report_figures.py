"""The figures and charts of a report, without a store."""

from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest

from services.core.domain.evaluation import Estimate
from services.evaluation.report import charts, svg
from services.evaluation.report.comparing import by_rank
from services.evaluation.report.curves import (
    accepting,
    reliability,
    score_histogram,
    worst_and_best,
)
from services.evaluation.result_files import QueryResults
from tests.unit.report_world import results

WORDS = ("A <title> & more", 'said "aloud" </desc><script>')


def drawn(chart: str) -> ElementTree.Element:
    """The chart, which has to be well-formed."""
    return ElementTree.fromstring(chart)


def numbers(chart: ElementTree.Element) -> list[str]:
    return [each.text or "" for each in chart.iter("text")]


def of_four(**columns: object) -> QueryResults:
    """Right, wrong, right, absent: with falling scores."""
    four = replace(
        results(4),
        absent=np.array([False, False, False, True]),
        right=np.array([True, False, True, False]),
        score=np.array([0.9, 0.8, 0.7, 0.6], np.float32),
    )
    return replace(four, **columns)  # type: ignore[arg-type]


def test_without_calibration_answers_are_accepted_by_score() -> None:
    curve = accepting(of_four())
    assert curve.coverage == (0.25, 0.5, 0.75, 1.0)
    assert curve.precision == pytest.approx((1, 1 / 2, 2 / 3, 1 / 2))
    assert curve.recall == pytest.approx((1 / 3, 1 / 3, 2 / 3, 2 / 3))


def test_answers_that_are_equally_sure_are_accepted_together() -> None:
    curve = accepting(of_four(score=np.array([0.5, 0.5, 0.5, 0.1], np.float32)))
    assert curve.coverage == (0.75, 1.0)
    assert curve.precision == pytest.approx((2 / 3, 1 / 2))


def test_with_calibration_only_held_out_queries_count() -> None:
    held_out = np.array([True, True, False, False])
    curve = accepting(of_four(held_out=held_out, probability=np.array([0.2, 0.9, 1.0, 1.0])))
    assert curve.coverage == (0.5, 1.0)
    assert curve.precision == (0.0, 0.5)


def test_a_query_without_answer_is_never_accepted() -> None:
    nothing = of_four(
        first_image=["a", "b", "c", ""], score=np.array([0.9, 0.8, 0.7, np.nan], np.float32)
    )
    assert accepting(nothing).coverage[-1] == 0.75
    assert score_histogram(nothing).counts == {"right": 2, "wrong": 1, "absent": 0}


def test_long_curves_keep_their_ends() -> None:
    curve = accepting(results(5_000))
    assert len(curve.coverage) <= 240
    assert (curve.coverage[0], curve.coverage[-1]) == (1 / 5_000, 1.0)


def test_the_bins_of_reliability_have_the_same_size() -> None:
    found = reliability(results(400, calibrated=True))
    assert found is not None
    assert len(found.sizes) == 10
    assert max(found.sizes) - min(found.sizes) <= 1
    assert list(found.predicted) == sorted(found.predicted)


def test_perfect_probabilities_lie_on_the_diagonal() -> None:
    rng = np.random.default_rng(3)
    probability = rng.random(20_000)
    found = reliability(
        replace(
            results(20_000),
            probability=probability,
            held_out=np.ones(20_000, np.bool_),
            right=rng.random(20_000) < probability,
        )
    )
    assert found is not None
    np.testing.assert_allclose(found.observed, found.predicted, atol=0.03)


def test_without_probabilities_there_is_no_reliability() -> None:
    assert reliability(results(50)) is None


def test_the_shares_of_every_outcome_add_up_to_one() -> None:
    found = score_histogram(results(300))
    assert set(found.counts) == {"right", "wrong", "absent"}
    for outcome, shares in found.shares.items():
        assert sum(shares) == pytest.approx(1.0), outcome


def test_equal_scores_have_a_histogram() -> None:
    same = replace(results(20), score=np.full(20, 0.5, np.float32))
    assert sum(score_histogram(same).counts.values()) == 20


def test_of_many_categories_the_worst_and_the_best_are_shown() -> None:
    figures = {f"c{number:02}": (number / 40, 20) for number in range(40)}
    figures["tiny"] = (0.0, 1)
    names, total = worst_and_best([figures])
    assert total == 41
    assert names == [f"c{number:02}" for number in [*range(10), *range(30, 40)]]


def test_metrics_are_in_the_order_of_their_ranks() -> None:
    assert by_rank({"recall@10", "map@10", "recall@1", "map@5"}) == [
        "map@5",
        "map@10",
        "recall@1",
        "recall@10",
    ]


@pytest.mark.parametrize(
    ("low", "high", "most", "expected"),
    [
        (0.0, 1.0, 5, (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)),
        (-0.013, 0.021, 4, (-0.01, 0.0, 0.01, 0.02)),
        (3.0, 3.0, 4, (3.0,)),
    ],
)
def test_ticks_are_round_numbers(
    low: float, high: float, most: int, expected: tuple[float, ...]
) -> None:
    assert svg.ticks(low, high, most) == pytest.approx(expected)


def test_charts_are_well_formed_and_say_what_they_show() -> None:
    found = results(80, calibrated=True)
    lines = [((0.1, 1.0), (1.0, 0.7)), ((), ()), ((1.0,), (0.6,))]
    estimate = {"map@1": Estimate(0.02, -0.01, 0.05), "map@5": Estimate(0.0, 0.0, 0.0)}
    made = [
        charts.lines_chart("a", WORDS, lines, "<x>", "y & z"),
        charts.reliability_chart("b", WORDS, [reliability(found), None]),
        charts.histogram_chart("c", WORDS, score_histogram(found)),
        charts.forest_chart("d", WORDS, ["map@1", "map@5"], [(1, estimate), (2, estimate)]),
        charts.categories_chart("e", WORDS, ["<b>", "x" * 90], [{"<b>": (0.5, 3)}, {}]),
    ]
    for each in made:
        chart = drawn(each)
        title, description = chart.find("title"), chart.find("desc")
        assert title is not None
        assert description is not None
        assert (title.text, description.text) == WORDS
        named = f"{title.get('id')} {description.get('id')}"
        assert (chart.get("role"), chart.get("aria-labelledby")) == ("img", named)
        assert chart.find("script") is None
        assert "nan" not in each.lower().replace("font", "")


def test_differences_are_written_in_points_with_their_sign() -> None:
    rows = {"map@1": Estimate(0.021, -0.00001, 0.05)}
    written = numbers(drawn(charts.forest_chart("d", WORDS, ["map@1"], [(1, rows)])))
    assert "+2.1" in written
    assert "0.0 to +5.0" in written


def test_a_chart_without_values_is_still_a_chart() -> None:
    drawn(charts.lines_chart("a", WORDS, [], "x", "y"))
    drawn(charts.forest_chart("a", WORDS, [], []))
    drawn(charts.categories_chart("a", WORDS, [], [{}]))
