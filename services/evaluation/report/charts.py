"""The charts of a report: figures in, SVG text out."""

from collections.abc import Mapping, Sequence

from services.core.domain.evaluation import Estimate
from services.evaluation.report.curves import Histogram, Reliability
from services.evaluation.report.svg import (
    Axis,
    Point,
    Scale,
    box,
    chart,
    clipped,
    frame,
    line,
    marker,
    minus,
    path,
    text,
    ticks,
)

Lines = Sequence[tuple[tuple[float, ...], tuple[float, ...]]]

_SIZE = (440.0, 300.0)
_INSIDE = (52.0, 428.0, 252.0, 30.0)  # left, right, bottom, top
_HISTOGRAM = (340.0, 230.0)
_HISTOGRAM_INSIDE = (46.0, 330.0, 184.0, 30.0)
_WIDE = 880.0
_SHARES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


def lines_chart(name: str, words: tuple[str, str], lines: Lines, across: str, upward: str) -> str:
    """A line for each model, of shares from 0 to 1 (x values, y values).

    `words` are title and description, `across` and `upward` what the axes are of. The upward axis
    starts below the lowest value where all are high.
    """
    lowest = min((y for _, ys in lines for y in ys), default=0.0)
    low = 0.0 if lowest < 0.5 else int(lowest * 10) / 10
    low = min(low, 0.9)
    left, right, bottom, top = _INSIDE
    x = Axis(Scale(0, 1, left, right), _SHARES, across, percent=True)
    y = Axis(Scale(low, 1, bottom, top), ticks(low, 1), upward, percent=True)
    drawn = [frame(x, y)]
    for number, (xs, ys) in enumerate(lines):
        points = [(x.scale(a), y.scale(b)) for a, b in zip(xs, ys, strict=True)]
        drawn.append(path(points, f"line {series(number)}"))
        if len(points) == 1:
            drawn.append(marker(points[0], number, f"dot {series(number)}"))
    return chart(name, *words, _SIZE, drawn)


def reliability_chart(
    name: str, words: tuple[str, str], models: Sequence[Reliability | None]
) -> str:
    """Observed against predicted share, with the diagonal where both are equal."""
    left, right, bottom, top = _INSIDE
    x = Axis(Scale(0, 1, left, right), _SHARES, "predicted probability", percent=True)
    y = Axis(Scale(0, 1, bottom, top), _SHARES, "share that was right", percent=True)
    drawn = [frame(x, y), line((left, bottom), (right, top), "guide")]
    for number, each in enumerate(models):
        if each is None:
            continue
        pairs = zip(each.predicted, each.observed, strict=True)
        points = [(x.scale(a), y.scale(b)) for a, b in pairs]
        drawn.append(path(points, f"line {series(number)}"))
        drawn += [marker(point, number, f"dot {series(number)}") for point in points]
    return chart(name, *words, _SIZE, drawn)


def histogram_chart(name: str, words: tuple[str, str], histogram: Histogram) -> str:
    """Outlines of each outcome, each with an area of the same size."""
    left, right, bottom, top = _HISTOGRAM_INSIDE
    edges = histogram.edges
    most = max((share for each in histogram.shares.values() for share in each), default=0) or 1.0
    x = Axis(
        Scale(edges[0], edges[-1], left, right), ticks(edges[0], edges[-1], 5), "score of the first"
    )
    y = Axis(
        Scale(0, most * 1.05, bottom, top), ticks(0, most * 1.05, 4), "share of queries",
        percent=True,
    )  # fmt: skip
    drawn = [frame(x, y)]
    for outcome in ("absent", "wrong", "right"):
        if not histogram.counts[outcome]:
            continue
        points: list[Point] = [(x.scale(edges[0]), bottom)]
        for bin_left, bin_right, share in zip(
            edges[:-1], edges[1:], histogram.shares[outcome], strict=True
        ):
            points += [(x.scale(edge), y.scale(share)) for edge in (bin_left, bin_right)]
        points.append((x.scale(edges[-1]), bottom))
        drawn.append(path(points, f"area {outcome}", closed=True))
    return chart(name, *words, _HISTOGRAM, drawn)


