"""The page of a report: one HTML file without scripts or requests, every value escaped."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from services.core.domain.evaluation import Difference, EvaluationOptions, Metrics
from services.evaluation.report import charts, tables
from services.evaluation.report.curves import (
    Accepting,
    Histogram,
    Reliability,
    worst_and_best,
)
from services.evaluation.report.failures import Names, Shown
from services.evaluation.report.style import HEAD, STYLE
from services.evaluation.report.svg import minus

_COUNTS = (
    ("queries", "queries"),
    ("absent", "of them show no product of the gallery"),
    ("gallery", "images in the gallery"),
    ("products", "products in the gallery"),
    ("left_out_by_hash", "images left out: same file as a query"),
    ("left_out_near", "images left out: nearly a query's picture"),
)
_OUTCOMES = (
    ("right", "first product is right"),
    ("wrong", "first product is wrong"),
    ("absent", "product is not in the gallery"),
)


@dataclass(frozen=True, slots=True)
class ModelFigures:
    """All that is shown of one model, but for its failures' pictures. `queries` counts all, absent
    ones too."""

    name: str
    digest: str
    queries: int
    metrics: Metrics
    histogram: Histogram
    accepting: Accepting
    reliability: Reliability | None


@dataclass(frozen=True, slots=True)
class Evaluated:
    """All that the page shows. `stages` is Stages.to_dict, `counts` as outcomes.DatasetFrozen."""

    title: str
    dataset: str
    stages: Mapping[str, Mapping[str, Any]]
    options: EvaluationOptions
    counts: Mapping[str, int]
    models: Sequence[ModelFigures]
    differences: Sequence[Difference]
    failures: Sequence[Sequence[Shown]]
    names: Names

    @property
    def model_names(self) -> list[str]:
        return [each.name for each in self.models]


def report_page(shown: Evaluated) -> Iterator[str]:
    """The page in pieces."""
    yield HEAD.format(title=escape(shown.title), style=STYLE)
    yield from _header(shown)
    yield from _results(shown)
    yield from _differences(shown)
    yield from _scores(shown)
    yield from _answers(shown)
    yield from _categories(shown)
    yield from _all_figures(shown)
    for number, failures in enumerate(shown.failures):
        yield from _failures(shown, number, failures)
    yield "</body></html>\n"


def _header(shown: Evaluated) -> Iterator[str]:
    yield f"<h1>{escape(shown.title)}</h1>\n<div class=cards>\n"
    for field, words in _COUNTS:
        if field in shown.counts:
            yield f"<div class=card><b>{shown.counts[field]:,}</b>{words}</div>\n"
    yield "</div>\n<dl>"
    yield f"<dt>Dataset<dd><bdi>{escape(shown.dataset)}</bdi>"
    for number, each in enumerate(shown.models):
        digest = f" <code>{escape(each.digest)}</code>" if each.digest else ""
        label = "Models" if number == 0 and len(shown.models) > 1 else "Model" * (number == 0)
        yield f"<dt>{label}<dd><bdi>{escape(each.name)}</bdi>{digest}"
    yield f"<dt>Stages<dd>{escape(_stages(shown.stages))}"
    yield f"<dt>Options<dd>{escape(_options(shown.options))}</dl>\n"


def _results(shown: Evaluated) -> Iterator[str]:
    yield "<h2>Results</h2>\n<p class=sub>In percent, one result a product. Beside each figure is "
    yield f"its {100 * shown.options.confidence:g}% interval, from resampling whole products. "
    yield "Bold is the best of the models, which may be chance: see the differences.</p>\n"
    yield from tables.overview(shown.model_names, [each.metrics for each in shown.models])


def _differences(shown: Evaluated) -> Iterator[str]:
    if not shown.differences:
        return
    baseline = shown.models[0].name
    names = [shown.models[each.model].name for each in shown.differences]
    found = [(each.model, each.metrics) for each in shown.differences]
    metrics = tables.headline_names(list(dict.fromkeys(n for _, each in found for n in each)))
    yield f"<h2>Differences to <bdi>{escape(baseline)}</bdi></h2>\n"
    yield "<p class=sub>Paired: on the same queries, in points of a percent. A filled mark is a "
    yield "difference whose interval does not hold zero.</p>\n"
    later = "".join(
        f"<li>{tables.key(number)}<bdi>{escape(name)}</bdi></li>"
        for (number, _), name in zip(found, names, strict=True)
    )
    yield f"<ul class=legend>{later}</ul>\n<figure class=wide>"
    description = "; ".join(
        f"{name}: {metric} {charts.points_text(each[metric].value)} points"
        for (_, each), name in zip(found, names, strict=True)
        for metric in metrics
        if metric in each
    )
    title = f"Differences of each model to {baseline}, with intervals"
    yield charts.forest_chart("differences", (title, description), metrics, found) + "</figure>\n"


def _scores(shown: Evaluated) -> Iterator[str]:
    yield "<h2>Scores of the first product</h2>\n<p class=sub>The further apart the outlines, the "
    yield "better a score tells a right answer from a wrong one. Each outline has the same area."
    yield "</p>\n<ul class=legend>"
    for kind, meaning in _OUTCOMES:
        if any(each.histogram.counts[kind] for each in shown.models):
            drawn = f'<rect x="1" y="1" width="28" height="10" class="area {kind}"/>'
            key = f'<svg viewBox="0 0 30 12" aria-hidden="true">{drawn}</svg>'
            yield f"<li>{key}{meaning}</li>"
    yield '</ul>\n<div class="charts small">'
    for number, each in enumerate(shown.models):
        counts = ", ".join(f"{each.histogram.counts[kind]:,} {kind}" for kind, _ in _OUTCOMES)
        words = (f"Scores of {each.name}", f"Queries: {counts}.")
        drawn = charts.histogram_chart(f"scores-{number}", words, each.histogram)
        yield f"<figure><b><bdi>{escape(each.name)}</bdi></b>{drawn}"
        yield f"<figcaption>{counts}</figcaption></figure>\n"
    yield "</div>\n"


def _answers(shown: Evaluated) -> Iterator[str]:
    calibrated = any(each.reliability for each in shown.models)
    order = "descending probability" if calibrated else "descending score"
    half = ", on the products that calibration was not fitted on" if calibrated else ""
    yield "<h2>Accepting only sure answers</h2>\n"
    yield f"<p class=sub>Answers by {order}{half}. An answer to a query whose product is not in "
    yield f"the gallery is never right.</p>\n{tables.legend(shown.model_names)}<div class=charts>"
    curves = [each.accepting for each in shown.models]
    lines = [(each.coverage, each.precision) for each in curves]
    words = ("Precision by coverage", _said(shown, "precision when all are answered"))
    yield "<figure><b>Precision by coverage</b>"
    yield charts.lines_chart("coverage", words, lines, "queries answered", "answers right")
    yield "</figure>\n<figure><b>Precision and recall</b>"
    lines = [(each.recall, each.precision) for each in curves]
    words = ("Precision and recall", _said(shown, "precision when all are answered"))
    yield charts.lines_chart("recall", words, lines, "products found", "answers right")
    yield "</figure>\n"
    if calibrated:
        yield "<figure><b>Reliability of probabilities</b>"
        words = ("Reliability of probabilities", "Bins of equal size; the diagonal is perfect.")
        models = [each.reliability for each in shown.models]
        yield charts.reliability_chart("reliability", words, models)
        yield "<figcaption>Ten bins with equally many queries; on the dashed line probabilities "
        yield "are right.</figcaption></figure>\n"
    yield "</div>\n"


def _said(shown: Evaluated, what: str) -> str:
    ends = [
        f"{each.name} {100 * each.accepting.precision[-1]:.1f}%"
        for each in shown.models
        if each.accepting.precision
    ]
    return f"{what}: {', '.join(ends)}."


def _categories(shown: Evaluated) -> Iterator[str]:
    figures = [each.metrics.per_category for each in shown.models]
    names, total = worst_and_best(figures)
    if total < 2:
        return
    yield "<h2>By category</h2>\n<p class=sub>Share of queries whose first product is right, and "
    yield "the number of queries, in the order of the first model."
    if total > len(names):
        half = len(names) // 2
        yield f" The {half} worst and the {half} best of {total:,} categories."
    yield f"</p>\n{tables.legend(shown.model_names)}<figure class=wide>"
    words = ("Share of right answers by category", ", ".join(names))
    yield charts.categories_chart("categories", words, names, figures)
    yield "</figure>\n"


def _all_figures(shown: Evaluated) -> Iterator[str]:
    yield "<h2>All figures</h2>\n<p class=sub>In percent, with intervals. Queries without a "
    yield "relevant image do not count.</p>\n<h3>One result a product, by its best image</h3>\n"
    names = shown.model_names
    yield from tables.all_metrics("product", names, [each.metrics.product for each in shown.models])
    yield "<h3>One result an image</h3>\n"
    yield from tables.all_metrics("image", names, [each.metrics.image for each in shown.models])
    if shown.differences:
        yield f"<h3>Differences to <bdi>{escape(names[0])}</bdi>, in points of a percent</h3>\n"
        later = [each.metrics for each in shown.differences]
        yield from tables.differences(names[0], names[1:], later)


def _failures(shown: Evaluated, number: int, failures: Sequence[Shown]) -> Iterator[str]:
    model = escape(shown.models[number].name)
    yield f"<h2>Worst failures of <bdi>{model}</bdi></h2>\n"
    if not failures:
        yield "<p class=sub>None: every product that is in the gallery was found first.</p>\n"
        return
    yield "<p class=sub>The product is in the gallery, but another one came first: answers that "
    yield "looked surest. A picture below a pair shows which regions of both agree.</p>\n"
    yield "<ul class=gallery>"
    for each in failures:
        failure = each.failure
        yield "<li><div class=pair>"
        yield f"<div>{_picture(each.photo, 'query photo')}"
        yield f"{_product('should be', failure.product, shown.names)}</div>"
        yield f"<div>{_picture(each.found, 'first result')}"
        yield f"{_product('found', failure.found_product, shown.names)}</div></div>"
        if each.map:
            yield f'<div class=map><img src="{each.map}" alt="regions that agree"></div>'
        yield f"<p class=what>{escape(_measured(each))}</p></li>\n"
    yield "</ul>\n"


def _picture(uri: str | None, what: str) -> str:
    if uri is None:
        return f"<div class=picture><div class=none>no {what} to show</div></div>"
    return f'<div class=picture><img src="{uri}" alt="{what}"></div>'


def _product(role: str, product: str, names: Names) -> str:
    sku, title = names.get(product, ("", ""))
    sku = sku or product
    named = f"<bdi class=name>{escape(title)}</bdi>" if title else ""
    return f"<p><span>{role} <bdi><code>{escape(sku)}</code></bdi></span>{named}</p>"


def _measured(shown: Shown) -> str:
    failure = shown.failure
    parts = [f"score {minus(f'{failure.score:.3f}')}"]
    if failure.probability is not None:
        parts.append(f"probability {100 * failure.probability:.0f}%")
    place = f"at place {failure.rank:,}" if failure.rank else "not among the candidates"
    return " · ".join([*parts, f"the right product is {place}"])


def _stages(stages: Mapping[str, Mapping[str, Any]]) -> str:
    written = []
    for name in ("expand", "rerank", "fold", "diversify"):
        if name in stages:
            values = ", ".join(f"{key} {value}" for key, value in stages[name].items())
            written.append(f"{name} ({values})")
    return " → ".join(written) or "none: nearest images first"


def _options(options: EvaluationOptions) -> str:
    parts = [
        f"ranks {', '.join(map(str, options.ks))}",
        f"{options.resamples:,} resamples, {100 * options.confidence:g}% intervals",
        f"seed {options.seed}",
    ]
    if options.calibrate:
        parts.append(f"calibrated ({options.calibrate}) for {100 * options.precision:g}% precision")
    return "; ".join(parts)
