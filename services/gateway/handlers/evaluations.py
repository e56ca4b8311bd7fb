"""Use cases of evaluations and of the calibrations that they make."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from services.core.domain import keys, names
from services.core.domain.errors import FailedPrecondition, InvalidArgument, NotFound
from services.core.domain.evaluation import EvaluationOptions
from services.core.domain.evaluation_requests import evaluation_request
from services.core.domain.operations import Operation, OperationKind, OperationState
from services.core.domain.stages import Stages
from services.core.evaluation_ports import (
    CalibrationRecord,
    EvaluatedModel,
    Evaluation,
)
from services.core.object_removal import remove_below
from services.core.ports import ObjectStore
from services.core.record_ports import Records
from services.gateway.handlers.model_sources import embedding_model
from services.gateway.handlers.ready_datasets import check_dataset
from services.gateway.handlers.threads import Threads
from services.gateway.handlers.transactions import A, Change, Once, Transactions

MOST_MODELS = 10
_MOST_NAMES = 1_000


@dataclass(frozen=True, slots=True)
class NewEvaluation:
    """Models (ids) to be measured on a dataset (id), the first is what others are compared with.

    Raises InvalidArgument (MODELS_MISSING, TOO_MANY_MODELS, MODEL_TWICE).
    """

    dataset: str
    models: tuple[str, ...]
    stages: Stages = field(default_factory=Stages)
    options: EvaluationOptions = field(default_factory=EvaluationOptions)

    def __post_init__(self) -> None:
        if not self.models:
            raise InvalidArgument.field("models", "name at least one", reason="MODELS_MISSING")
        if len(self.models) > MOST_MODELS:
            raise InvalidArgument.field(
                "models", f"are more than {MOST_MODELS}", reason="TOO_MANY_MODELS"
            )
        if len(set(self.models)) < len(self.models):
            raise InvalidArgument.field("models", "name one twice", reason="MODEL_TWICE")


@dataclass(frozen=True, slots=True)
class Watched:
    """An evaluation, and what it is doing, which is empty once it is done."""

    evaluation: Evaluation
    step: str = ""


class Evaluations:
    """Starts, reads, watches, cancels and removes evaluations. `interval` seconds lie between two
    looks at one that is watched."""

    def __init__(
        self,
        transactions: Transactions,
        objects: ObjectStore,
        threads: Threads,
        interval: float,
    ) -> None:
        self._transactions = transactions
        self._objects = objects
        self._threads = threads
        self._interval = interval

    async def create(self, wanted: NewEvaluation, once: Once[Watched, A]) -> A:
        """Starts it.

        Raises NotFound (DATASET_NOT_FOUND, MODEL_NOT_FOUND, CATALOG_NOT_FOUND), FailedPrecondition
        (DATASET_UNFINISHED, DATASET_FAILED, TOO_FEW_QUERIES, MODEL_HAS_NO_EMBEDDER).
        """

        def work(change: Change) -> Watched:
            tx = change.tx
            dataset = tx.datasets.get(wanted.dataset)
            check_dataset(dataset, wanted.options)
            tx.catalogs.deployment(dataset.catalog)
            models = tuple(_model(tx, each) for each in wanted.models)
            id_ = names.new_id()
            request = evaluation_request(id_)
            operation = change.operation(OperationKind.EVALUATE, dataset.catalog, 0, request)
            made = Evaluation(
                id=id_,
                dataset=dataset.id,
                catalog=dataset.catalog,
                stages=wanted.stages.key,
                options=wanted.options.to_json(),
                models=models,
                operation=operation.id,
                state=OperationState.QUEUED,
                create_time=change.now,
            )
            tx.evaluations.add(made)
            return Watched(made)

        return await self._transactions.write_once(work, once)

    async def get(self, evaluation: str) -> Watched:
        """Raises NotFound (EVALUATION_NOT_FOUND)."""
        return await self._transactions.read(lambda tx: _watched(tx, evaluation))

    async def page(self, after: str, limit: int, dataset: str) -> list[Watched]:
        """Newest first, those after the id `after`; `dataset` may be empty for all."""
        found = await self._transactions.read(lambda tx: tx.evaluations.page(after, limit, dataset))
        return [Watched(each) for each in found]

    async def watch(self, evaluation: str) -> AsyncIterator[Watched]:
        """It as it is now, and whenever it has changed, until it is done. Raises NotFound."""
        last: Watched | None = None
        while last is None or not last.evaluation.state.done:
            now = await self.get(evaluation)
            if now != last:
                yield now
            last = now
            if not now.evaluation.state.done:
                await asyncio.sleep(self._interval)

    async def cancel(self, evaluation: str) -> Watched:
        """Asks for its end; one that is done stays as it is. Raises NotFound."""

        def work(change: Change) -> Watched:
            found = change.tx.evaluations.get(evaluation)
            if not found.state.done:
                change.operations.append(change.tx.operations.cancel(found.operation, change.now))
            return _watched(change.tx, evaluation)

        return await self._transactions.write(work)

    async def delete(self, evaluation: str) -> None:
        """Removes it with its report. Raises NotFound, FailedPrecondition (EVALUATION_RUNNING)."""

        def work(change: Change) -> None:
            change.tx.evaluations.remove(evaluation)

        await self._transactions.write(work)
        prefix = keys.evaluation_prefix(evaluation)
        await self._threads.call(remove_below, self._objects, prefix)

    async def report(self, evaluation: str) -> AsyncIterator[bytes]:
        """The HTML file in pieces of at most 1 MiB.

        Raises NotFound (EVALUATION_NOT_FOUND, REPORT_NOT_FOUND), FailedPrecondition
        (EVALUATION_UNFINISHED).
        """
        found = (await self.get(evaluation)).evaluation
        if not found.state.done:
            raise FailedPrecondition(
                f"{names.evaluation_name(evaluation)} is not done: the report comes at the end",
                reason="EVALUATION_UNFINISHED",
                metadata={"evaluation": evaluation},
            )
        try:
            if not found.report:
                raise NotFound("it came to nothing")
            pieces = await self._threads.call(self._objects.stream, found.report)
        except NotFound as error:
            raise NotFound(
                f"{names.evaluation_name(evaluation)} has no report: {error.message}",
                reason="REPORT_NOT_FOUND",
                metadata={"evaluation": evaluation},
            ) from None
        while (piece := await self._threads.call(next, pieces, None)) is not None:
            yield piece

    async def calibrations(self, catalog: str) -> list[tuple[CalibrationRecord, str]]:
        """Newest first, each with the name (id) of its model, empty where that is forgotten.

        Raises NotFound (CATALOG_NOT_FOUND).
        """
        return await self._transactions.read_in(catalog, lambda tx: _calibrations(tx, catalog))

    async def delete_calibration(self, catalog: str, calibration: str) -> None:
        """Raises NotFound (CATALOG_NOT_FOUND, CALIBRATION_NOT_FOUND)."""

        def work(change: Change) -> None:
            tx = change.tx
            tx.catalogs.deployment(catalog)
            for each in tx.calibrations.page(catalog):
                name = names.calibration_name(catalog, each.model_digest, each.stages)
                if name.endswith(f"/{calibration}"):
                    tx.calibrations.remove(catalog, each.model_digest, each.stages)
                    return
            raise NotFound(
                f"catalogs/{catalog}/calibrations/{calibration} does not exist",
                reason="CALIBRATION_NOT_FOUND",
                metadata={"catalog": catalog, "calibration": calibration},
            )

        await self._transactions.write(work)


def _model(tx: Records, model: str) -> EvaluatedModel:
    record = tx.models.get(model)
    embedding_model(record)
    return EvaluatedModel(model=record.name, digest=record.digest)


def _watched(tx: Records, evaluation: str) -> Watched:
    found = tx.evaluations.get(evaluation)
    if found.state.done:
        return Watched(found)
    operation: Operation = tx.operations.get(found.operation)
    return Watched(found, str(operation.result.get("step", "")))


def _calibrations(tx: Records, catalog: str) -> list[tuple[CalibrationRecord, str]]:
    known = {each.digest: each.name for each in tx.models.page("", _MOST_NAMES)}
    return [(each, known.get(each.model_digest, "")) for each in tx.calibrations.page(catalog)]
