"""Use cases of deployments: which model and collection answer for a catalogue."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from services.core.deployment_ports import Deployment, DeploymentState
from services.core.domain import names
from services.core.domain.errors import FailedPrecondition, InvalidArgument
from services.core.domain.evaluation import EvaluationOptions, Gate
from services.core.domain.evaluation_requests import with_gate
from services.core.domain.operations import Operation, OperationKind
from services.core.ports import VectorStore
from services.core.record_ports import Records
from services.gateway.handlers.model_sources import embedding_model
from services.gateway.handlers.ready_datasets import check_dataset
from services.gateway.handlers.threads import Threads
from services.gateway.handlers.transactions import A, Change, Once, Transactions
from services.gateway.settings import GatewayLimits

QUANTIZATIONS = ("none", "int8")


@dataclass(frozen=True, slots=True)
class Wish:
    """A model (id) to deploy, and how. `storage` holds fields of CollectionSpec that are chosen.

    Searches are compared for `compare_seconds` at most, 0 is the usual time. With a `gate` it is
    measured against the live model first.
    """

    model: str
    storage: Mapping[str, Any] = field(default_factory=dict)
    compare_searches: int = 0
    compare_seconds: int = 0
    discard_old: bool = False
    gate: Gate | None = None

    def __post_init__(self) -> None:
        quantization = self.storage.get("quantization", "none")
        if quantization not in QUANTIZATIONS:
            raise InvalidArgument.field(
                "quantization",
                f"'{quantization[:80]}' is none of {', '.join(QUANTIZATIONS)}",
                reason="QUANTIZATION_UNKNOWN",
            )


@dataclass(frozen=True, slots=True)
class Shown:
    """A deployment and how many images its collection holds."""

    deployment: Deployment
    images: int


class Deployments:
    """Deploys models and switches between deployments. Ids are those within the names."""

    def __init__(
        self,
        transactions: Transactions,
        vectors: VectorStore,
        threads: Threads,
        limits: GatewayLimits,
    ) -> None:
        self._transactions = transactions
        self._vectors = vectors
        self._threads = threads
        self._limits = limits

    async def deploy(self, catalog: str, wish: Wish, once: Once[Operation, A]) -> A:
        """Starts to fill a new collection by another model.

        Raises InvalidArgument, NotFound (CATALOG_NOT_FOUND, MODEL_NOT_FOUND), FailedPrecondition
        (MODEL_HAS_NO_EMBEDDER, ALREADY_DEPLOYED, DEPLOY_RUNNING). Of a gate: NotFound
        (DATASET_NOT_FOUND), FailedPrecondition (DATASET_UNFINISHED, DATASET_FAILED),
        InvalidArgument (OTHER_CATALOG).
        """
        self._check(wish)

        def work(change: Change) -> Operation:
            tx = change.tx
            revision = tx.catalogs.next_revision(catalog)
            found = tx.models.get(wish.model)
            embedding_model(found)
            _check_other(tx.catalogs.deployment(catalog), found.digest, wish)
            _check_gate(tx, catalog, wish.gate)
            made = tx.deployments.add(catalog, wish.model, wish.storage, change.now)
            request = {
                "deployment": made.number,
                "model": made.model,
                "model_digest": made.model_digest,
                "compare_searches": wish.compare_searches,
                "compare_seconds": wish.compare_seconds or self._limits.compare_seconds,
                "discard_old": wish.discard_old,
                "image_count": count,
            }
            request = with_gate(request, wish.gate)
            return change.operation(OperationKind.DEPLOY, catalog, revision, request)

        # Not while others wait to write: it may take seconds.
        count = await self._transactions.read(lambda tx: tx.imports.present_count(catalog))
        return await self._transactions.write_once(work, once)

    async def page(self, catalog: str, before: int | None, limit: int) -> list[Shown]:
        """Newest first, those with numbers below `before`. Raises NotFound (CATALOG_NOT_FOUND)."""
        found = await self._transactions.read_in(
            catalog, lambda tx: tx.deployments.page(catalog, before, limit)
        )
        return await self._threads.call(lambda: [self._shown(each) for each in found])

    async def rollback(self, catalog: str, number: int | None, once: Once[Shown, A]) -> A:
        """Makes a deployment live that is kept; without `number` the one that was live before.

        One that is live stays so. Raises NotFound (CATALOG_NOT_FOUND, DEPLOYMENT_NOT_FOUND),
        FailedPrecondition (NO_DEPLOYMENT_KEPT, DEPLOYMENT_NOT_KEPT, DEPLOYMENT_BUILDING).
        """

        def work(change: Change) -> Shown:
            tx = change.tx
            live = tx.catalogs.deployment(catalog)
            wanted = tx.deployments.get(catalog, _kept(tx, live) if number is None else number)
            if wanted.state is DeploymentState.BUILDING:
                raise _building(wanted)
            if wanted.number != live.number:
                wanted = tx.deployments.switch(catalog, wanted.number, change.now)
            return Shown(wanted, count)

        # What it should hold: switching back does not wait for the vector storage.
        count = await self._transactions.read(lambda tx: tx.imports.present_count(catalog))
        return await self._transactions.write_once(work, once)

    async def delete(self, catalog: str, number: int) -> Operation:
        """Starts to remove the collection of a deployment that is kept.

        Raises NotFound (CATALOG_NOT_FOUND, DEPLOYMENT_NOT_FOUND), FailedPrecondition
        (DEPLOYMENT_LIVE, DEPLOYMENT_BUILDING, DEPLOYMENT_GONE).
        """

        def work(change: Change) -> Operation:
            revision = change.tx.catalogs.next_revision(catalog)
            found = change.tx.deployments.get(catalog, number)
            if found.state is DeploymentState.BUILDING:
                raise _building(found)
            if found.state is DeploymentState.GONE:
                name = names.deployment_name(catalog, number)
                raise FailedPrecondition(f"{name} is gone already", reason="DEPLOYMENT_GONE")
            change.tx.deployments.remove(catalog, number)
            request = {"deployment": number, "collections": [collection_entry(found)]}
            return change.operation(OperationKind.DROP_DEPLOYMENT, catalog, revision, request)

        return await self._transactions.write(work)

    def _check(self, wish: Wish) -> None:
        limits = self._limits
        for name, value, most in (
            ("compare_searches", wish.compare_searches, limits.max_compare_searches),
            ("compare_seconds", wish.compare_seconds, limits.max_compare_seconds),
        ):
            if not 0 <= value <= most:
                raise InvalidArgument.field(
                    name, f"{value} is not from 0 to {most}", reason="OUT_OF_RANGE"
                )

    def _shown(self, deployment: Deployment) -> Shown:
        if deployment.state is DeploymentState.GONE:
            return Shown(deployment, 0)
        tenant = deployment.tenant or None
        return Shown(deployment, self._vectors.count(deployment.collection, tenant))


def collection_entry(deployment: Deployment) -> list[str]:
    """A collection to remove, for the coordinator: its name, and whose points where it is shared.

    Empty where it is the deployment's own.
    """
    return [deployment.collection, deployment.tenant]


def _check_gate(tx: Records, catalog: str, gate: Gate | None) -> None:
    if gate is None:
        return
    dataset = tx.datasets.get(gate.dataset)
    check_dataset(dataset, EvaluationOptions())
    if dataset.catalog != catalog:
        raise InvalidArgument.field(
            "gate.dataset",
            f"{names.dataset_name(dataset.id)} is of {names.catalog_name(dataset.catalog)}",
            reason="OTHER_CATALOG",
        )


def _check_other(live: Deployment, digest: str, wish: Wish) -> None:
    stored_so = not live.shared and dict(live.storage) == dict(wish.storage)
    if live.model_digest == digest and stored_so:
        name = names.deployment_name(live.catalog, live.number)
        raise FailedPrecondition(
            f"{names.model_name(wish.model)} answers for {names.catalog_name(live.catalog)} "
            f"already, stored just so: {name}",
            reason="ALREADY_DEPLOYED",
            metadata={"deployment": name},
        )


def _kept(tx: Records, live: Deployment) -> int:
    """The number of the one that was live before."""
    kept = [e for e in tx.deployments.targets(live.catalog) if e.state is DeploymentState.KEPT]
    if not kept:
        catalog = names.catalog_name(live.catalog)
        raise FailedPrecondition(
            f"no earlier deployment of {catalog} is kept: deploy the model that you want",
            reason="NO_DEPLOYMENT_KEPT",
            metadata={"catalog": catalog},
        )
    return max(kept, key=lambda each: each.switch_time or each.create_time).number


def _building(deployment: Deployment) -> FailedPrecondition:
    name = names.deployment_name(deployment.catalog, deployment.number)
    return FailedPrecondition(
        f"{name} is being built: wait for its operation, or cancel that",
        reason="DEPLOYMENT_BUILDING",
        metadata={"deployment": name},
    )
