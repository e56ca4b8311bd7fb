"""The records of datasets, evaluations, calibrations and users' feedback."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from services.core.domain.operations import OperationState


@dataclass(frozen=True, slots=True)
class Dataset:
    """A frozen query and gallery list. `build` names the making whose files it has
    (keys.dataset_prefix), `operation` what made it. `counts` are the fields of
    outcomes.DatasetFrozen, zero until it is made."""

    id: str
    catalog: str
    display_name: str
    allow_absent: bool
    build: str
    operation: str
    state: OperationState
    counts: Mapping[str, int]
    create_time: datetime
    error_reason: str = ""
    error_message: str = ""


@dataclass(frozen=True, slots=True)
class EvaluatedModel:
    """A model of an evaluation: its name and digest, and once it is done its metrics
    (core.domain.evaluation.Metrics.to_dict), and Calibration.to_dict where asked for."""

    model: str
    digest: str
    metrics: Mapping[str, Any] = field(default_factory=dict)
    calibration: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Models x a dataset. `stages` is Stages.key, `options` EvaluationOptions.to_json.
    `differences` are Difference.to_dict. `report` is the object key of the HTML file, empty until
    it is there."""

    id: str
    dataset: str
    catalog: str
    stages: str
    options: str
    models: tuple[EvaluatedModel, ...]
    operation: str
    state: OperationState
    create_time: datetime
    end_time: datetime | None = None
    report: str = ""
    differences: tuple[Mapping[str, Any], ...] = ()
    error_reason: str = ""
    error_message: str = ""


@dataclass(frozen=True, slots=True)
class CalibrationRecord:
    """The calibration that answers for (catalog, model digest, stages) since `create_time`.
    `fitted` is Calibration.to_dict."""

    catalog: str
    model_digest: str
    stages: str
    evaluation: str
    fitted: Mapping[str, Any]
    create_time: datetime


@dataclass(frozen=True, slots=True)
class Feedback:
    """What a user said about a search result.

    `right` is about `product` (id), which was shown with image `image` (sha256). `expected` is the
    product that would have been right, where it is known. `photo` is the query's sha256; it is kept
    until `expire_time` where the catalogue keeps photos, else `expire_time` is None. `stages` is
    Stages.key.
    """

    id: str
    catalog: str
    photo: str
    product: str
    image: str
    right: bool
    expected: str
    model_digest: str
    stages: str
    create_time: datetime
    expire_time: datetime | None = None


class DatasetRecords(Protocol):
    """Datasets."""

    def add(self, dataset: Dataset) -> None:
        """Raises AlreadyExists (DATASET_EXISTS), but for one that could not be made, which it
        replaces."""

    def get(self, dataset: str) -> Dataset:
        """Raises NotFound (DATASET_NOT_FOUND)."""

    def page(self, after: str, limit: int) -> list[Dataset]:
        """Those with an id greater than `after`, in the order of ids."""

    def save(self, dataset: Dataset) -> None: ...

    def remove(self, dataset: str) -> None:
        """Raises NotFound, FailedPrecondition (DATASET_IN_USE) while an evaluation runs on it."""


class EvaluationRecords(Protocol):
    """Evaluations."""

    def add(self, evaluation: Evaluation) -> None: ...

    def get(self, evaluation: str) -> Evaluation:
        """Raises NotFound (EVALUATION_NOT_FOUND)."""

    def page(self, after: str, limit: int, dataset: str = "") -> list[Evaluation]:
        """Newest first; `after` is the id of the last one of the page before."""

    def save(self, evaluation: Evaluation) -> None: ...

    def remove(self, evaluation: str) -> None:
        """Raises NotFound, FailedPrecondition (EVALUATION_RUNNING) unless it is done."""


class CalibrationRecords(Protocol):
    """Calibrations; the newest of (catalogue, model, stages) answers."""

    def put(self, record: CalibrationRecord) -> None:
        """Replaces the one of the same catalogue, model and stages, and counts the catalogue's
        `calibration_version` up. Raises NotFound (CATALOG_NOT_FOUND)."""

    def current(self, catalog: str, model_digest: str, stages: str) -> CalibrationRecord | None: ...

    def page(self, catalog: str) -> list[CalibrationRecord]:
        """All of a catalogue, newest first."""

    def remove(self, catalog: str, model_digest: str, stages: str) -> None:
        """It may be gone already. Counts and raises as `put`."""


class FeedbackRecords(Protocol):
    """What users said."""

    def add(self, feedback: Feedback) -> None: ...

    def get(self, catalog: str, feedback: str) -> Feedback:
        """Raises NotFound (FEEDBACK_NOT_FOUND)."""

    def page(self, catalog: str, after: str, limit: int) -> list[Feedback]:
        """Oldest first, those with an id greater than `after`."""

    def expired(self, now: datetime, limit: int) -> list[Feedback]:
        """Those whose photo is to be removed."""

    def forget_photos(self, ids: Sequence[str]) -> None:
        """Their photos are gone: `expire_time` becomes None."""

    def keeps_photo(self, catalog: str, photo: str, now: datetime) -> bool:
        """Whether feedback that has not expired needs the photo."""

    def with_photos(self, photos: Sequence[str]) -> list[Feedback]:
        """Those of any catalogue that keep one of these photos, or did until it expired."""
