"""Long-running operations: their metadata and responses by type."""

from collections.abc import Callable
from typing import Any

from shelflens import values
from shelflens.convert import evaluations, models
from shelflens.convert.fields import time
from shelflens.convert.imports import import_metadata, import_response
from shelflens.faults import from_status
from shelflens.v1 import catalogs_pb2, evaluation_pb2, models_pb2


def operation(message: Any) -> values.Operation:
    """A google.longrunning.Operation; metadata of a type unknown to this client is tolerated."""
    error = from_status(message.error) if message.HasField("error") else None
    kind = _type(message.metadata)
    state = "RUNNING" if not message.done else "SUCCEEDED" if error is None else "FAILED"
    found: dict[str, Any] = {}
    if read := _METADATA.get(kind):
        kind, found = read(message.metadata)
    if message.HasField("response") and (take := _RESPONSES.get(_type(message.response))):
        found |= take(message.response)
    if error is not None and error.code == "CANCELLED":
        state = "CANCELLED"
    found["state"] = found.get("state") or state
    return values.Operation(name=message.name, kind=kind, done=message.done, error=error, **found)


def _type(packed: Any) -> str:
    name: str = packed.type_url.rpartition("/")[2]
    return name


def _delete_metadata(packed: Any) -> tuple[str, dict[str, Any]]:
    message = catalogs_pb2.DeleteCatalogMetadata()
    packed.Unpack(message)
    found = {"catalog": message.catalog, "create_time": time(message, "create_time")}
    return "delete_catalog", found


def _erase_metadata(packed: Any) -> tuple[str, dict[str, Any]]:
    message = catalogs_pb2.EraseContentMetadata()
    packed.Unpack(message)
    return "erase_content", {
        "catalog": message.catalog,
        "target": message.target,
        "create_time": time(message, "create_time"),
    }


def _erase_response(packed: Any) -> dict[str, Any]:
    message = catalogs_pb2.EraseContentResponse()
    packed.Unpack(message)
    counts = (message.image_count, message.object_count, message.shared_count)
    return {"erased": values.Erasure(*counts)}


_METADATA: dict[str, Callable[[Any], tuple[str, dict[str, Any]]]] = {
    catalogs_pb2.ImportProductsMetadata.DESCRIPTOR.full_name: import_metadata,
    catalogs_pb2.DeleteCatalogMetadata.DESCRIPTOR.full_name: _delete_metadata,
    catalogs_pb2.EraseContentMetadata.DESCRIPTOR.full_name: _erase_metadata,
    evaluation_pb2.CreateDatasetMetadata.DESCRIPTOR.full_name: evaluations.dataset_metadata,
    evaluation_pb2.EvaluateMetadata.DESCRIPTOR.full_name: evaluations.evaluate_metadata,
    models_pb2.CreateModelMetadata.DESCRIPTOR.full_name: models.create_metadata,
    models_pb2.DeployModelMetadata.DESCRIPTOR.full_name: models.deploy_metadata,
    models_pb2.DeleteDeploymentMetadata.DESCRIPTOR.full_name: models.delete_metadata,
}
_RESPONSES: dict[str, Callable[[Any], dict[str, Any]]] = {
    catalogs_pb2.ImportProductsResponse.DESCRIPTOR.full_name: import_response,
    catalogs_pb2.EraseContentResponse.DESCRIPTOR.full_name: _erase_response,
    models_pb2.Model.DESCRIPTOR.full_name: models.model_response,
    models_pb2.Deployment.DESCRIPTOR.full_name: models.deployment_response,
}