def forest_chart(
    name: str,
    words: tuple[str, str],
    metrics: Sequence[str],
    models: Sequence[tuple[int, Mapping[str, Estimate]]],
) -> str:
    """Differences with their intervals: a group for each metric, a row for each model (its place in
    the evaluation, its differences), and the line where nothing differs."""
    metrics = [each for each in metrics if all(each in found for _, found in models)]
    row, gap, top = 20.0, 12.0, 14.0
    height = top + len(metrics) * (len(models) * row + gap)
    bounds = [
        value
        for metric in metrics
        for _, found in models
        for value in (found[metric].low, found[metric].high)
    ]
    reach = max([abs(each) for each in bounds] + [0.005]) * 1.08
    low = min([0.0, *bounds]) - 0.06 * reach
    high = max([0.0, *bounds]) + 0.06 * reach
    scale = Scale(low, high, 120, _WIDE - 200)
    drawn = []
    marks = Axis(scale, ticks(low, high, 8), "", percent=True)
    for tick in marks.ticks:
        kind = "zero" if abs(tick) < 1e-12 else "grid"
        drawn.append(line((scale(tick), top - 6), (scale(tick), height), kind))
        label = minus(marks.written(tick).rstrip("%"))
        drawn.append(text(scale(tick), height + 16, label, anchor="middle"))
    at = top
    for metric in metrics:
        middle = at + len(models) * row / 2
        drawn.append(text(110, middle + 4, metric, anchor="end", kind="strong"))
        for number, found in models:
            drawn += _interval(found[metric], scale, at + row / 2, number)
            at += row
        at += gap
    middle = (scale.start + scale.end) / 2
    drawn.append(text(middle, height + 36, "difference, in points of %", anchor="middle",
                      kind="label"))  # fmt: skip
    return chart(name, *words, (_WIDE, height + 46), drawn)


def categories_chart(
    name: str,
    words: tuple[str, str],
    categories: Sequence[str],
    models: Sequence[Mapping[str, tuple[float, int]]],
) -> str:
    """A bar of the share that is right for each model, in a group for each category, with the
    category's number of queries."""
    bar, gap, top = (9.0 if len(models) > 1 else 13.0), 9.0, 10.0
    group = len(models) * bar + gap
    height = top + len(categories) * group
    scale = Scale(0, 1, 236, _WIDE - 60)
    drawn = []
    for tick in _SHARES:
        drawn.append(line((scale(tick), top - 4), (scale(tick), height), "grid"))
        drawn.append(text(scale(tick), height + 16, f"{100 * tick:.0f}%", anchor="middle"))
    for place, category in enumerate(categories):
        start = top + place * group
        middle = start + len(models) * bar / 2 + 4
        queries = next((each[category][1] for each in models if category in each), 0)
        drawn.append(clipped(184, middle, category or "(none)", 27, anchor="end"))
        drawn.append(text(230, middle, f"{queries:,}", anchor="end", kind="quiet"))
        for number, each in enumerate(models):
            share = each.get(category, (0.0, 0))[0]
            corner = (scale(0), start + number * bar)
            drawn.append(box(corner, scale(share) - scale(0), bar - 1.5, f"bar {series(number)}"))
        if len(models) == 1:
            drawn.append(text(_WIDE - 4, middle, f"{100 * share:.0f}%", anchor="end"))
    return chart(name, *words, (_WIDE, height + 24), drawn)


def series(number: int) -> str:
    """The class that colours model `number`."""
    return f"m{number % 10}"


def points_text(value: float) -> str:
    """A difference of shares in points of a percent, with its sign."""
    written = f"{100 * value:.1f}"
    if float(written) == 0:
        return "0.0"
    return minus(f"+{written}" if value > 0 else written)


def _interval(found: Estimate, scale: Scale, y: float, number: int) -> list[str]:
    sure = found.low > 0 or found.high < 0
    kind = "dot" if sure else "hollow"
    bounds = f"{points_text(found.low)} to {points_text(found.high)}"
    return [
        line((scale(found.low), y), (scale(found.high), y), f"whisker {series(number)}"),
        marker((scale(found.value), y), number, f"{kind} {series(number)}", 4.0),
        text(_WIDE - 132, y + 4, points_text(found.value), anchor="end", kind="strong"),
        text(_WIDE - 4, y + 4, bounds, anchor="end", kind="quiet"),
    ]
