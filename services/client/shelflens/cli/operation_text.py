"""An operation for people, as lines of text."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from shelflens.cli.model_text import deployment_lines, model_lines, progress_text

if TYPE_CHECKING:
    from shelflens.values import Erasure, Operation, PruneResult

_SHOWN_REJECTIONS = 10
_SHOWN_CHANGES = 20


def operation_lines(operation: "Operation") -> Iterator[str]:
    """All that is known about it."""
    yield f"{operation.name}: {operation.kind} {operation.state}"
    for name, text in (
        ("catalog", operation.catalog),
        ("target", operation.target),
        ("source", operation.display_name),
    ):
        if text:
            yield f"{name}: {printable(text)}"
    if operation.create_time:
        yield f"started: {operation.create_time:%Y-%m-%d %H:%M:%S} UTC{_took(operation)}"
    if text := progress_text(operation):
        yield f"progress: {text}"
    yield from result_lines(operation)
    if operation.kind == "import":
        yield from _stage_lines(operation)
    if operation.error:
        yield f"error: {operation.error}"


def result_lines(operation: "Operation") -> Iterator[str]:
    """What came of it so far."""
    if operation.kind == "import":
        yield from import_lines(operation)
    if operation.erased:
        yield erasure_line(operation.erased)
    if operation.model:
        yield from model_lines(operation.model)
    if operation.deployment:
        yield from deployment_lines(operation.deployment)


def import_lines(operation: "Operation") -> Iterator[str]:
    """What became of rows, products and images, and the first rejections."""
    counts = operation.counts
    if operation.validate_only:
        yield "dry run: nothing was changed; an import would do this:"
    of = f" of {operation.total_rows}" if counts.rows_read < operation.total_rows else ""
    yield (
        f"rows: {counts.rows_read}{of} read, {counts.rows_accepted} accepted, "
        f"{counts.rows_rejected} rejected"
    )
    yield (
        f"products: {counts.products_created} created, {counts.products_updated} updated, "
        f"{counts.products_unchanged} unchanged"
        + (f", {counts.products_removed} removed" if counts.products_removed else "")
    )
    yield (
        f"images: {counts.images_embedded} embedded, {counts.images_reused} reused, "
        f"{counts.images_refused} refused, {counts.images_removed} removed"
    )
    for count, what in (
        (counts.images_withheld, "shared by too many products, kept out of search"),
        (counts.images_folded, "near-duplicates within a product, kept out of search"),
    ):
        if count:
            yield f"  {count} {what}"
    if operation.prune is not None:
        yield _prune_line(operation.prune)
    for change in operation.changes[:_SHOWN_CHANGES]:
        yield printable(f"  {change.change} {change.sku} {' '.join(change.fields)}").rstrip()
    yield from _rejection_lines(operation)


def erasure_line(erased: "Erasure") -> str:
    """What an erasure removed."""
    shared = f"; {erased.shared_count} stay: other products show them too"
    return f"erased: {erased.image_count} images, {erased.object_count} stored objects" + (
        shared if erased.shared_count else ""
    )


def printable(text: str) -> str:
    """`text` without what could move the cursor or colour a terminal."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)


def _took(operation: "Operation") -> str:
    if operation.create_time is None or operation.update_time is None:
        return ""
    seconds = (operation.update_time - operation.create_time).total_seconds()
    return f", {'took' if operation.done else 'last moved after'} {seconds:.1f} s"


def _prune_line(prune: "PruneResult") -> str:
    if prune.refusal:
        return f"prune: nothing removed: {prune.refusal}: {prune.message}"
    spared = f", {prune.spared_count} spared: their rows were rejected"
    return (
        f"prune: {prune.candidate_count} products no longer listed, {prune.removed_count} removed"
        + (spared if prune.spared_count else "")
    )


def _rejection_lines(operation: "Operation") -> Iterator[str]:
    by_reason = operation.counts.rejected_by_reason
    for reason, count in sorted(by_reason.items(), key=lambda each: -each[1]):
        yield f"  {reason}: {count}"
    for each in operation.rejections[:_SHOWN_REJECTIONS]:
        what = "row rejected" if each.row_rejected else "image refused"
        where = " ".join(printable(part) for part in (each.sku, each.field) if part)
        yield f"  row {each.row}: {what}: {each.reason} {where} {each.value!r}".rstrip()
    if operation.done and by_reason:  # those of a failed import too
        yield f"all rejections: shelflens operations errors {operation.name} -o rejected.csv"


def _stage_lines(operation: "Operation") -> Iterator[str]:
    for each in operation.stages:
        rate = f", {each.item_count / each.busy_seconds:.0f}/s" if each.busy_seconds else ""
        yield (
            f"{each.stage}: {each.item_count} in {each.task_count} tasks, "
            f"{each.busy_seconds:.1f} s of work{rate}"
        )
