"""Use cases of datasets: query photos and a catalogue's images are frozen for evaluation."""

from dataclasses import dataclass

from services.core.domain import keys, names
from services.core.domain.errors import FailedPrecondition, NotFound
from services.core.domain.evaluation_requests import dataset_request
from services.core.domain.external_model import is_external, no_embedder
from services.core.domain.operations import OperationKind, OperationState
from services.core.evaluation_ports import Dataset
from services.core.object_removal import remove_below
from services.core.ports import ObjectStore
from services.core.record_ports import Records
from services.gateway.handlers.catalogs import checked_label
from services.gateway.handlers.threads import Threads
from services.gateway.handlers.transactions import A, Change, Once, Transactions
from services.gateway.settings import GatewayLimits


@dataclass(frozen=True, slots=True)
class NewDataset:
    """A dataset to be made: its id, the catalogue (id) whose images are the gallery, and the
    manifest (id) of that catalogue whose rows are the queries.

    Raises InvalidArgument (INVALID_ID).
    """

    id: str
    catalog: str
    manifest: str
    allow_absent: bool = False
    display_name: str = ""

    def __post_init__(self) -> None:
        names.check_id(self.id, "dataset_id")


class Datasets:
    """Makes, reads and removes datasets."""

    def __init__(
        self,
        transactions: Transactions,
        objects: ObjectStore,
        threads: Threads,
        limits: GatewayLimits,
    ) -> None:
        self._transactions = transactions
        self._objects = objects
        self._threads = threads
        self._limits = limits

    async def create(self, wanted: NewDataset, once: Once[Dataset, A]) -> A:
        """Starts to freeze it.

        Raises InvalidArgument, NotFound (CATALOG_NOT_FOUND, MANIFEST_NOT_FOUND), AlreadyExists
        (DATASET_EXISTS), FailedPrecondition (MODEL_HAS_NO_EMBEDDER, CATALOG_EMPTY).
        """
        label = checked_label(wanted.display_name, "display_name", self._limits)
        manifest = keys.manifest_key(wanted.catalog, wanted.manifest)
        stored = await self._threads.call(self._objects.size, manifest) is not None

        # Not while others wait to write: counting may take seconds.
        await self._transactions.read(lambda tx: _check_catalog(tx, wanted.catalog))

        def work(change: Change) -> Dataset:
            change.tx.catalogs.deployment(wanted.catalog)
            if not stored:
                name = names.manifest_name(wanted.catalog, wanted.manifest)
                raise NotFound(
                    f"{name} does not exist: upload it with UploadManifest",
                    reason="MANIFEST_NOT_FOUND",
                    metadata={"manifest": name},
                )
            build = names.new_id()
            request = dataset_request(wanted.id, build, manifest, wanted.allow_absent)
            operation = change.operation(OperationKind.CREATE_DATASET, wanted.catalog, 0, request)
            made = Dataset(
                id=wanted.id,
                catalog=wanted.catalog,
                display_name=label,
                allow_absent=wanted.allow_absent,
                build=build,
                operation=operation.id,
                state=OperationState.QUEUED,
                counts={},
                create_time=change.now,
            )
            change.tx.datasets.add(made)
            return made

        return await self._transactions.write_once(work, once)

    async def get(self, dataset: str) -> Dataset:
        """Raises NotFound (DATASET_NOT_FOUND)."""
        return await self._transactions.read(lambda tx: tx.datasets.get(dataset))

    async def page(self, after: str, limit: int) -> list[Dataset]:
        """In the order of ids, those greater than `after`."""
        return await self._transactions.read(lambda tx: tx.datasets.page(after, limit))

    async def delete(self, dataset: str) -> None:
        """Raises NotFound, FailedPrecondition (DATASET_IN_USE, DATASET_UNFINISHED)."""

        def work(change: Change) -> str:
            found = change.tx.datasets.get(dataset)
            if not found.state.done:
                raise FailedPrecondition(
                    f"{names.dataset_name(dataset)} is being made: cancel "
                    f"{names.operation_name(found.operation)} first",
                    reason="DATASET_UNFINISHED",
                    metadata={"dataset": dataset, "operation": found.operation},
                )
            change.tx.datasets.remove(dataset)
            return keys.dataset_prefix(found.id, found.build)

        # Records first: files that nobody names harm nobody.
        prefix = await self._transactions.write(work)
        await self._threads.call(remove_below, self._objects, prefix)


def _check_catalog(tx: Records, catalog: str) -> None:
    live = tx.catalogs.deployment(catalog)
    if is_external(tx.models.spec(live.model_digest)):
        raise no_embedder(live.model)
    if not tx.imports.present_count(catalog):
        raise FailedPrecondition(
            f"{names.catalog_name(catalog)} has no searchable image: import products first",
            reason="CATALOG_EMPTY",
            metadata={"catalog": catalog},
        )
