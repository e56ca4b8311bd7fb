"""The ablation as Markdown."""

from collections.abc import Iterator, Sequence

from services.core.domain.evaluation import Estimate
from tests.results.augmenting import (
    AUGMENTATIONS,
    PLAIN,
    augmentation_key,
    augmentation_label,
)
from tests.results.choosing import CHOICE, MAP, MAR, RECALL, REPORT, Figures, Taken
from tests.results.recipes import BASE, Recipe

BEGIN, END = "<!-- tables -->\n", "<!-- end of tables -->\n"


def tables(taken: Sequence[Taken], figures: Sequence[Figures]) -> str:
    """The way to the recipe on each query set, and all that was tried."""
    return "\n".join([*_sets(figures), *_ways(taken, figures), *_all_options(taken, figures)])


def augmentation_table(figures: Sequence[Figures]) -> str:
    """Beside the same ranking without it."""
    labels = [augmentation_label(*each) for each in AUGMENTATIONS]
    lines = ["### Database-side augmentation of the base, offline\n"]
    lines.append(f"| mAP@10 | {' | '.join(each.queries.name for each in figures)} |")
    lines.append(f"|---|{'---|' * len(figures)}")
    plain = [augmentation_key(each.shop, PLAIN) for each in figures]
    kept = zip(figures, plain, strict=True)
    cells = [_shown(each.estimate(key, REPORT)) for each, key in kept]
    lines.append(f"| {PLAIN} | {' | '.join(cells)} |")
    for label in labels:
        kept = zip(figures, plain, strict=True)
        cells = [
            _signed(each.gain(augmentation_key(each.shop, label), key, REPORT))
            for each, key in kept
        ]
        lines.append(f"| {label} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def put_into(text: str, made: str) -> str:
    """`text` with `made` between the marks, which are added at its end where it lacks them."""
    before, found, rest = text.partition(BEGIN)
    after = rest.partition(END)[2] if found else ""
    return f"{before if found else text}{BEGIN}\n{made}\n{END}{after}"


def _sets(figures: Sequence[Figures]) -> Iterator[str]:
    yield "| query set | queries: to choose, to report | thumbnail probe |"
    yield "|---|---|---|"
    for each in figures:
        counts = f"{each.count(CHOICE)}, {each.count(REPORT)}"
        yield f"| {each.queries.name}: {each.queries.about} | {counts} | {each.queries.leak:.1%} |"
    yield ""


def _ways(taken: Sequence[Taken], figures: Sequence[Figures]) -> Iterator[str]:
    for each in figures:
        yield f"### {each.queries.name}\n"
        yield "| step | mAP@10 | R@1 | MAR@10, images | mAP@10 over the base |"
        yield "|---|---|---|---|---|"
        yield _row("base", BASE, each)
        for step in taken:
            shown = step.chosen or step.best
            name = f"{step.step}: {shown.label}"
            yield _row(f"**{name}**" if step.chosen else f"({name})", shown.recipe, each)
        yield ""


def _row(name: str, recipe: Recipe, figures: Figures) -> str:
    cells = [_shown(figures.estimate(recipe, REPORT, each)) for each in (MAP, RECALL, MAR)]
    gain = "" if recipe == BASE else _signed(figures.gain(recipe, BASE, REPORT))
    return f"| {name} | {' | '.join(cells)} | {gain} |"


def _all_options(taken: Sequence[Taken], figures: Sequence[Figures]) -> Iterator[str]:
    names = " | ".join(each.queries.name for each in figures)
    yield "### All that was tried\n"
    yield "mAP@10 over the recipe before the step: on the half that chooses, and on the other.\n"
    yield f"| step | option | choosing half | {names} |"
    yield f"|---|---|---|{'---|' * len(figures)}"
    for step in taken:
        for option in step.options:
            gains = [each.gain(option.recipe, step.before, CHOICE).value for each in figures]
            cells = [_signed(each.gain(option.recipe, step.before, REPORT)) for each in figures]
            label = f"**{option.label}**" if option == step.chosen else option.label
            mean = sum(gains) / len(gains)
            yield f"| {step.step} | {label} | {100 * mean:+.1f} | {' | '.join(cells)} |"
    yield ""


def _shown(estimate: Estimate) -> str:
    low, high = 100 * estimate.low, 100 * estimate.high
    return f"{100 * estimate.value:.1f} ({low:.1f} to {high:.1f})"


def _signed(estimate: Estimate) -> str:
    low, high = 100 * estimate.low, 100 * estimate.high
    return f"{100 * estimate.value:+.1f} ({low:+.1f} to {high:+.1f})"
