"""Models and deployments."""

from typing import Any

from shelflens import values
from shelflens.convert.fields import state, time
from shelflens.v1 import models_pb2


def model(message: models_pb2.Model) -> values.Model:
    """A model."""
    return values.Model(
        name=message.name,
        digest=message.digest,
        members=tuple(_member(each) for each in message.members),
        linear=_linear(message),
        embedding_dimension=message.embedding_dimension,
        distance=message.distance,
        normalised=message.normalised,
        external=message.external,
        create_time=time(message, "create_time"),
        deployments=tuple(message.deployments),
        notes=tuple(message.notes),
        built_in=message.built_in,
    )


def deployment(message: models_pb2.Deployment) -> values.Deployment:
    """A deployment."""
    comparison = None
    if message.HasField("comparison"):
        found = message.comparison
        comparison = values.Comparison(found.searches, found.same_first, found.overlap_at_10)
    return values.Deployment(
        name=message.name,
        model=message.model,
        model_digest=message.model_digest,
        collection=message.collection,
        state=state(models_pb2.DeploymentState, message.state, "DEPLOYMENT_STATE_"),
        create_time=time(message, "create_time"),
        switch_time=time(message, "switch_time"),
        image_count=message.image_count,
        quantization=message.quantization,
        on_disk=message.on_disk,
        shared=message.shared,
        comparison=comparison,
        gate=_gate(message.gate) if message.HasField("gate") else None,
    )


def _gate(message: models_pb2.GateOutcome) -> values.GateOutcome:
    return values.GateOutcome(
        evaluation=message.evaluation,
        metric=message.metric,
        minimum_difference=message.minimum_difference,
        difference=message.difference,
        low=message.low,
        high=message.high,
        passed=message.passed,
        overridden=message.overridden,
    )


def create_metadata(packed: Any) -> tuple[str, dict[str, Any]]:
    """Kind and fields of the operation that makes a model."""
    message = models_pb2.CreateModelMetadata()
    packed.Unpack(message)
    return "create_model", {
        "target": message.model,
        "progress": values.FillProgress(images_embedded=message.images_embedded),
        "create_time": time(message, "create_time"),
    }


def deploy_metadata(packed: Any) -> tuple[str, dict[str, Any]]:
    """Kind and fields of the operation that deploys a model."""
    message = models_pb2.DeployModelMetadata()
    packed.Unpack(message)
    progress = values.FillProgress(
        message.step, message.image_count, message.images_embedded, message.points_indexed
    )
    return "deploy_model", _of_deployment(message) | {"progress": progress}


def delete_metadata(packed: Any) -> tuple[str, dict[str, Any]]:
    """Kind and fields of the operation that removes a deployment."""
    message = models_pb2.DeleteDeploymentMetadata()
    packed.Unpack(message)
    return "delete_deployment", _of_deployment(message)


def model_response(packed: Any) -> dict[str, Any]:
    """Fields of the operation that made a model."""
    message = models_pb2.Model()
    packed.Unpack(message)
    return {"model": model(message)}


def deployment_response(packed: Any) -> dict[str, Any]:
    """Fields of the operation that deployed a model."""
    message = models_pb2.Deployment()
    packed.Unpack(message)
    return {"deployment": deployment(message)}


def _of_deployment(
    message: models_pb2.DeployModelMetadata | models_pb2.DeleteDeploymentMetadata,
) -> dict[str, Any]:
    return {
        "catalog": message.deployment.rpartition("/deployments/")[0],
        "target": message.deployment,
        "create_time": time(message, "create_time"),
    }


def _member(message: models_pb2.ModelMember) -> values.ModelMember:
    return values.ModelMember(
        message.embedder_digest, _embedder(message.embedder), _linear(message)
    )


def _embedder(message: models_pb2.Embedder) -> values.Embedder:
    return values.Embedder(
        backbone=message.backbone,
        pooling=message.pooling,
        resolutions=tuple(message.resolutions),
        fit=message.fit,
        flip=message.flip,
        autocrop=message.autocrop,
        gem_p=message.gem_p,
        lca_average=message.lca_average,
        rmac_levels=message.rmac_levels,
        head_dim=message.head_dim,
        precision=message.precision,
        weights_sha256=message.weights_sha256,
        embedding_dimension=message.embedding_dimension,
    )


def _linear(message: models_pb2.Model | models_pb2.ModelMember) -> values.LinearPart | None:
    if not message.HasField("linear"):
        return None
    part = message.linear
    return values.LinearPart(part.sha256, part.input_dimension, part.output_dimension)
