"""One self-contained HTML page about an import: no scripts, no network, every value escaped."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from html import escape

from shelflens.images import ImageProblem
from shelflens.reports.thumbnails import Thumbnails
from shelflens.values import Operation, Rejection

SHOWN = 500  # rejections on the page
_STYLE = """
:root { color-scheme: light dark; --line: #8884; --bar: #c0392b; --soft: #8882; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
p.sub { margin: .2rem 0 1.5rem; opacity: .7; }
.cards { display: flex; flex-wrap: wrap; gap: .75rem; }
.card { border: 1px solid var(--line); border-radius: 8px; padding: .6rem 1rem; min-width: 6rem; }
.card b { display: block; font-size: 1.4rem; font-variant-numeric: tabular-nums; }
.bad b { color: var(--bar); }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .35rem .6rem; border-bottom: 1px solid var(--line);
  vertical-align: top; overflow-wrap: anywhere; }
th { font-weight: 600; } td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
.bar { background: var(--soft); border-radius: 3px; min-width: 8rem; }
.bar i { display: block; height: .8rem; border-radius: 3px; background: var(--bar); }
.picture { width: 96px; } .picture img { max-width: 96px; max-height: 96px; display: block; }
.none { font-size: .75rem; opacity: .7; border: 1px dashed var(--line); padding: .4rem; }
.note { border-left: 3px solid var(--bar); padding: .3rem .8rem; }
code { font-family: ui-monospace, monospace; font-size: .9em; white-space: pre-wrap; }
"""
_HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>{style}</style></head><body>
"""


def import_page(
    operation: Operation, rejections: Iterable[Rejection], thumbnails: Thumbnails | None = None
) -> Iterator[str]:
    """The page in pieces. Reads all of `rejections` and shows the first SHOWN.

    Without `thumbnails`, and where a file cannot be shown, a placeholder says why.
    """
    title = f"Import {operation.display_name or operation.name}"
    yield _HEAD.format(title=escape(title), style=_STYLE)
    yield f"<h1>{escape(title)}</h1>\n<p class=sub>{escape(_subtitle(operation))}</p>\n"
    if operation.error is not None:
        yield f"<p class=note>{escape(str(operation.error))}</p>\n"
    yield from _counts(operation)
    yield from _reasons(operation)
    yield from _stages(operation)
    yield from _rejected(operation, rejections, thumbnails)
    yield "</body></html>\n"


def _subtitle(operation: Operation) -> str:
    parts = [operation.name, operation.state, operation.catalog]
    parts += [_time(each) for each in (operation.create_time,) if each]
    if operation.validate_only:
        parts.append("dry run: nothing was changed")
    return " · ".join(part for part in parts if part)


def _time(time: datetime) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC")


def _counts(operation: Operation) -> Iterator[str]:
    counts = operation.counts
    shown = (
        ("rows read", counts.rows_read, False),
        ("rows accepted", counts.rows_accepted, False),
        ("rows rejected", counts.rows_rejected, True),
        ("products created", counts.products_created, False),
        ("products updated", counts.products_updated, False),
        ("products unchanged", counts.products_unchanged, False),
        ("products removed", counts.products_removed, False),
        ("images embedded", counts.images_embedded, False),
        ("images reused", counts.images_reused, False),
        ("images refused", counts.images_refused, True),
        ("images removed", counts.images_removed, False),
        ("images folded", counts.images_folded, False),
        ("images withheld", counts.images_withheld, False),
    )
    yield "<div class=cards>\n"
    for name, count, bad in shown:
        kind = "card bad" if bad and count else "card"
        yield f'<div class="{kind}"><b>{count:,}</b>{name}</div>\n'
    yield "</div>\n"
    if operation.prune is not None:
        prune = operation.prune
        done = f"{prune.removed_count:,} of {prune.candidate_count:,} unlisted products removed, "
        why = f" {prune.refusal}: {prune.message}" if prune.refusal else ""
        yield f"<p>Prune: {done}{prune.spared_count:,} spared.{escape(why)}</p>\n"


def _reasons(operation: Operation) -> Iterator[str]:
    by_reason = sorted(operation.counts.rejected_by_reason.items(), key=lambda each: -each[1])
    if not by_reason:
        return
    most = by_reason[0][1]
    yield "<h2>Rejected, by reason</h2>\n<table><tr><th>reason<th class=n>count<th></tr>\n"
    for reason, count in by_reason:
        share = round(100 * count / most) if most else 0
        bar = f'<div class=bar><i style="width:{share}%"></i></div>'
        yield f"<tr><td><code>{escape(reason)}</code><td class=n>{count:,}<td>{bar}</tr>\n"
    yield "</table>\n"


def _stages(operation: Operation) -> Iterator[str]:
    if not operation.stages:
        return
    head = ("stage", "tasks", "items", "seconds", "items per second")
    yield "<h2>Where the time went</h2>\n<table><tr>" + "".join(
        f"<th class={'n' if at else 'l'}>{name}" for at, name in enumerate(head)
    )
    for each in operation.stages:
        rate = each.item_count / each.busy_seconds if each.busy_seconds else 0.0
        yield (
            f"<tr><td>{escape(each.stage)}<td class=n>{each.task_count:,}"
            f"<td class=n>{each.item_count:,}<td class=n>{each.busy_seconds:,.1f}"
            f"<td class=n>{rate:,.0f}</tr>\n"
        )
    yield "</table>\n<p class=sub>Seconds are summed up over workers.</p>\n"


def _rejected(
    operation: Operation, rejections: Iterable[Rejection], thumbnails: Thumbnails | None
) -> Iterator[str]:
    total = 0
    for total, each in enumerate(rejections, 1):
        if total == 1:
            names: Sequence[str] = ("row", "SKU", "what", "reason", "field", "value", "picture")
            yield "<h2>What was rejected</h2>\n<table><tr>"
            yield "".join(f"<th>{name}" for name in names) + "</tr>\n"
        if total <= SHOWN:
            yield _line(each, thumbnails)
    if total == 0:
        yield "<p>Nothing was rejected.</p>\n"
        return
    yield "</table>\n"
    command = f"shelflens operations errors {operation.name} -o rejected.csv"
    if total > SHOWN:
        yield f"<p>{total - SHOWN:,} more are not shown.</p>\n"
    yield f"<p>All {total:,} as CSV: <code>{escape(command)}</code></p>\n"


def _line(each: Rejection, thumbnails: Thumbnails | None) -> str:
    what = "row" if each.row_rejected else "image"
    cells = (str(each.row), each.sku, what, each.reason, each.field, each.value)
    texts = "".join(f"<td>{escape(cell)}" for cell in cells)
    picture = _picture(each, thumbnails) if each.field.startswith("images") and each.value else ""
    return f"<tr>{texts}<td class=picture>{picture}</tr>\n"


def _picture(each: Rejection, thumbnails: Thumbnails | None) -> str:
    if thumbnails is None:
        return "<div class=none>no picture: give --images ROOT</div>"
    try:
        uri = thumbnails.uri(each.value)
    except ImageProblem as problem:
        return f"<div class=none>{escape(problem.message)}</div>"
    return f'<img src="{escape(uri)}" alt="" loading="lazy" decoding="async">'
