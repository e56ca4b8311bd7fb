"""How sure the first result of a search is, by the calibration of what ranked it."""

import threading
import time
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

import structlog

from services.core.deployment_ports import Deployment
from services.core.domain import names
from services.core.domain.calibration import Calibration
from services.core.domain.errors import InvalidArgument, ShelflensError
from services.core.domain.stages import Stages
from services.core.evaluation_ports import CalibrationRecord
from services.core.ports import VectorStore
from services.core.record_ports import RecordStore

REMEMBERED = 500  # outcomes of a calibration whose share of accepted ones is watched
LEAST = 100  # fewer tell nothing
_MOVED = 0.15  # difference of two shares that is worth a warning
_GROWN = 0.25  # of the images, as a share
_COUNTED_FOR = 30.0  # seconds
_ENTRIES = 1_000  # calibrations, and collections, that are kept in mind
_log = structlog.get_logger(__name__)

K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Verdict:
    """The probability that the first result is the right product; `no_match` where that is below
    `threshold`. `calibration` is its resource name. `warnings` say why not to trust it."""

    probability: float
    no_match: bool
    threshold: float
    calibration: str
    warnings: tuple[str, ...] = ()


@dataclass(slots=True)
class _Known:
    """The calibration of one (catalogue, model, stages) at a version of the catalogue's. Versions
    begin anew with a new catalogue of the same name, hence the deployment's time."""

    version: tuple[datetime, int]
    record: CalibrationRecord | None
    fitted: Calibration | None
    accepted: deque[bool] = field(default_factory=lambda: deque(maxlen=REMEMBERED))


class Verdicts:
    """Calibrations are read once a version. Blocks; safe to call from many threads."""

    def __init__(self, records: RecordStore, vectors: VectorStore) -> None:
        self._records = records
        self._vectors = vectors
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[str, str, str], _Known] = OrderedDict()
        self._images: OrderedDict[tuple[str, str], tuple[float, int]] = OrderedDict()

    def judge(
        self, deployment: Deployment, stages: Stages, scores: tuple[float, ...], *, counts: bool
    ) -> Verdict | None:
        """None where nothing is calibrated for `stages`, those that ran.

        `scores` are the model's, of the first and the second result as far as there are any.
        `counts`: it is one more search, not a further page of one.
        """
        if not deployment.calibration_version:
            return None
        known = self._of(deployment, stages.key)
        if known.fitted is None:
            return None
        fitted, probability = known.fitted, 0.0
        if scores:
            margin = scores[0] - scores[1] if len(scores) > 1 else 0.0
            probability = fitted.probability(scores[0], margin)
        accepted = bool(scores) and fitted.accepts(probability)
        warnings = (
            self._gallery_warning(deployment, fitted),
            self._share_warning(known, fitted, accepted if counts else None),
        )
        return Verdict(
            probability,
            not accepted,
            fitted.threshold,
            names.calibration_name(deployment.catalog, deployment.model_digest, stages.key),
            tuple(filter(None, warnings)),
        )

    def _of(self, deployment: Deployment, stages: str) -> _Known:
        key = (deployment.catalog, deployment.model_digest, stages)
        version = (deployment.create_time, deployment.calibration_version)
        with self._lock:
            known = self._known.get(key)
        if known is not None and known.version == version:
            return known
        with self._records.begin(snapshot=False) as tx:
            record = tx.calibrations.current(*key)
        new = _Known(version, record, _fitted(record))
        if known is not None and known.record == record:
            new.accepted = known.accepted  # another one of the catalogue was changed
        with self._lock:
            _remember(self._known, key, new)
        return new

    def _gallery_warning(self, deployment: Deployment, fitted: Calibration) -> str:
        images = self._image_count(deployment)
        if images is None or abs(images - fitted.gallery_images) <= _GROWN * fitted.gallery_images:
            return ""
        return (
            f"the catalogue has {images} images, and had {fitted.gallery_images} when its scores "
            "were calibrated: probabilities may be off, evaluate and calibrate it again"
        )

    def _image_count(self, deployment: Deployment) -> int | None:
        key, now = (deployment.collection, deployment.tenant), time.monotonic()
        with self._lock:
            counted, images = self._images.get(key, (-_COUNTED_FOR, 0))
        if now - counted < _COUNTED_FOR:
            return images
        try:
            images = self._vectors.count(deployment.collection, deployment.tenant or None)
        except ShelflensError as error:  # no reason not to answer
            _log.info("gallery.not_counted", reason=error.reason, error=error.message)
            return None
        with self._lock:
            _remember(self._images, key, (now, images))
        return images

    def _share_warning(self, known: _Known, fitted: Calibration, accepted: bool | None) -> str:
        with self._lock:
            if accepted is not None:
                known.accepted.append(accepted)
            count, total = sum(known.accepted), len(known.accepted)
        if total < LEAST or abs(count / total - fitted.accepted_share) <= _MOVED:
            return ""
        less = count / total < fitted.accepted_share
        return (
            f"of the last {total} answers {count / total:.0%} were accepted, when the scores were "
            f"calibrated {fitted.accepted_share:.0%}: photos of products that are not in the "
            f"catalogue have become {'more' if less else 'fewer'}, evaluate and calibrate it again"
        )


def _fitted(record: CalibrationRecord | None) -> Calibration | None:
    if record is None:
        return None
    try:
        return Calibration.from_dict(record.fitted)
    except InvalidArgument as error:  # searches go on without it
        _log.warning("calibration.damaged", catalog=record.catalog, error=error.message)
        return None


def _remember(entries: OrderedDict[K, V], key: K, value: V) -> None:
    entries[key] = value
    entries.move_to_end(key)
    while len(entries) > _ENTRIES:
        entries.popitem(last=False)
