"""Models and deployments between domain and proto."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from services.core.deployment_ports import Deployment, DeploymentState, ModelRecord
from services.core.domain import names
from services.core.domain.errors import InvalidArgument, NotFound
from services.core.domain.evaluation import Gate
from services.core.domain.external_model import is_external
from services.core.domain.model import BUILT_IN, LinearSpec, Member, Model
from services.core.domain.model_spec import ModelSpec
from services.core.domain.recipes import EmbedderRecipe
from services.gateway.handlers.deployments import Shown, Wish
from services.gateway.handlers.model_sources import FromBackbone, FromModel, FromSeveral, Source
from services.gateway.handlers.models import UsedModel
from services.gateway.servicers.conversions import timestamp
from shelflens.v1 import models_pb2 as pb

MODEL = "models/*"
CATALOG = "catalogs/*"
DEPLOYMENT = "catalogs/*/deployments/*"
_DEFAULT = EmbedderRecipe(backbone="")
_STATES = {
    DeploymentState.BUILDING: pb.DEPLOYMENT_STATE_BUILDING,
    DeploymentState.LIVE: pb.DEPLOYMENT_STATE_LIVE,
    DeploymentState.KEPT: pb.DEPLOYMENT_STATE_KEPT,
    DeploymentState.GONE: pb.DEPLOYMENT_STATE_GONE,
}


def read_source(request: pb.CreateModelRequest) -> Source:
    """Raises InvalidArgument, with SOURCE_MISSING when none is set."""
    match request.WhichOneof("source"):
        case "embedder":
            weights = request.embedder.weights
            upload = names.parse(weights, "uploads/*", "embedder.weights")[0] if weights else ""
            return FromBackbone(_recipe(request), upload)
        case "linear":
            linear = request.linear
            return FromModel(
                model=names.parse(linear.model, MODEL, "linear.model")[0],
                catalog=names.parse(linear.catalog, CATALOG, "linear.catalog")[0],
                method=linear.method or "whitening",
                dimension=linear.dimension,
                shrinkage=linear.shrinkage,
                norms=linear.unnormalised_input,
                distance=request.distance,
                unnormalised=request.unnormalised,
            )
        case "ensemble":
            given = request.ensemble.models
            models = tuple(names.parse(each, MODEL, "ensemble.models")[0] for each in given)
            return FromSeveral(models, request.distance, request.unnormalised)
        case _:
            raise InvalidArgument.field(
                "source", "set embedder, linear or ensemble", reason="SOURCE_MISSING"
            )


def _recipe(request: pb.CreateModelRequest) -> EmbedderRecipe:
    """What is left empty has its default."""
    asked = request.embedder.embedder
    return EmbedderRecipe(
        backbone=asked.backbone,
        weights_sha256=asked.weights_sha256,
        pooling=asked.pooling or _DEFAULT.pooling,
        resolutions=tuple(asked.resolutions),
        fit=asked.fit or _DEFAULT.fit,
        flip=asked.flip,
        autocrop=asked.autocrop,
        gem_p=asked.gem_p or _DEFAULT.gem_p,
        lca_average=asked.lca_average or _DEFAULT.lca_average,
        rmac_levels=asked.rmac_levels or _DEFAULT.rmac_levels,
        head_dim=asked.head_dim,
        distance=request.distance or _DEFAULT.distance,
        normalised=not request.unnormalised,
        precision=asked.precision,
    )


def model_message(used: UsedModel) -> pb.Model:
    record, spec = used.record, used.record.spec
    message = pb.Model(
        name=names.model_name(record.name),
        digest=record.digest,
        embedding_dimension=spec["embedding_dim"],
        distance=spec["distance"],
        normalised=spec["normalised"],
        external=is_external(spec),
        create_time=timestamp(record.create_time),
        deployments=[names.deployment_name(e.catalog, e.number) for e in used.deployments],
        notes=record.notes,
        built_in=record.name in BUILT_IN,
    )
    if not message.external:
        model = Model.from_dict(dict(spec))
        message.members.extend(map(_member, model.members))
        if model.linear:
            message.linear.CopyFrom(_linear(model.linear))
    return message


def made_model(result: Mapping[str, Any], model: str) -> pb.Model:
    """From the result of an operation; of one that only checked, the name is all."""
    if "model" not in result:
        return pb.Model(name=names.model_name(model))
    made = dict(result["model"])
    made |= {
        "create_time": datetime.fromisoformat(made["create_time"]),
        "notes": tuple(made.get("notes", ())),
    }
    return model_message(UsedModel(ModelRecord(**made), ()))


def read_wish(request: pb.DeployModelRequest) -> Wish:
    """Raises InvalidArgument."""
    storage: dict[str, Any] = {}
    if request.quantization:
        storage["quantization"] = request.quantization
    if request.on_disk:
        storage["on_disk"] = True
    return Wish(
        model=names.parse(request.model, MODEL, "model")[0],
        storage=storage,
        compare_searches=request.compare_searches,
        compare_seconds=request.compare_seconds,
        discard_old=request.discard_old,
        gate=_gate(request.gate) if request.HasField("gate") else None,
    )


def _gate(message: pb.DeployGate) -> Gate:
    """Raises InvalidArgument (GATE_INVALID)."""
    return Gate(
        dataset=names.parse(message.dataset, "datasets/*", "gate.dataset")[0],
        metric=message.metric or "map@10",
        minimum=message.minimum_difference,
        override=message.override,
    )


def deployment_ids(name: str) -> tuple[str, int]:
    """Catalogue and number. Raises InvalidArgument, NotFound (DEPLOYMENT_NOT_FOUND)."""
    catalog, number = names.parse(name, DEPLOYMENT)
    if not (number.isdecimal() and number.isascii() and len(number) <= 9):
        raise NotFound(
            f"{name} does not exist: deployments are numbered from 1",
            reason="DEPLOYMENT_NOT_FOUND",
            metadata={"deployment": name},
        )
    return catalog, int(number)


def deployment_message(shown: Shown) -> pb.Deployment:
    each = shown.deployment
    comparison = each.comparison
    return pb.Deployment(
        name=names.deployment_name(each.catalog, each.number),
        model=names.model_name(each.model),
        model_digest=each.model_digest,
        collection=each.collection,
        state=_STATES[each.state],
        create_time=timestamp(each.create_time),
        switch_time=timestamp(each.switch_time),
        image_count=shown.images,
        quantization=each.storage.get("quantization") or "",
        on_disk=each.storage.get("on_disk") or False,
        shared=each.shared,
        comparison=pb.Comparison(**comparison) if comparison else None,
        gate=pb.GateOutcome(**each.gate) if each.gate else None,
    )


def made_deployment(result: Mapping[str, Any], images: int) -> pb.Deployment:
    """From the result of an operation; `images` are in its collection."""
    made = dict(result["deployment"])
    times = ("create_time", "index_time", "switch_time")
    made |= {k: datetime.fromisoformat(made[k]) if made.get(k) else None for k in times}
    made["state"] = DeploymentState(made["state"])
    return deployment_message(Shown(Deployment(**made), images))


def _member(member: Member) -> pb.ModelMember:
    return pb.ModelMember(
        embedder_digest=member.embedder.digest,
        embedder=_embedder(member.embedder),
        linear=_linear(member.linear) if member.linear else None,
    )


def _embedder(spec: ModelSpec) -> pb.Embedder:
    return pb.Embedder(
        backbone=spec.backbone,
        pooling=spec.pooling,
        resolutions=spec.resolutions,
        fit=spec.fit,
        flip=spec.flip,
        autocrop=spec.autocrop,
        gem_p=spec.gem_p,
        lca_average=spec.lca_average,
        rmac_levels=spec.rmac_levels,
        head_dim=spec.head_dim,
        precision=spec.precision,
        weights_sha256=spec.weights_sha256,
        embedding_dimension=spec.embedding_dim,
    )


def _linear(spec: LinearSpec) -> pb.LinearPart:
    return pb.LinearPart(
        sha256=spec.sha256, input_dimension=spec.input_dim, output_dimension=spec.output_dim
    )
