"""Which rows are rejected, and how the report says it. Pure."""

from collections.abc import Mapping, Sequence

from services.core.record_ports import MergeOutcome
from services.core.shard_files import AcceptedRow, RejectedRow

_SHOWN = 200


def judge_rows(rows: Sequence[AcceptedRow], refused: Mapping[str, str]) -> list[RejectedRow]:
    """A line for every refused image; a row none of whose images is usable is rejected whole.

    `refused` maps the hash of an unusable image to its reason. Rows without images pass.
    """
    lines = []
    for row in rows:
        bad = [
            (source, refused[sha256])
            for sha256, source in zip(row.sha256s, row.sources, strict=True)
            if sha256 in refused
        ]
        whole = bool(bad) and len(bad) == len(row.sha256s)
        for position, (source, reason) in enumerate(bad):
            lines.append(_line(row, reason, "images", source, whole and position == 0))
    return lines


def superseded_rows(merged: MergeOutcome) -> list[RejectedRow]:
    """Lines about rows that did not become part of the records, and values that were not taken."""
    return [
        *(_line(row, "SUPERSEDED", "sku", row.fields["sku"], True) for row in merged.superseded),
        *(_line(row, "PRODUCT_HAS_NO_IMAGE", "images", "", True) for row in merged.missing),
        *(
            _line(row, "FIELD_DISAGREES", field, str(row.fields.get(field, "")), False)
            for row, field in merged.disagreements
        ),
    ]


def _line(row: AcceptedRow, reason: str, field: str, value: str, whole: bool) -> RejectedRow:
    return RejectedRow(row.row, reason, field, value[:_SHOWN], row.fields["sku"], whole)
