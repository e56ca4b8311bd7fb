"""Models and their deployments. Names work with and without `models/` and `catalogs/` in front."""

from typing import Unpack

from shelflens import convert, values
from shelflens.calls.call import Call, Pages, new_request_id, nothing
from shelflens.model_options import (
    DeployOptions,
    ModelOptions,
    check_deploy_options,
    check_model_options,
)
from shelflens.names import catalog_name, dataset_name, deployment_name, model_id, model_name
from shelflens.v1 import models_pb2


def create_model(model: str, **options: Unpack[ModelOptions]) -> Call[values.Operation]:
    """Starts making a model of a backbone, of another model, or of several; see ModelOptions.

    `wait_operation` waits until its weights are checked or its whitening is fitted; the operation's
    `model` is what was made.
    """
    source = check_model_options(options)
    request = models_pb2.CreateModelRequest(
        model_id=model_id(model),
        distance=options.get("distance") or "",
        unnormalised=options.get("unnormalised", False),
        request_id=new_request_id(),
        validate_only=options.get("validate_only", False),
    )
    match source:
        case "backbone":
            request.embedder.CopyFrom(_embedder(options))
        case "base":
            request.linear.CopyFrom(_linear(options))
        case _:
            request.ensemble.models.extend(model_name(each) for each in options["ensemble"])
    return Call("models", "CreateModel", request, convert.operation)


def get_model(model: str) -> Call[values.Model]:
    """Reads one model."""
    request = models_pb2.GetModelRequest(name=model_name(model))
    return Call("models", "GetModel", request, convert.model)


def list_models(*, page_size: int = 0) -> Pages[values.Model]:
    """All models, in the order of their names."""
    request = models_pb2.ListModelsRequest(page_size=page_size)
    return Pages("models", "ListModels", request, "models", convert.model)


def delete_model(model: str) -> Call[None]:
    """Forgets a model that no deployment uses."""
    request = models_pb2.DeleteModelRequest(name=model_name(model))
    return Call("models", "DeleteModel", request, nothing)


def deploy(catalog: str, model: str, **options: Unpack[DeployOptions]) -> Call[values.Operation]:
    """Starts filling a collection by `model`; search switches to it in one step once it is checked.

    `wait_operation` waits for the switch, and the operation's `deployment` is then live. See
    DeployOptions.
    """
    check_deploy_options(options)
    request = models_pb2.DeployModelRequest(
        catalog=catalog_name(catalog),
        model=model_name(model),
        quantization=options.get("quantization") or "",
        on_disk=options.get("on_disk", False),
        compare_searches=options.get("compare_searches") or 0,
        compare_seconds=options.get("compare_seconds") or 0,
        discard_old=options.get("discard_old", False),
        request_id=new_request_id(),
        gate=_gate(options, gate) if (gate := options.get("gate")) else None,
    )
    return Call("models", "DeployModel", request, convert.operation)


def _gate(options: DeployOptions, dataset: str) -> models_pb2.DeployGate:
    return models_pb2.DeployGate(
        dataset=dataset_name(dataset),
        metric=options.get("metric") or "",
        minimum_difference=options.get("min_difference") or 0.0,
        override=options.get("override", False),
    )


def list_deployments(catalog: str, *, page_size: int = 0) -> Pages[values.Deployment]:
    """All deployments of a catalogue, newest first."""
    request = models_pb2.ListDeploymentsRequest(parent=catalog_name(catalog), page_size=page_size)
    return Pages("models", "ListDeployments", request, "deployments", convert.deployment)


def rollback(catalog: str, number: int | None = None) -> Call[values.Deployment]:
    """Switches back to the deployment that was live before, or to that `number`, at once.

    It must be kept. Returns it.
    """
    name = catalog_name(catalog) if number is None else deployment_name(catalog, number)
    request = models_pb2.RollbackDeploymentRequest(name=name, request_id=new_request_id())
    return Call("models", "RollbackDeployment", request, convert.deployment)


def delete_deployment(catalog: str, number: int) -> Call[values.Operation]:
    """Starts removing the collection of a deployment that is kept."""
    request = models_pb2.DeleteDeploymentRequest(name=deployment_name(catalog, number))
    return Call("models", "DeleteDeployment", request, convert.operation)


def _embedder(options: ModelOptions) -> models_pb2.EmbedderSource:
    embedder = models_pb2.Embedder(
        backbone=options.get("backbone") or "",
        pooling=options.get("pooling") or "",
        resolutions=sorted(options.get("resolutions", ())),
        fit=options.get("fit") or "",
        flip=options.get("flip", False),
        autocrop=options.get("autocrop") or 0,
        gem_p=options.get("gem_p") or 0,
        lca_average=options.get("lca_average") or "",
        rmac_levels=options.get("rmac_levels") or 0,
        head_dim=options.get("head_dim") or 0,
        precision=options.get("precision") or "",
        weights_sha256=options.get("weights_sha256") or "",
    )
    return models_pb2.EmbedderSource(embedder=embedder, weights=options.get("weights") or "")


def _linear(options: ModelOptions) -> models_pb2.LinearSource:
    whitening = options.get("whitening_from")
    return models_pb2.LinearSource(
        model=model_name(options.get("base") or ""),
        catalog=catalog_name(whitening or options.get("pca_from") or ""),
        method="whitening" if whitening else "pca",
        dimension=options.get("dimension") or 0,
        shrinkage=options.get("shrinkage") or 0,
        unnormalised_input=options.get("unnormalised_input", False),
    )
