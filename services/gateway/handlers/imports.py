"""Use cases of imports: a manifest comes in, an operation starts."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from services.core.domain import keys, names
from services.core.domain.errors import InvalidManifest, NotFound
from services.core.domain.import_rules import ImportRules
from services.core.domain.operations import Operation, OperationKind
from services.core.ports import ObjectStore
from services.gateway.handlers.catalogs import check_embeddings_model, checked_label
from services.gateway.handlers.pulling import Pull
from services.gateway.handlers.threads import Threads
from services.gateway.handlers.transactions import A, Change, Once, Transactions
from services.gateway.settings import GatewayLimits


@dataclass(frozen=True, slots=True)
class StoredManifest:
    """A manifest of a catalogue; `size` in bytes."""

    catalog: str
    id: str
    size: int


class Imports:
    """Stores manifests and starts imports."""

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

    async def upload_manifest(self, catalog: str, chunks: AsyncIterator[bytes]) -> StoredManifest:
        """Stores the concatenation of `chunks` in bounded memory.

        Raises NotFound (CATALOG_NOT_FOUND), InvalidManifest (MANIFEST_TOO_LARGE).
        """
        await self._transactions.check(catalog)
        manifest = names.new_id()
        most = self._limits.manifest_bytes
        too_long = InvalidManifest(
            f"the manifest is longer than {most} bytes: import it in parts",
            reason="MANIFEST_TOO_LARGE",
        )
        pull = Pull(chunks, most, too_long)
        try:
            size = await self._threads.call(
                self._objects.put_stream, keys.manifest_key(catalog, manifest), pull.blocking()
            )
        except asyncio.CancelledError:
            pull.stop()
            raise
        return StoredManifest(catalog, manifest, size)

    async def start(
        self,
        catalog: str,
        manifest: str,
        display_name: str,
        rules: ImportRules,
        once: Once[Operation, A],
    ) -> A:
        """Starts the import of a stored manifest (id within its name).

        Raises NotFound (CATALOG_NOT_FOUND, MANIFEST_NOT_FOUND), InvalidArgument,
        FailedPrecondition (EMBEDDING_MODEL_DIFFERS).
        """
        label = checked_label(display_name, "display_name", self._limits)
        key = keys.manifest_key(catalog, manifest)
        stored = await self._threads.call(self._objects.size, key) is not None

        def work(change: Change) -> Operation:
            revision = change.tx.catalogs.next_revision(catalog)
            if not stored:
                name = names.manifest_name(catalog, manifest)
                raise NotFound(
                    f"{name} does not exist: upload it with UploadManifest",
                    reason="MANIFEST_NOT_FOUND",
                    metadata={"manifest": name},
                )
            if rules.embeddings_model:
                check_embeddings_model(change.tx, catalog, rules.embeddings_model)
            request = {"manifest": key, "display_name": label, **rules.to_json()}
            return change.operation(OperationKind.IMPORT, catalog, revision, request)

        return await self._transactions.write_once(work, once)
