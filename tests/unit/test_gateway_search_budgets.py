"""Which stages fit into a latency budget."""

import pytest

from services.core.domain.stages import Expansion, Folding, Reranking, Stages
from services.gateway.handlers.budgets import EXPLAIN, Course, StageCosts
from services.gateway.handlers.stopwatch import Stopwatch

STAGES = Stages(expand=Expansion(), rerank=Reranking(), fold=Folding())


def course(budget: float, costs: StageCosts, settled: tuple[str, ...] | None = None) -> Course:
    return Course(STAGES, Stopwatch(10), costs, budget, settled)


def learned(stage: str, units: int, milliseconds: float) -> StageCosts:
    costs = StageCosts()
    for _ in range(100):
        costs.note(stage, units, milliseconds)
    return costs


def test_an_estimate_is_a_running_mean_of_what_a_stage_took() -> None:
    costs = learned("rerank", 200, 8.0)
    assert costs.estimate("rerank", 200) == pytest.approx(8.0)
    costs.note("rerank", 200, 108.0)
    assert costs.estimate("rerank", 200) == pytest.approx(28.0)
    assert costs.estimate("rerank", 250) == pytest.approx(28.0 * 250 / 200)


def test_what_few_images_took_tells_nothing_of_many() -> None:
    unknown = StageCosts().estimate("rerank", 1_000)
    assert learned("rerank", 10, 0.1).estimate("rerank", 1_000) == unknown


def test_a_stage_runs_only_where_it_will_fit() -> None:
    costs = learned("rerank", 200, 50.0)
    assert course(10_000, costs).fits("rerank", 200)
    late = course(40, costs)
    assert not late.fits("rerank", 200)
    assert late.skipped == ("rerank",)
    assert late.ran == STAGES.without("rerank")


def test_a_stage_that_was_skipped_stays_so() -> None:
    costs = learned("rerank", 200, 5_000.0)
    tight = course(1_000, costs)
    assert not tight.fits("rerank", 200)
    for _ in range(200):
        costs.note("rerank", 200, 0.1)
    assert not tight.fits("rerank", 200)


def test_without_a_budget_everything_fits() -> None:
    costs = learned("rerank", 200, 1e9)
    assert course(0, costs).fits("rerank", 200)
    assert course(0, costs).skipped == ()


def test_what_was_not_asked_for_neither_runs_nor_counts_as_skipped() -> None:
    tight = course(1e-6, StageCosts())
    assert not tight.fits("diversify", 10)
    assert tight.skipped == ()


def test_skipped_stages_come_in_the_order_of_the_stages() -> None:
    tight = course(1e-6, StageCosts())
    for stage in (EXPLAIN, "fold", "rerank", "expand"):
        assert not tight.fits(stage, 1)
    assert tight.skipped == ("expand", "rerank", "fold", EXPLAIN)
    assert tight.ran == Stages()


def test_a_further_page_runs_what_the_first_one_ran() -> None:
    costs = learned("rerank", 200, 5_000.0)
    page = course(1_000, costs, settled=("expand",))
    assert not page.fits("expand", 1)
    assert page.fits("rerank", 200)
    assert page.skipped == ("expand",)


def test_a_stage_that_was_slow_once_is_tried_again() -> None:
    costs = StageCosts()
    costs.note("expand", 1, 10_000.0)
    tries = 0
    while not course(500, costs).fits("expand", 1):
        tries += 1
        assert tries < 1_000
    assert tries > 10
