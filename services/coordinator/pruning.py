"""A full feed's last step: products that it no longer lists are removed, or none of them."""

from collections.abc import Sequence
from typing import Any

from services.coordinator.step import Step
from services.core.shard_files import RejectedRow


def note_rejected_rows(step: Step, rejected: Sequence[RejectedRow]) -> None:
    """Products with rejected rows stay; of unreadable rows it is not known which they are.

    A row that has no SKU at all is about no product.
    """
    operation = step.operation
    if not step.rules.prune:
        return
    rows = [row for row in rejected if row.row_rejected]
    step.tx.feeds.spare(operation.id, list({row.sku for row in rows if row.sku}))
    if unknown := sum(not row.sku and row.field != "sku" for row in rows):
        known = operation.result.get("unreadable_rows", 0)
        operation.result = operation.result | {"unreadable_rows": known + unknown}


def prune(step: Step) -> bool:
    """Removes up to a page of products; False when nothing is left to do."""
    operation, rules = step.operation, step.rules
    if not rules.prune:
        return False
    decision = operation.result.get("prune")
    if decision is None:
        decision = _decide(step)
        operation.result = operation.result | {"prune": decision}
    if decision["refusal"] or rules.validate_only:
        return False
    tx, revision = step.tx, operation.revision
    gone = tx.feeds.unlisted(operation.catalog, operation.id, revision, step.limits.sweep)
    if not gone:
        return False
    tx.feeds.remove(operation.catalog, gone, tx.catalogs.next_revision(operation.catalog), step.now)
    operation.counts.products_removed += len(gone)
    operation.result["prune"]["removed_count"] = operation.counts.products_removed
    step.plan(gone)
    return True


def _decide(step: Step) -> dict[str, Any]:
    operation = step.operation
    found = step.tx.feeds.count_unlisted(operation.catalog, operation.id, operation.revision)
    refusal, message = _refusal(step, found.candidates, found.listed)
    would = step.rules.validate_only and not refusal
    return {
        "candidate_count": found.candidates,
        "removed_count": found.candidates if would else 0,
        "spared_count": found.spared,
        "refusal": refusal,
        "message": message,
    }


def _refusal(step: Step, candidates: int, listed: int) -> tuple[str, str]:
    operation, rules = step.operation, step.rules
    if not rules.row_count:
        return "MANIFEST_INCOMPLETE", (
            "the feed broke off, or its sender did not say how many rows it has: import all of it"
        )
    if operation.counts.rows_read != rules.row_count:
        return "MANIFEST_INCOMPLETE", (
            f"{operation.counts.rows_read} rows arrived, {rules.row_count} were sent: "
            "import the feed again"
        )
    if unreadable := operation.result.get("unreadable_rows", 0):
        return "ROWS_UNREADABLE", (
            f"the SKUs of {unreadable} rows could not be read, so it is not known which products "
            "the feed no longer lists: mend the rows (shelflens operations errors) and import again"
        )
    if candidates > rules.max_removals * listed:
        return "TOO_MANY_REMOVALS", (
            f"{candidates} of {listed} products would be removed, more than "
            f"{rules.max_removals:.3g} of them: if the feed is complete, repeat with "
            f"--max-removals {min(1.0, candidates / listed + 0.005):.1%}"
        )
    return "", ""
