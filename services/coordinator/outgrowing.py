"""Catalogues that have become too large for a collection that others share get one of their own."""

import structlog

from services.coordinator.settings import CoordinatorLimits
from services.core.domain.errors import FailedPrecondition, NotFound
from services.core.domain.operations import Operation, OperationKind
from services.core.ports import Clock
from services.core.record_ports import Records

_log = structlog.get_logger(__name__)


def outgrow(tx: Records, ended: Operation, limits: CoordinatorLimits, clock: Clock) -> None:
    """After an import: starts the deploy of the same model into a collection of its own, where the
    catalogue shares one and has more than `limits.shared_images` images."""
    if ended.kind is not OperationKind.IMPORT:
        return
    try:
        live = tx.catalogs.deployment(ended.catalog)
    except NotFound:
        return  # it was deleted
    count = tx.imports.present_count(ended.catalog) if live.shared else 0
    if count <= limits.shared_images:
        return
    now = clock.now()
    try:
        made = tx.deployments.add(ended.catalog, live.model, {}, now)
    except FailedPrecondition:
        return  # one is being built anyway
    except NotFound:
        return  # the model's name is gone; the catalogue stays where it is
    request = {
        "deployment": made.number,
        "model": made.model,
        "model_digest": made.model_digest,
        "compare_searches": 0,
        "compare_seconds": 0,
        "discard_old": True,
        "image_count": count,
    }
    revision = tx.catalogs.next_revision(ended.catalog)
    tx.operations.create(OperationKind.DEPLOY, ended.catalog, revision, request, now)
    _log.info("catalog.outgrew_its_collection", catalog=ended.catalog, images=count)
