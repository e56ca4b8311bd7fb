"""What became of an import."""

from typing import Any

from shelflens import values
from shelflens.convert.fields import time
from shelflens.v1 import catalogs_pb2

_COUNTS = tuple(
    field.name
    for field in catalogs_pb2.ImportCounts.DESCRIPTOR.fields
    if field.name != "rejected_by_reason"
)


def import_metadata(packed: Any) -> tuple[str, dict[str, Any]]:
    """Kind and fields of the operation."""
    message = catalogs_pb2.ImportProductsMetadata()
    packed.Unpack(message)
    return "import", {
        "state": message.state,
        "catalog": message.catalog,
        "display_name": message.display_name,
        "revision": message.revision,
        "total_rows": message.total_row_count,
        "counts": _counts(message.counts),
        "validate_only": message.validate_only,
        "create_time": time(message, "create_time"),
        "update_time": time(message, "update_time"),
    }


def import_response(packed: Any) -> dict[str, Any]:
    """Fields of the operation."""
    message = catalogs_pb2.ImportProductsResponse()
    packed.Unpack(message)
    return {
        "counts": _counts(message.counts),
        "rejections": tuple(_rejection(each) for each in message.rejections),
        "errors_uri": message.errors_uri,
        "prune": _prune(message.prune) if message.HasField("prune") else None,
        "stages": tuple(_stage(each) for each in message.stages),
        "changes": tuple(
            values.ProductChange(each.sku, each.change, tuple(each.fields))
            for each in message.changes
        ),
    }


def _counts(message: catalogs_pb2.ImportCounts) -> values.ImportCounts:
    numbers = {name: getattr(message, name) for name in _COUNTS}
    return values.ImportCounts(**numbers, rejected_by_reason=dict(message.rejected_by_reason))


def _prune(message: catalogs_pb2.PruneResult) -> values.PruneResult:
    return values.PruneResult(
        message.candidate_count,
        message.removed_count,
        message.spared_count,
        message.refusal,
        message.message,
    )


def _stage(message: catalogs_pb2.StageTime) -> values.StageTime:
    return values.StageTime(
        message.stage, message.task_count, message.item_count, message.busy_seconds
    )


def _rejection(message: catalogs_pb2.Rejection) -> values.Rejection:
    return values.Rejection(
        row=message.row,
        reason=message.reason,
        field=message.field,
        value=message.value,
        sku=message.sku,
        row_rejected=message.row_rejected,
    )
