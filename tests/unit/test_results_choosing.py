"""The ablation's choices are made on one half of the queries and told on the other."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.results.choosing import CHOICE, LEAST_GAIN, REPORT, Figures, choose, judge
from tests.results.measuring import METRICS, Results, result_key
from tests.results.query_sets import QuerySet, Shop, half
from tests.results.recipes import BASE, STEPS, Option, Recipe
from tests.results.tables import BEGIN, END, put_into, tables

SET = QuerySet("photos", "photos of a shop", "val:", 0.05)
SHOP = Shop("shop", Path("unused"), (), (), (SET,))
CLUSTERS = [f"val:sku-{each // 4}/{each // 2}" for each in range(80)] + ["other:sku-0/1"] * 9
HALVES = np.array([half(each.split(":")[1].split("/")[0]) for each in CLUSTERS])


@pytest.fixture
def results(tmp_path: Path) -> Results:
    return Results(tmp_path / "results.json")


def _keep(results: Results, recipe: Recipe, choice: float, report: float) -> None:
    """A recipe that reaches the same on all queries of a half, and 0 on those of other sets."""
    values = np.where(HALVES == CHOICE, choice, report)
    values[80:] = 0.0
    kept = {"cluster": CLUSTERS, **{name: values.tolist() for name in METRICS}}
    results.keep(result_key(SHOP.name, recipe), kept)


def _options(results: Results, *figures: tuple[float, float]) -> tuple[Option, ...]:
    _keep(results, BASE, 0.5, 0.5)
    made = []
    for at, (choice, report) in enumerate(figures):
        member = replace(BASE.members[0], side=100 + at)
        made.append(Option(f"option {at}", Recipe((member,))))
        _keep(results, made[-1].recipe, choice, report)
    return tuple(made)


def test_what_is_best_on_the_first_half_is_taken_whatever_it_does_on_the_other(
    results: Results,
) -> None:
    options = _options(results, (0.55, 0.9), (0.6, 0.1))
    figures = Figures(SHOP, SET, results)
    taken = judge("side", BASE, options, [figures])
    assert taken.chosen == options[1]
    assert taken.after == options[1].recipe
    assert figures.gain(taken.after, BASE, REPORT).value == pytest.approx(-0.4)


def test_a_gain_that_is_not_worth_its_cost_is_left(results: Results) -> None:
    options = _options(results, (0.5 + LEAST_GAIN / 2, 0.9), (0.4, 0.9))
    taken = judge("side", BASE, options, [Figures(SHOP, SET, results)])
    assert taken.chosen is None
    assert taken.best == options[0]
    assert taken.after == BASE


def test_queries_of_other_sets_do_not_count(results: Results) -> None:
    _options(results)
    figures = Figures(SHOP, SET, results)
    assert figures.count(CHOICE) + figures.count(REPORT) == 80
    assert figures.mean(BASE, REPORT) == 0.5


def test_no_product_is_in_both_halves() -> None:
    skus = [
        {CLUSTERS[at].split("/")[0] for at in np.flatnonzero(each == HALVES)} for each in (0, 1)
    ]
    assert all(skus)
    assert not {each for each in skus[0] if each.startswith("val")} & skus[1]


def test_every_step_starts_where_the_one_before_ended(results: Results) -> None:
    measured: list[Recipe] = []

    def measure(recipes: list[Recipe]) -> None:
        for each in recipes:
            # Flips and ensembles are better, all else is worse.
            better = 0.1 * each.members[0].flip + 0.1 * (len(each.members) - 1)
            worse = 0.1 * bool(each.linear or each.stages or each.members[0].side)
            _keep(results, each, 0.5 + better - worse, 0.5)
            measured.append(each)

    taken = choose(measure, lambda: [Figures(SHOP, SET, results)])  # type: ignore[arg-type]
    assert [each.step for each in taken] == [each.name for each in STEPS]
    assert {each.step for each in taken if each.chosen} == {"flip", "ensemble"}
    last = taken[-1].after
    assert len(last.members) == 3
    assert all(each.flip and each.side == 0 for each in last.members)
    assert len({result_key("shop", each) for each in measured}) == len(set(measured))
    made = tables(taken, [Figures(SHOP, SET, results)])
    assert "**flip: with the mirror image**" in made
    assert "(resolution: 256 pixels)" in made


def test_tables_take_the_place_of_older_ones_and_leave_the_text(tmp_path: Path) -> None:
    text = f"# Results\n\n{BEGIN}\nold\n{END}\nIn words.\n"
    made = put_into(text, "new")
    assert "old" not in made
    assert made.startswith("# Results\n")
    assert made.endswith("\nIn words.\n")
    assert put_into(made, "new") == made
    assert "new" in put_into("no marks\n", "new")


def test_results_are_there_after_a_restart(tmp_path: Path) -> None:
    Results(tmp_path / "results.json").keep("key", [1.5])
    assert Results(tmp_path / "results.json").get("key") == [1.5]
    assert Results(tmp_path / "results.json").get("other") is None
