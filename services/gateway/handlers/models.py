"""Use cases of models."""

import hashlib
from dataclasses import dataclass
from datetime import datetime

from services.core.deployment_ports import Deployment, ModelRecord
from services.core.domain import keys, names
from services.core.domain.errors import AlreadyExists, FailedPrecondition, InvalidArgument, NotFound
from services.core.domain.external_model import is_external
from services.core.domain.model import BUILT_IN
from services.core.domain.operations import (
    ImportCounts,
    Operation,
    OperationKind,
    OperationState,
)
from services.core.ports import ObjectStore
from services.core.record_ports import Records
from services.gateway.handlers.model_sources import FromBackbone, Source
from services.gateway.handlers.threads import Threads
from services.gateway.handlers.transactions import A, Change, Once, Transactions


@dataclass(frozen=True, slots=True)
class UsedModel:
    """A model and the deployments that need it."""

    record: ModelRecord
    deployments: tuple[Deployment, ...]


class Models:
    """Makes, reads and forgets models. Ids are those within the names."""

    def __init__(self, transactions: Transactions, objects: ObjectStore, threads: Threads) -> None:
        self._transactions = transactions
        self._objects = objects
        self._threads = threads

    async def create(
        self, model: str, source: Source, validate_only: bool, once: Once[Operation, A]
    ) -> A:
        """Starts to make a model. With `validate_only` the answer is a finished operation that
        nobody can look up, and nothing has changed.

        Raises InvalidArgument, AlreadyExists (MODEL_EXISTS), NotFound (MODEL_NOT_FOUND,
        CATALOG_NOT_FOUND, UPLOAD_NOT_FOUND), FailedPrecondition (MODEL_BEING_MADE,
        MODEL_HAS_NO_EMBEDDER, CATALOG_EMPTY).
        """
        names.check_id(model, "model_id")
        problem = None
        if isinstance(source, FromBackbone) and source.upload:
            problem = await self._threads.call(self._upload_problem, source)

        def work(change: Change) -> Operation:
            if problem is not None:  # not before: a repeat finds the upload used up
                raise problem
            request = {"model": model} | source.request(change.tx)
            _check_free(change.tx, model, source)
            kind = OperationKind.CREATE_MODEL
            if validate_only:
                return _checked(kind, source.catalog, request, change.now)
            return change.operation(kind, source.catalog, 0, request)

        if validate_only:
            return once.answer(await self._transactions.write(work))
        return await self._transactions.write_once(work, once)

    async def get(self, model: str) -> UsedModel:
        """Raises NotFound (MODEL_NOT_FOUND)."""
        return await self._transactions.read(lambda tx: _used(tx, tx.models.get(model)))

    async def page(self, after: str, limit: int) -> list[UsedModel]:
        """At most `limit` models with names greater than `after`."""
        return await self._transactions.read(
            lambda tx: [_used(tx, each) for each in tx.models.page(after, limit)]
        )

    async def delete(self, model: str) -> None:
        """Raises NotFound; FailedPrecondition (MODEL_IN_USE, MODEL_BUILT_IN)."""

        def work(change: Change) -> None:
            found = _used(change.tx, change.tx.models.get(model))
            name = names.model_name(model)
            if model in BUILT_IN:
                raise FailedPrecondition(
                    f"{name} is built in and comes back by itself", reason="MODEL_BUILT_IN"
                )
            if found.deployments:
                users = [names.deployment_name(d.catalog, d.number) for d in found.deployments]
                more = f" and {len(users) - 5} more" if users[5:] else ""
                raise FailedPrecondition(
                    f"{name} is used by {', '.join(users[:5])}{more}: deploy another model there "
                    "and delete these deployments first",
                    reason="MODEL_IN_USE",
                    metadata={"model": name, "deployments": " ".join(users[:5])},
                )
            change.tx.models.remove(model)

        await self._transactions.write(work)

    def _upload_problem(self, source: FromBackbone) -> NotFound | InvalidArgument | None:
        key, name = keys.uploaded_weights_key(source.upload), names.upload_name(source.upload)
        if self._objects.size(key) is None:
            return NotFound(
                f"{name} does not exist: upload the weights with UploadWeights",
                reason="UPLOAD_NOT_FOUND",
                metadata={"upload": name},
            )
        if wanted := source.recipe.weights_sha256:
            digest = hashlib.sha256()
            for piece in self._objects.stream(key):
                digest.update(piece)
            if (found := digest.hexdigest()) != wanted:
                return InvalidArgument.field(
                    "embedder.embedder.weights_sha256",
                    f"{name} has SHA-256 {found}, not {wanted}",
                    reason="DIGEST_MISMATCH",
                )
        return None


def _used(tx: Records, record: ModelRecord) -> UsedModel:
    return UsedModel(record, tuple(tx.deployments.using(record.digest)))


def _check_free(tx: Records, model: str, source: Source) -> None:
    """Raises AlreadyExists (MODEL_EXISTS), FailedPrecondition (MODEL_BEING_MADE)."""
    name = names.model_name(model)
    known = tx.models.named(model)
    if known is not None and (is_external(known) or not source.may_give(tx, known)):
        raise AlreadyExists(
            f"{name} exists with other parts, and models never change: take another name",
            reason="MODEL_EXISTS",
            metadata={"model": name},
        )
    for each in tx.operations.active():
        if each.kind is OperationKind.CREATE_MODEL and each.request["model"] == model:
            raise FailedPrecondition(
                f"{name} is being made by {names.operation_name(each.id)}: wait for it",
                reason="MODEL_BEING_MADE",
                metadata={"model": name, "operation": names.operation_name(each.id)},
            )


def _checked(
    kind: OperationKind, catalog: str, request: dict[str, object], now: datetime
) -> Operation:
    return Operation(
        id=names.new_id(),
        kind=kind,
        catalog=catalog,
        revision=0,
        state=OperationState.SUCCEEDED,
        request=request,
        counts=ImportCounts(),
        create_time=now,
        update_time=now,
        end_time=now,
    )
