"""Step by step to a recipe: what is best on one half of the queries, if it is worth its cost."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from services.core.domain.evaluation import Estimate
from services.evaluation.result_files import Float64
from services.retrieval.bootstrap import Bootstrap
from tests.results.measuring import METRICS, Results, result_key
from tests.results.query_sets import QuerySet, Shop, half
from tests.results.recipes import BASE, STEPS, Option, Recipe

CHOICE, REPORT = 0, 1  # halves
MAP, RECALL, MAR = METRICS
LEAST_GAIN = 0.005
_RESAMPLES, _CONFIDENCE, _SEED = 2_000, 0.95, 0


@dataclass(frozen=True, slots=True)
class Taken:
    """A step, the recipe before it, what was tried, and what was chosen: None where nothing was
    better by LEAST_GAIN."""

    step: str
    before: Recipe
    options: tuple[Option, ...]
    best: Option
    chosen: Option | None

    @property
    def after(self) -> Recipe:
        return self.chosen.recipe if self.chosen else self.before


class Figures:
    """What recipes, or other rankings by the key of their results, reached on the halves of a query
    set."""

    def __init__(self, shop: Shop, queries: QuerySet, results: Results) -> None:
        self.queries = queries
        self.shop, self._results = shop.name, results
        kept = results.get(result_key(shop.name, BASE))
        of_set = np.array([each.startswith(queries.prefix) for each in kept["cluster"]])
        families = [each.removeprefix(queries.prefix).split("/")[0] for each in kept["cluster"]]
        halves = np.array([half(each) for each in families])
        self._at = [np.flatnonzero(of_set & (halves == each)) for each in (CHOICE, REPORT)]
        codes = np.unique(np.array(kept["cluster"]), return_inverse=True)[1].astype(np.int64)
        self._draws = [Bootstrap(codes[at], _RESAMPLES, _CONFIDENCE, _SEED) for at in self._at]

    def count(self, part: int) -> int:
        """Queries in a half."""
        return len(self._at[part])

    def mean(self, recipe: Recipe | str, part: int, metric: str = MAP) -> float:
        """Over a half."""
        return float(np.nanmean(self._values(recipe, part, metric)))

    def estimate(self, recipe: Recipe | str, part: int, metric: str = MAP) -> Estimate:
        """With its interval."""
        return self._draws[part].estimate(self._values(recipe, part, metric))

    def gain(
        self, recipe: Recipe | str, beside: Recipe | str, part: int, metric: str = MAP
    ) -> Estimate:
        """Paired difference with its interval."""
        both = (self._values(each, part, metric) for each in (recipe, beside))
        return self._draws[part].difference(*both)

    def _values(self, recipe: Recipe | str, part: int, metric: str) -> Float64:
        key = recipe if isinstance(recipe, str) else result_key(self.shop, recipe)
        kept = self._results.get(key)
        return np.array(kept[metric], np.float64)[self._at[part]]


def choose(
    measure: Callable[[Sequence[Recipe]], object], figures: Callable[[], Sequence[Figures]]
) -> list[Taken]:
    """Goes through STEPS; `measure` makes the results of recipes that `figures` then reads."""
    measure([BASE])
    recipe, taken = BASE, []
    for step in STEPS:
        options = tuple(step.options(recipe))
        measure([each.recipe for each in options])
        taken.append(judge(step.name, recipe, options, figures()))
        recipe = taken[-1].after
    return taken


def judge(
    step: str, before: Recipe, options: tuple[Option, ...], figures: Sequence[Figures]
) -> Taken:
    """By the mean over the query sets of map@10 on the first half; every set counts equally."""

    def score(recipe: Recipe) -> float:
        return float(np.mean([each.mean(recipe, CHOICE) for each in figures]))

    best = max(options, key=lambda each: score(each.recipe))
    taken = Taken(step, before, options, best, None)
    worth = score(best.recipe) >= score(before) + LEAST_GAIN
    return replace(taken, chosen=best) if worth else taken
