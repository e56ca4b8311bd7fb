"""Operations as google.longrunning messages with typed metadata."""

from collections.abc import Iterator

from google.longrunning import operations_pb2
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message

from services.core.domain import errors, names
from services.core.domain.import_rules import MAX_REMOVALS, ImportRules
from services.core.domain.operations import (
    ImportCounts,
    Operation,
    OperationKind,
    OperationState,
)
from services.core.runtime.grpc_errors import to_status
from services.gateway.servicers.conversions import timestamp
from services.gateway.servicers.model_conversions import made_deployment, made_model
from shelflens.v1 import catalogs_pb2 as pb
from shelflens.v1 import evaluation_pb2 as evaluations
from shelflens.v1 import models_pb2 as models

_MODEL_KINDS = (OperationKind.CREATE_MODEL, OperationKind.DEPLOY, OperationKind.DROP_DEPLOYMENT)
# What they made is a resource, or gone.
_EMPTY = (
    OperationKind.DELETE_CATALOG,
    OperationKind.DROP_DEPLOYMENT,
    OperationKind.CREATE_DATASET,
    OperationKind.EVALUATE,
)


def operation_message(operation: Operation) -> operations_pb2.Operation:
    """Done ones carry a response, or an error status with the reason."""
    message = operations_pb2.Operation(
        name=names.operation_name(operation.id), done=operation.state.done
    )
    message.metadata.Pack(_metadata(operation))
    match operation.state:
        case OperationState.SUCCEEDED:
            message.response.Pack(_response(operation))
        case OperationState.FAILED | OperationState.CANCELLED:
            message.error.CopyFrom(to_status(_failure(operation)))
    return message


def _metadata(operation: Operation) -> Message:
    catalog = names.catalog_name(operation.catalog)
    if operation.kind is OperationKind.DELETE_CATALOG:
        return pb.DeleteCatalogMetadata(
            catalog=catalog, create_time=timestamp(operation.create_time)
        )
    if operation.kind is OperationKind.ERASE_CONTENT:
        return pb.EraseContentMetadata(
            catalog=catalog,
            target=operation.request["target"],
            create_time=timestamp(operation.create_time),
        )
    if operation.kind in _MODEL_KINDS:
        return _model_metadata(operation)
    if operation.kind is OperationKind.CREATE_DATASET:
        return evaluations.CreateDatasetMetadata(
            dataset=names.dataset_name(operation.request["dataset"]),
            create_time=timestamp(operation.create_time),
        )
    if operation.kind is OperationKind.EVALUATE:
        return evaluations.EvaluateMetadata(
            evaluation=names.evaluation_name(operation.request["evaluation"]),
            step=operation.result.get("step", ""),
            create_time=timestamp(operation.create_time),
        )
    return pb.ImportProductsMetadata(
        catalog=catalog,
        display_name=operation.request.get("display_name", ""),
        state=operation.state.value,
        revision=operation.revision,
        counts=_counts(operation.counts),
        total_row_count=operation.total_rows,
        create_time=timestamp(operation.create_time),
        update_time=timestamp(operation.update_time),
        validate_only=operation.request.get("validate_only", False),
    )


def _model_metadata(operation: Operation) -> Message:
    request, counts = operation.request, operation.counts
    create_time = timestamp(operation.create_time)
    if operation.kind is OperationKind.CREATE_MODEL:
        return models.CreateModelMetadata(
            model=names.model_name(request["model"]),
            images_embedded=counts.images_embedded,
            create_time=create_time,
        )
    deployment = names.deployment_name(operation.catalog, request["deployment"])
    if operation.kind is OperationKind.DROP_DEPLOYMENT:
        return models.DeleteDeploymentMetadata(deployment=deployment, create_time=create_time)
    return models.DeployModelMetadata(
        deployment=deployment,
        step=operation.result.get("step", "embedding"),
        image_count=request["image_count"],
        images_embedded=counts.images_embedded,
        points_indexed=counts.points_indexed,
        create_time=create_time,
    )


def _response(operation: Operation) -> Message:
    if operation.kind in _EMPTY:
        return Empty()
    if operation.kind is OperationKind.CREATE_MODEL:
        return made_model(operation.result, operation.request["model"])
    if operation.kind is OperationKind.DEPLOY:
        return made_deployment(operation.result, operation.counts.points_indexed)
    if operation.kind is OperationKind.ERASE_CONTENT:
        counts = ("image_count", "object_count", "shared_count")
        return pb.EraseContentResponse(**{name: operation.result[name] for name in counts})
    return pb.ImportProductsResponse(
        counts=_counts(operation.counts),
        rejections=[
            pb.Rejection(
                row=each["row"],
                reason=each["reason"],
                field=each["field"],
                value=each["value"],
                sku=each.get("sku", ""),
                row_rejected=each.get("row_rejected", True),
            )
            for each in operation.result.get("rejections", ())
        ],
        errors_uri=operation.result.get("errors_uri", ""),
        prune=pb.PruneResult(**prune) if (prune := operation.result.get("prune")) else None,
        stages=[
            pb.StageTime(
                stage=stage, task_count=tasks, item_count=items, busy_seconds=milliseconds / 1e3
            )
            for stage, (tasks, items, milliseconds) in _stages(operation)
        ],
        changes=[pb.ProductChange(**each) for each in operation.result.get("changes", ())],
    )


def _stages(operation: Operation) -> list[tuple[str, tuple[int, int, float]]]:
    """Those that ran, in their order."""
    order = ("manifest", "rows", "embed", "index")
    stages = operation.result.get("stages", {})
    return [(stage, stages[stage]) for stage in order if stage in stages]


def read_rules(request: pb.ImportProductsRequest) -> ImportRules:
    """Raises InvalidArgument for values out of range."""
    model = request.embeddings_model
    return ImportRules(
        prune=request.prune,
        max_removals=request.max_removals if request.HasField("max_removals") else MAX_REMOVALS,
        row_count=request.row_count,
        validate_only=request.validate_only,
        max_errors=request.max_errors if request.HasField("max_errors") else None,
        fold_duplicates=request.fold_duplicates,
        by_reference=request.by_reference,
        embeddings_model=names.parse(model, "models/*", "embeddings_model")[0] if model else "",
    )


def _counts(counts: ImportCounts) -> pb.ImportCounts:
    return pb.ImportCounts(**counts.to_json())


def _leaves(kind: type[errors.ShelflensError]) -> Iterator[type[errors.ShelflensError]]:
    for child in kind.__subclasses__():
        yield from _leaves(child)
        yield child


_BY_REASON = {kind.default_reason: kind for kind in _leaves(errors.ShelflensError)}


def _failure(operation: Operation) -> errors.ShelflensError:
    """The error that ended the operation: by its reason, which the tree knows or a suffix tells."""
    metadata = {"operation": operation.id}
    name = names.operation_name(operation.id)
    if operation.state is OperationState.CANCELLED:
        return errors.Cancelled(f"{name} was cancelled", reason="CANCELLED", metadata=metadata)
    reason = operation.error_reason
    kind = _BY_REASON.get(reason)
    if kind is None and reason.endswith("_NOT_FOUND"):
        kind = errors.NotFound
    if kind is None:
        prefixes = {"MANIFEST_": errors.InvalidManifest, "STORAGE_": errors.Unavailable}
        kind = next((k for p, k in prefixes.items() if reason.startswith(p)), None)
    return (kind or errors.FailedPrecondition)(
        f"{name} failed: {operation.error_message or reason}", reason=reason, metadata=metadata
    )
