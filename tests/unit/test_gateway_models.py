"""Models through the API: shown, listed, forgotten."""

import json
from datetime import UTC, datetime

from google.longrunning import operations_pb2 as lro

from services.core.domain.operations import OperationState
from shelflens.v1 import models_pb2 as pb
from tests.unit.gateway_doubles import MODEL_DIGEST, spec_of
from tests.unit.test_gateway_model_sources import STRONG, create, embedder, put_all
from tests.unit.test_gateway_world import World, refused

pytest_plugins = ("tests.unit.test_gateway_world",)
MISSING = "NOT_FOUND"


async def test_a_made_model_is_shown_with_its_parts(world: World) -> None:
    put_all(world)
    operation = await create(world, **embedder("resnet50", pooling="max"))
    spec = spec_of("ef", backbone="resnet50", pooling="max", resolutions=(192, 224))
    with world.records.begin(write=True) as tx:
        ended = tx.operations.get(operation.name.removeprefix("operations/"))
        ended.state = OperationState.SUCCEEDED
        now = datetime.now(UTC)
        made = {"name": "new", "digest": spec.digest, "spec": spec.to_dict(), "notes": ["mapped"]}
        ended.result = json.loads(json.dumps({"model": made | {"create_time": now.isoformat()}}))
        tx.operations.save(ended)
        tx.models.put("new", spec.digest, spec.to_dict(), now, ["mapped"])
    shown = await world.operations.GetOperation(lro.GetOperationRequest(name=operation.name))
    model = pb.Model()
    assert shown.response.Unpack(model)
    assert model == await world.models.GetModel(pb.GetModelRequest(name="models/new"))
    (member,) = model.members
    assert (model.digest, member.embedder_digest) == (spec.digest, spec.digest)
    assert (member.embedder.pooling, list(member.embedder.resolutions)) == ("max", [192, 224])
    assert (model.embedding_dimension, model.distance, model.normalised) == (8, "cosine", True)
    assert model.notes == ["mapped"]


async def test_models_of_every_kind_are_listed_in_the_order_of_their_names(world: World) -> None:
    put_all(world)
    await world.catalog()
    seen: list[pb.Model] = []
    token = ""
    while not seen or token:
        request = pb.ListModelsRequest(page_size=4, page_token=token)
        answer = await world.models.ListModels(request)
        seen += answer.models
        token = answer.next_page_token
    names = [each.name.removeprefix("models/") for each in seen]
    assert names == ["base", "duo", "duo-white", "outside", "strong", "white"]
    base, duo, duo_white, outside, _, white = seen
    assert list(base.deployments) == ["catalogs/shop/deployments/1"]
    assert [each.embedder_digest for each in duo.members] == [MODEL_DIGEST, STRONG.digest]
    assert (duo.linear.sha256, duo_white.linear.output_dimension) == ("", 3)
    assert (outside.external, outside.embedding_dimension, len(outside.members)) == (True, 3, 0)
    assert white.members[0].linear.output_dimension == white.embedding_dimension == 4


async def test_a_model_in_use_cannot_be_deleted(world: World) -> None:
    put_all(world)
    delete = pb.DeleteModelRequest(name="models/strong")
    with world.records.begin(write=True) as tx:
        tx.catalogs.create("shop", "", "strong", datetime.now(UTC))
    call = world.models.DeleteModel(delete)
    assert await refused(call) == ("FAILED_PRECONDITION", "MODEL_IN_USE")
    with world.records.begin(write=True) as tx:
        tx.catalogs.mark_deleting("shop")
    await world.models.DeleteModel(delete)
    assert await refused(world.models.DeleteModel(delete)) == (MISSING, "MODEL_NOT_FOUND")
    built_in = world.models.DeleteModel(pb.DeleteModelRequest(name="models/base"))
    assert await refused(built_in) == ("FAILED_PRECONDITION", "MODEL_BUILT_IN")
