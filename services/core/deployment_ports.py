"""The records of models, and of which model and collection answer for a catalogue."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from services.core.domain import names


class DeploymentState(StrEnum):
    """What a deployment does. All but GONE ones get every write of their catalogue."""

    BUILDING = "building"  # it is being filled and checked
    LIVE = "live"  # it answers searches
    KEPT = "kept"  # it was live and can be switched back to
    GONE = "gone"  # it did not become live, or was removed


@dataclass(frozen=True, slots=True)
class Deployment:
    """Which model and collection answer for a catalogue, did, or will.

    `storage` are the fields of CollectionSpec that were chosen for the collection. `tenant` names
    the deployment within a collection that others share; it is empty where it has one of its own.
    `index_time` is when the catalogue last changed in search. `comparison` is empty, or has
    searches, same_first and overlap_at_10. `comparing` is the number of another deployment that
    searches are compared with at the moment, or 0. `gate` is empty, or has the fields of the
    proto's GateOutcome. `calibration_version` grows whenever a calibration of the catalogue
    changes; 0 where it never had one.
    """

    catalog: str
    number: int
    model: str
    model_digest: str
    collection: str
    dimension: int
    distance: str
    create_time: datetime
    index_time: datetime | None
    state: DeploymentState = DeploymentState.LIVE
    switch_time: datetime | None = None
    tenant: str = ""
    storage: Mapping[str, Any] = field(default_factory=dict)
    comparison: Mapping[str, Any] = field(default_factory=dict)
    comparing: int = 0
    gate: Mapping[str, Any] = field(default_factory=dict)
    calibration_version: int = 0

    @property
    def shared(self) -> bool:
        """Whether other deployments have points in the collection."""
        return bool(self.tenant)

    def point_id(self, product: str, sha256: str) -> str:
        """The id of an image's point in the collection."""
        return names.point_id(self.tenant or self.catalog, product, sha256)


@dataclass(frozen=True, slots=True)
class ModelRecord:
    """A name and the parts behind it: `spec` is core.domain.model.Model.to_dict, or that of an
    ExternalModel. `notes` are sentences for people."""

    name: str
    digest: str
    spec: Mapping[str, Any]
    create_time: datetime
    notes: tuple[str, ...] = ()


class ModelRecords(Protocol):
    """Models that this installation knows."""

    def put(
        self,
        name: str,
        digest: str,
        spec: Mapping[str, Any],
        now: datetime,
        notes: Sequence[str] = (),
    ) -> None:
        """Registers a model; the same name with another digest replaces it for new catalogues, the
        same name and digest change nothing."""

    def named(self, name: str) -> dict[str, Any] | None:
        """The spec of the model of this name; None where there is none."""

    def get(self, name: str) -> ModelRecord:
        """Raises NotFound (MODEL_NOT_FOUND)."""

    def page(self, after: str, limit: int) -> list[ModelRecord]:
        """Those with a name greater than `after`, in the order of names."""

    def spec(self, digest: str) -> dict[str, Any]:
        """Raises NotFound (MODEL_NOT_FOUND)."""

    def remove(self, name: str) -> None:
        """Forgets the name; its parts stay known while a deployment needs them."""


class DeploymentRecords(Protocol):
    """The deployments of catalogues. Each has at most one BUILDING and exactly one LIVE."""

    def page(self, catalog: str, before: int | None, limit: int) -> list[Deployment]:
        """Newest first, those with numbers below `before`."""

    def get(self, catalog: str, number: int) -> Deployment:
        """Raises NotFound (DEPLOYMENT_NOT_FOUND)."""

    def targets(self, catalog: str) -> list[Deployment]:
        """All that get the catalogue's writes: the live one, then the others, newest first."""

    def using(self, digest: str) -> list[Deployment]:
        """All deployments by this model that are not GONE, of any catalogue."""

    def serving(self) -> list[str]:
        """Digests of the models that query workers are to have loaded: of all LIVE, BUILDING and
        KEPT deployments, those of live ones first."""

    def add(
        self, catalog: str, model: str, storage: Mapping[str, Any], now: datetime
    ) -> Deployment:
        """A BUILDING one with a collection of its own.

        Raises NotFound (CATALOG_NOT_FOUND, MODEL_NOT_FOUND), FailedPrecondition (DEPLOY_RUNNING)
        beside another one.
        """

    def switch(self, catalog: str, number: int, now: datetime) -> Deployment:
        """It becomes LIVE, and what was live KEPT.

        Raises NotFound, FailedPrecondition (DEPLOYMENT_NOT_KEPT) for one that is GONE.
        """

    def remove(self, catalog: str, number: int) -> Deployment:
        """It becomes GONE. Raises NotFound, FailedPrecondition (DEPLOYMENT_LIVE)."""

    def compare(self, catalog: str, number: int) -> None:
        """Asks searches of the catalogue to be compared with this deployment; 0 ends that."""

    def note_comparison(
        self, catalog: str, number: int, searches: int, same: int, overlap: float
    ) -> None:
        """Adds `searches` to the comparison: of them `same` had the same first product, `overlap`
        is the sum of their shares of common products among ten."""

    def note_gate(self, catalog: str, number: int, gate: Mapping[str, Any]) -> None:
        """What came of the gate of a deployment."""

    def workers(self, since: datetime) -> dict[str, tuple[str, ...]]:
        """Query workers that told since then which models they have loaded: id -> digests."""

    def note_worker(self, worker: str, models: Sequence[str], now: datetime) -> None:
        """Workers that told nothing for a day are forgotten."""
