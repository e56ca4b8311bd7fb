"""The order in which the reports of an operation are applied."""

from services.coordinator.embed_stage import apply_embed
from services.coordinator.index_stage import apply_index
from services.coordinator.ingest_stage import apply_ingest
from services.coordinator.manifest_stage import apply_manifest
from services.coordinator.step import Step


def apply_reports(step: Step) -> None:
    """Applies what is reported and whose turn it is.

    Ingest and embed reports are applied in the order of the rows, so that the first row of a
    SKU is the first in the manifest whatever order the workers finish in.
    """
    while apply_manifest(step) or apply_ingest(step) or apply_embed(step):
        pass
    apply_index(step)
