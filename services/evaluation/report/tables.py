"""The tables of a report."""

import math
from collections.abc import Iterator, Sequence
from html import escape

from services.core.domain.evaluation import Estimate, Metrics
from services.evaluation.report.charts import points_text, series
from services.evaluation.report.comparing import by_rank, rank_of
from services.evaluation.report.svg import line, marker

_WORDS = {
    "map": "mean average precision",
    "map_hits": "mAP, of what was found",
    "map_all": "mAP, of all relevant",
    "mar": "mean average recall",
    "mar_ceiling": "highest possible",
    "mp": "mean precision",
    "recall": "at least one right",
}


def legend(models: Sequence[str]) -> str:
    """Which colour, dashes and mark each model has."""
    items = "".join(
        f"<li>{key(number)}<bdi>{escape(name)}</bdi></li>" for number, name in enumerate(models)
    )
    return f"<ul class=legend>{items}</ul>\n"


def key(number: int) -> str:
    """A piece of model `number`'s line, with its mark."""
    drawn = line((0, 6), (30, 6), f"line {series(number)}")
    drawn += marker((15, 6), number, f"dot {series(number)}")
    return f'<svg class="key" viewBox="0 0 30 12" aria-hidden="true">{drawn}</svg>'


def overview(models: Sequence[str], metrics: Sequence[Metrics]) -> Iterator[str]:
    """The figures to look at first, a row each; those that no model has are left out."""
    rows: list[tuple[str, list[Estimate | None]]] = []
    last = max((rank_of(name) for each in metrics for name in each.product), default=0)
    for name in dict.fromkeys(("recall@1", f"recall@{last}", f"map@{last}")):
        rows.append((_title(name), [each.product.get(name) for each in metrics]))
    for name in (f"map@{last}", f"mar@{last}"):
        found = [each.image.get(name) for each in metrics]
        rows.append((f"{name} of images: {_WORDS[name.partition('@')[0]]}", found))
    rows.append(("recall@1, mean over products", [_plain(each.class_mean) for each in metrics]))
    rows += [
        ("accuracy of a linear classifier", [each.classifier for each in metrics]),
        ("calibration error (lower is better)", [
            each.expected_calibration_error for each in metrics]),
        ("answers accepted", [each.coverage for each in metrics]),
        ("accepted answers that are right", [each.accepted_precision for each in metrics]),
        ("absent accepted (lower is better)", [each.absent_accepted for each in metrics]),
    ]  # fmt: skip
    yield '<div class=scroll tabindex=0 role=region aria-label="Overview"><table>'
    yield _head(("",), models)
    for title, found in rows:
        if any(each is not None for each in found):
            yield f"<tr><th scope=row>{escape(title)}{_cells(found, 'lower' in title)}</tr>\n"
    seconds = "".join(f"<td class=n>{each.seconds:,.1f} s<small></small>" for each in metrics)
    yield f"<tr><th scope=row>time taken{seconds}</tr>\n</table></div>\n"


def all_metrics(
    level: str, models: Sequence[str], figures: Sequence[dict[str, Estimate]]
) -> Iterator[str]:
    """Every metric of a level, by rank."""
    yield f'<div class=scroll tabindex=0 role=region aria-label="{level} level"><table>'
    yield _head(("metric", "within"), models)
    before = ""
    for name in by_rank(dict.fromkeys(each for found in figures for each in found)):
        metric = name.partition("@")[0]
        words = _WORDS.get(metric, "")
        title = f"{escape(metric)} <small class=sub>{words}</small>" if metric != before else ""
        start = "<tr class=first>" if metric != before else "<tr>"
        found = [each.get(name) for each in figures]
        cells = _cells(found, best=metric != "mar_ceiling")
        yield f"{start}<th scope=row>{title}<td class=k>{rank_of(name)}{cells}</tr>\n"
        before = metric
    yield "</table></div>\n"


def differences(
    baseline: str, models: Sequence[str], found: Sequence[dict[str, Estimate]]
) -> Iterator[str]:
    """Paired differences of the models with the first, one column each."""
    label = f"Differences to {escape(baseline)}"
    yield f'<div class=scroll tabindex=0 role=region aria-label="{label}"><table>'
    yield _head(("metric",), models, first=1)
    for name in by_rank(dict.fromkeys(each for one in found for each in one)):
        if not name.startswith("mar_ceiling"):
            cells = "".join(_difference(each.get(name)) for each in found)
            yield f"<tr><th scope=row>{escape(name)}{cells}</tr>\n"
    yield "</table></div>\n"


def headline_names(names: Sequence[str]) -> list[str]:
    """The metrics that a chart of differences shows: with one result a product, the others follow
    from these."""
    kept = [name for name in by_rank(names) if name.partition("@")[0] in ("map", "recall")]
    return [name for name in kept if name != "map@1"] if "recall@1" in kept else kept


def _title(name: str) -> str:
    metric, _, rank = name.partition("@")
    if name == "recall@1":
        return "recall@1: the first product is right"
    if metric == "recall":
        return f"{name}: it is among the first {rank}"
    return f"{name}: {_WORDS.get(metric, '')}"


def _head(columns: Sequence[str], models: Sequence[str], first: int = 0) -> str:
    plain = "".join(f"<th scope=col>{name}" for name in columns)
    names = "".join(
        f"<th class=n scope=col>{key(number)}<bdi>{escape(name)}</bdi>"
        for number, name in enumerate(models, first)
    )
    return f"<thead><tr>{plain}{names}</tr></thead>\n"


def _cells(found: Sequence[Estimate | None], lower: bool = False, best: bool = True) -> str:
    values = [each.value for each in found if each is not None and math.isfinite(each.value)]
    chosen = (min if lower else max)(values) if best and len(set(values)) > 1 else None
    return "".join(_cell(each, chosen) for each in found)


def _cell(found: Estimate | None, chosen: float | None) -> str:
    if found is None or not math.isfinite(found.value):
        return "<td class=n>\N{EN DASH}"
    kind = "n best" if found.value == chosen else "n"
    bounds = ""
    if found.high > found.low:
        bounds = f"{100 * found.low:.1f}\N{EN DASH}{100 * found.high:.1f}"
    return f'<td class="{kind}"><b>{100 * found.value:.1f}</b><small>{bounds}</small>'


def _difference(found: Estimate | None) -> str:
    if found is None:
        return "<td class=n>\N{EN DASH}"
    sure = "n best" if found.low > 0 or found.high < 0 else "n"
    bounds = f"{points_text(found.low)} to {points_text(found.high)}"
    return (
        f'<td class="{sure}"><b>{points_text(found.value)}</b><small class=range>{bounds}</small>'
    )


def _plain(value: float) -> Estimate:
    return Estimate(value, value, value)
