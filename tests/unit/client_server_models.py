# ruff: noqa: N802 - the methods are named by the contract
"""The models and deployments of the tests' server."""

import hashlib
from collections.abc import Iterator
from typing import Any

from google.protobuf.empty_pb2 import Empty

from shelflens.v1 import models_pb2 as pb
from tests.unit.test_client_server_state import ServerState

_DIMENSION = 1024


class ModelMethods(ServerState):
    """`created` and `deployed` hold the requests, `uploads` files by name; a file with `evil` in it
    is refused. Models and deployments are there as soon as their operation is."""

    def __init__(self) -> None:
        super().__init__()
        self.models: dict[str, pb.Model] = {}
        self.deployments: dict[str, pb.Deployment] = {}
        self.uploads: dict[str, bytes] = {}
        self.upload_heads: list[pb.UploadWeightsRequest] = []
        self.created: list[pb.CreateModelRequest] = []
        self.deployed: list[pb.DeployModelRequest] = []
        self.comparison: pb.Comparison | None = None

    def CreateModel(self, request: pb.CreateModelRequest, context: Any) -> Any:
        self.enter("CreateModel", context, request)
        self.created.append(request)
        name = f"models/{request.model_id}"
        if request.WhichOneof("source") == "linear":
            self.find(context, "models", request.linear.model)
        operation = self.start(pb.CreateModelMetadata(model=name, images_embedded=3))
        if request.validate_only:
            operation.done = True
        else:
            self.models[name] = self.made(name, request)
            operation.response.Pack(self.models[name])
        return self.public(operation)

    def made(self, name: str, request: pb.CreateModelRequest) -> pb.Model:
        model = pb.Model(
            name=name,
            distance=request.distance or "cosine",
            normalised=True,
            built_in=name == "models/base",
        )
        model.digest = hashlib.sha256(request.SerializeToString()).hexdigest()
        model.create_time.FromSeconds(1_700_000_000)
        match request.WhichOneof("source"):
            case "embedder":
                member = model.members.add(embedder_digest="e" * 64)
                member.embedder.CopyFrom(request.embedder.embedder)
                member.embedder.embedding_dimension = _DIMENSION
                model.notes.append("left out: fc\x1b[2J")
            case "linear":
                model.members.extend(self.models[request.linear.model].members)
                kept = request.linear.dimension or _DIMENSION
                part = pb.LinearPart(
                    sha256="f" * 64, input_dimension=_DIMENSION, output_dimension=kept
                )
                model.members[0].linear.CopyFrom(part)
            case _:
                for each in request.ensemble.models:
                    model.members.extend(self.models[each].members)
        model.embedding_dimension = sum(
            each.linear.output_dimension or _DIMENSION for each in model.members
        )
        return model

    def GetModel(self, request: pb.GetModelRequest, context: Any) -> Any:
        self.enter("GetModel", context)
        return self.find(context, "models", request.name)

    def ListModels(self, request: pb.ListModelsRequest, context: Any) -> Any:
        self.enter("ListModels", context)
        items, token = self.page(request, self.models)
        return pb.ListModelsResponse(models=items, next_page_token=token)

    def DeleteModel(self, request: pb.DeleteModelRequest, context: Any) -> Any:
        self.enter("DeleteModel", context)
        if self.find(context, "models", request.name).deployments:
            self.fail(context, "FAILED_PRECONDITION", "MODEL_IN_USE", f"{request.name} is deployed")
        del self.models[request.name]
        return Empty()

    def UploadWeights(self, requests: Iterator[pb.UploadWeightsRequest], context: Any) -> Any:
        self.enter("UploadWeights", context)
        first = next(requests)
        self.upload_heads.append(first)
        pieces = [first.data]
        for each in requests:
            pieces.append(each.data)
            if len(each.data) > 1 << 20 or each.filename or b"evil" in each.data:
                self.fail(context, "INVALID_ARGUMENT", "WEIGHTS_UNSAFE", "they hold code")
        data = b"".join(pieces)
        if hashlib.sha256(data).hexdigest() != first.sha256 or len(data) != first.size_bytes:
            self.fail(context, "INVALID_ARGUMENT", "DIGEST_MISMATCH", "the weights differ")
        name = f"uploads/u{len(self.uploads)}"
        self.uploads[name] = data
        return pb.UploadWeightsResponse(name=name)

    def DeployModel(self, request: pb.DeployModelRequest, context: Any) -> Any:
        self.enter("DeployModel", context, request)
        model = self.find(context, "models", request.model)
        self.deployed.append(request)
        number = 1 + sum(each.startswith(request.catalog + "/") for each in self.deployments)
        deployment = pb.Deployment(
            name=f"{request.catalog}/deployments/{number}",
            model=request.model,
            model_digest=model.digest,
            collection=f"c{number}",
            quantization=request.quantization,
            on_disk=request.on_disk,
            image_count=10,
        )
        self.go_live(deployment)
        if self.comparison is not None:
            deployment.comparison.CopyFrom(self.comparison)
        self.deployments[deployment.name] = deployment
        model.deployments.append(deployment.name)
        operation = self.start(pb.DeployModelMetadata(deployment=deployment.name))
        operation.response.Pack(deployment)
        return self.public(operation)

    def go_live(self, deployment: pb.Deployment) -> None:
        for each in self.deployments.values():
            if each.state == pb.DEPLOYMENT_STATE_LIVE:
                each.state = pb.DEPLOYMENT_STATE_KEPT
        deployment.state = pb.DEPLOYMENT_STATE_LIVE
        deployment.switch_time.FromSeconds(1_700_000_000 + len(self.deployments))

    def ListDeployments(self, request: pb.ListDeploymentsRequest, context: Any) -> Any:
        self.enter("ListDeployments", context)
        found = [v for k, v in self.deployments.items() if k.startswith(request.parent + "/")]
        items, token = self.page(request, {f"{i:09}": v for i, v in enumerate(reversed(found))})
        return pb.ListDeploymentsResponse(deployments=items, next_page_token=token)

    def RollbackDeployment(self, request: pb.RollbackDeploymentRequest, context: Any) -> Any:
        self.enter("RollbackDeployment", context)
        if "/deployments/" in request.name:
            found = self.find(context, "deployments", request.name)
        else:
            kept = [v for k, v in self.deployments.items() if k.startswith(request.name + "/")]
            kept = [each for each in kept if each.state == pb.DEPLOYMENT_STATE_KEPT]
            if not kept:
                self.fail(context, "FAILED_PRECONDITION", "NOTHING_KEPT", "nothing to go back to")
            found = max(kept, key=lambda each: each.switch_time.seconds)
        self.go_live(found)
        return found

    def DeleteDeployment(self, request: pb.DeleteDeploymentRequest, context: Any) -> Any:
        self.enter("DeleteDeployment", context)
        found = self.find(context, "deployments", request.name)
        if found.state == pb.DEPLOYMENT_STATE_LIVE:
            self.fail(context, "FAILED_PRECONDITION", "DEPLOYMENT_LIVE", "it is live")
        found.state = pb.DEPLOYMENT_STATE_GONE
        operation = self.start(pb.DeleteDeploymentMetadata(deployment=request.name))
        operation.response.Pack(Empty())
        return self.public(operation)
