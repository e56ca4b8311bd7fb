"""Use cases of catalogues."""

from datetime import datetime

from services.core.domain import names
from services.core.domain.catalog import Catalog
from services.core.domain.errors import FailedPrecondition, InvalidArgument
from services.core.domain.external_model import ExternalModel, is_external
from services.core.domain.operations import Operation, OperationKind
from services.core.record_ports import Records
from services.gateway.handlers.deployments import collection_entry
from services.gateway.handlers.transactions import A, Change, Once, Transactions
from services.gateway.settings import GatewayLimits

BASE_MODEL = "base"
_MOST_PHOTO_DAYS = 3_650


class Catalogs:
    """Creates, reads, renames and deletes catalogues. Ids are those within the names."""

    def __init__(self, transactions: Transactions, limits: GatewayLimits) -> None:
        self._transactions = transactions
        self._limits = limits

    async def create(
        self,
        catalog: str,
        display_name: str,
        model: str | ExternalModel,
        once: Once[Catalog, A],
        photo_days: int = 0,
    ) -> A:
        """`model` is an id, empty for the built-in one, or describes a model that runs elsewhere.
        Users' photos are kept with feedback for `photo_days`, 0 to 3,650.

        Raises InvalidArgument, AlreadyExists (CATALOG_EXISTS), NotFound (MODEL_NOT_FOUND),
        FailedPrecondition (MODEL_NAME_TAKEN).
        """
        names.check_id(catalog, "catalog_id")
        label = checked_label(display_name, "catalog.display_name", self._limits)
        _check_days(photo_days)

        def work(change: Change) -> Catalog:
            name = model or BASE_MODEL
            if isinstance(name, ExternalModel):
                register_external(change.tx, name, change.now)
                name = name.name
            shared = self._limits.share_collections
            made = change.tx.catalogs.create(catalog, label, name, change.now, shared=shared)
            if photo_days:
                made = change.tx.catalogs.keep_photos(catalog, photo_days, change.now)
            return made

        return await self._transactions.write_once(work, once)

    async def get(self, catalog: str) -> Catalog:
        """Raises NotFound (CATALOG_NOT_FOUND)."""
        return await self._transactions.read(lambda tx: tx.catalogs.get(catalog))

    async def page(self, after: str, limit: int) -> list[Catalog]:
        """At most `limit` catalogues with ids greater than `after`."""
        return await self._transactions.read(lambda tx: tx.catalogs.page(after, limit))

    async def update(
        self,
        catalog: str,
        display_name: str | None,
        model: str | None,
        photo_days: int | None = None,
    ) -> Catalog:
        """Renames it, or changes how long photos are kept; None leaves a field alone. With 0
        `photo_days` those that are kept go too.

        Raises NotFound; InvalidArgument (PHOTO_DAYS_OUT_OF_RANGE, and IMMUTABLE_FIELD for another
        model than it has).
        """
        _check_days(photo_days or 0)

        def work(change: Change) -> Catalog:
            found = change.tx.catalogs.get(catalog)
            if model is not None and model != found.model:
                raise InvalidArgument.field(
                    "catalog.model",
                    f"is changed with DeployModel (`shelflens deploy {catalog} {model}`), which "
                    "embeds the images anew beside the search",
                    reason="IMMUTABLE_FIELD",
                )
            if display_name is not None:
                label = checked_label(display_name, "catalog.display_name", self._limits)
                found = change.tx.catalogs.rename(catalog, label, change.now)
            if photo_days is not None:
                found = change.tx.catalogs.keep_photos(catalog, photo_days, change.now)
            return found

        return await self._transactions.write(work)

    async def delete(self, catalog: str, force: bool, once: Once[Operation, A]) -> A:
        """Hides the catalogue and starts the operation that removes it.

        Raises NotFound; FailedPrecondition (CATALOG_NOT_EMPTY) for products without `force`.
        """

        def work(change: Change) -> Operation:
            check_empty(change.tx, catalog, force)
            revision = change.tx.catalogs.next_revision(catalog)
            targets = change.tx.deployments.targets(catalog)
            change.tx.catalogs.mark_deleting(catalog)
            request = {"collections": [collection_entry(each) for each in targets]}
            return change.operation(OperationKind.DELETE_CATALOG, catalog, revision, request)

        return await self._transactions.write_once(work, once)


def register_external(tx: Records, model: ExternalModel, now: datetime) -> None:
    """Raises FailedPrecondition (MODEL_NAME_TAKEN) where a model of this name runs here."""
    known = tx.models.named(model.name)
    if known is not None and not is_external(known):
        raise FailedPrecondition(
            f"{names.model_name(model.name)} runs here and embeds images itself: give the model "
            "whose embeddings you bring another name",
            reason="MODEL_NAME_TAKEN",
            metadata={"model": names.model_name(model.name)},
        )
    tx.models.put(model.name, model.digest, model.spec(), now)


def check_embeddings_model(tx: Records, catalog: str, model: str) -> None:
    """Whether embeddings by `model` (id) may be imported.

    Raises NotFound (CATALOG_NOT_FOUND); FailedPrecondition (EMBEDDING_MODEL_DIFFERS).
    """
    found = tx.catalogs.get(catalog)
    if found.model == model and found.external:
        return
    live = names.model_name(found.model)
    what = "is served by" if found.external else "makes its own embeddings with"
    raise FailedPrecondition(
        f"catalogs/{catalog} {what} {live}: import embeddings by {names.model_name(model)} into a "
        "catalogue of their own",
        reason="EMBEDDING_MODEL_DIFFERS",
        metadata={"catalog": catalog, "model": live},
    )


def check_empty(tx: Records, catalog: str, force: bool) -> None:
    """Raises NotFound; FailedPrecondition (CATALOG_NOT_EMPTY) for products without `force`."""
    found = tx.catalogs.get(catalog)
    if found.product_count and not force:
        raise FailedPrecondition(
            f"catalogs/{catalog} has {found.product_count} products: set force to delete them too",
            reason="CATALOG_NOT_EMPTY",
            metadata={"catalog": catalog, "product_count": str(found.product_count)},
        )


def _check_days(days: int) -> None:
    if not 0 <= days <= _MOST_PHOTO_DAYS:
        raise InvalidArgument.field(
            "catalog.feedback_photo_days",
            f"{days} is not from 0 to {_MOST_PHOTO_DAYS}",
            reason="PHOTO_DAYS_OUT_OF_RANGE",
        )


def checked_label(text: str, field: str, limits: GatewayLimits) -> str:
    """`text` without blanks at its ends. Raises InvalidArgument (FIELD_TOO_LONG)."""
    label = text.strip()
    if len(label) > limits.display_name_length:
        raise InvalidArgument.field(
            field, f"longer than {limits.display_name_length} characters", reason="FIELD_TOO_LONG"
        )
    return label
