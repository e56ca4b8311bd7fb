"""Deployments through the API: deploying, switching back, removing."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import pytest
from google.longrunning import operations_pb2 as lro
from google.protobuf.empty_pb2 import Empty

from services.core.deployment_ports import Deployment
from services.core.domain.external_model import ExternalModel
from services.core.domain.model import Model
from services.core.domain.operations import Operation, OperationKind, OperationState
from shelflens.v1 import catalogs_pb2
from shelflens.v1 import models_pb2 as pb
from tests.unit.gateway_doubles import picture, spec_of
from tests.unit.test_gateway_world import World, refused, uuid4

pytest_plugins = ("tests.unit.test_gateway_world",)
STATE = "FAILED_PRECONDITION"
STRONG = spec_of("cd")


def put(world: World, name: str = "strong", model: Model | None = None) -> None:
    model = model or Model.plain(STRONG)
    with world.records.begin(write=True) as tx:
        tx.models.put(name, model.digest, model.to_dict(), datetime.now(UTC))


async def deploy(world: World, model: str = "strong", **fields: Any) -> lro.Operation:
    request = pb.DeployModelRequest(catalog="catalogs/shop", model=f"models/{model}", **fields)
    return await world.models.DeployModel(request)


def queued(world: World, operation: lro.Operation) -> Operation:
    with world.records.begin() as tx:
        return tx.operations.get(operation.name.removeprefix("operations/"))


def switch(world: World, number: int) -> Deployment:
    """What the coordinator does when a deployment is ready."""
    with world.records.begin(write=True) as tx:
        return tx.deployments.switch("shop", number, datetime.now(UTC))


async def deployed(world: World, model: str, number: int) -> None:
    await deploy(world, model)
    switch(world, number)


async def listed(world: World, **fields: Any) -> list[pb.Deployment]:
    request = pb.ListDeploymentsRequest(parent="catalogs/shop", **fields)
    return list((await world.models.ListDeployments(request)).deployments)


async def rollback(world: World, name: str = "catalogs/shop") -> pb.Deployment:
    return await world.models.RollbackDeployment(pb.RollbackDeploymentRequest(name=name))


async def remove(world: World, number: object) -> lro.Operation:
    name = f"catalogs/shop/deployments/{number}"
    return await world.models.DeleteDeployment(pb.DeleteDeploymentRequest(name=name))


async def test_a_deploy_builds_a_collection_beside_the_live_one(world: World) -> None:
    put(world)
    await world.catalog()
    operation = await deploy(world, quantization="int8", on_disk=True, compare_searches=5)
    found = queued(world, operation)
    assert (found.kind, found.catalog, found.revision) == (OperationKind.DEPLOY, "shop", 1)
    assert found.request == {
        "deployment": 2,
        "model": "strong",
        "model_digest": STRONG.digest,
        "compare_searches": 5,
        "compare_seconds": 600,
        "discard_old": False,
        "image_count": 0,
    }
    assert [each.operation for each in world.queue.messages] == [found.id]
    progress = pb.DeployModelMetadata()
    assert operation.metadata.Unpack(progress)
    assert (progress.deployment, progress.step) == ("catalogs/shop/deployments/2", "embedding")
    new, old = await listed(world)
    assert (new.state, old.state) == (pb.DEPLOYMENT_STATE_BUILDING, pb.DEPLOYMENT_STATE_LIVE)
    assert (new.model, new.quantization, new.on_disk) == ("models/strong", "int8", True)
    assert (old.model, old.quantization, old.on_disk) == ("models/base", "", False)
    assert new.collection != old.collection


@pytest.mark.parametrize(
    ("model", "fields", "refusal"),
    [
        ("none", {}, ("NOT_FOUND", "MODEL_NOT_FOUND")),
        ("outside", {}, (STATE, "MODEL_HAS_NO_EMBEDDER")),
        ("base", {}, (STATE, "ALREADY_DEPLOYED")),
        ("strong", {"quantization": "int4"}, ("INVALID_ARGUMENT", "QUANTIZATION_UNKNOWN")),
        ("strong", {"compare_searches": -1}, ("INVALID_ARGUMENT", "OUT_OF_RANGE")),
        ("strong", {"compare_searches": 10_001}, ("INVALID_ARGUMENT", "OUT_OF_RANGE")),
        ("strong", {"compare_seconds": 90_000}, ("INVALID_ARGUMENT", "OUT_OF_RANGE")),
        ("strong", {"request_id": "x"}, ("INVALID_ARGUMENT", "REQUEST_ID_INVALID")),
    ],
)
async def test_what_cannot_be_deployed_is_refused_and_not_queued(
    world: World, model: str, fields: dict[str, Any], refusal: tuple[str, str]
) -> None:
    put(world)
    outside = ExternalModel(name="outside", dimension=3)
    with world.records.begin(write=True) as tx:
        tx.models.put("outside", outside.digest, outside.spec(), datetime.now(UTC))
    await world.catalog()
    assert await refused(deploy(world, model, **fields)) == refusal
    assert (len(await listed(world)), world.queue.messages) == (1, [])


async def test_a_deploy_needs_its_catalogue(world: World) -> None:
    put(world)
    assert await refused(deploy(world)) == ("NOT_FOUND", "CATALOG_NOT_FOUND")
    assert await refused(listed(world)) == ("NOT_FOUND", "CATALOG_NOT_FOUND")
    assert await refused(rollback(world)) == ("NOT_FOUND", "CATALOG_NOT_FOUND")
    assert await refused(remove(world, 1)) == ("NOT_FOUND", "CATALOG_NOT_FOUND")


async def test_the_live_model_may_be_stored_in_another_way(world: World) -> None:
    await world.catalog()
    await deploy(world, "base", quantization="int8")
    switch(world, 2)
    again = deploy(world, "base", quantization="int8")
    assert await refused(again) == (STATE, "ALREADY_DEPLOYED")
    assert not (await deploy(world, "base")).done


async def test_the_live_model_may_move_out_of_a_shared_collection(world: World) -> None:
    with world.records.begin(write=True) as tx:
        tx.catalogs.create("shop", "", "base", datetime.now(UTC), shared=True)
    assert not (await deploy(world, "base")).done
    new, old = await listed(world)
    assert (new.shared, old.shared) == (False, True)
    switch(world, 2)
    with world.records.begin() as tx:
        tenant = tx.deployments.get("shop", 1).tenant
    found = queued(world, await remove(world, 1))
    assert found.request["collections"] == [[old.collection, tenant]]


async def test_one_deploy_at_a_time(world: World) -> None:
    put(world)
    await world.catalog()
    request_id = uuid4()
    first = await deploy(world, request_id=request_id)
    assert await refused(deploy(world)) == (STATE, "DEPLOY_RUNNING")
    assert await deploy(world, request_id=request_id) == first
    other = deploy(world, request_id=request_id, on_disk=True)
    assert await refused(other) == ("INVALID_ARGUMENT", "REQUEST_ID_REUSED")
    assert len(world.queue.messages) == 1


async def test_a_deploy_can_be_cancelled(world: World) -> None:
    put(world)
    await world.catalog()
    operation = await deploy(world)
    await world.operations.CancelOperation(lro.CancelOperationRequest(name=operation.name))
    assert queued(world, operation).state is OperationState.CANCELLING


async def test_a_finished_deploy_shows_its_deployment(world: World) -> None:
    put(world)
    await world.catalog()
    operation = await deploy(world)
    with world.records.begin(write=True) as tx:
        tx.deployments.note_comparison("shop", 2, 4, 3, 2.0)
        live = tx.deployments.switch("shop", 2, datetime.now(UTC))
        ended = tx.operations.get(operation.name.removeprefix("operations/"))
        ended.state = OperationState.SUCCEEDED
        ended.counts.points_indexed = 7
        described = json.loads(json.dumps(asdict(live), default=datetime.isoformat))
        ended.result = {"step": "switched", "deployment": described}
        tx.operations.save(ended)
    shown = await world.operations.GetOperation(lro.GetOperationRequest(name=operation.name))
    deployment, progress = pb.Deployment(), pb.DeployModelMetadata()
    assert shown.response.Unpack(deployment)
    assert shown.metadata.Unpack(progress)
    assert (progress.step, progress.points_indexed) == ("switched", 7)
    assert (deployment.state, deployment.image_count) == (pb.DEPLOYMENT_STATE_LIVE, 7)
    assert deployment.comparison == pb.Comparison(searches=4, same_first=0.75, overlap_at_10=0.5)
    deployment.image_count = 0
    assert deployment == (await listed(world))[0]


async def test_deployments_are_listed_newest_first_with_their_images(world: World) -> None:
    put(world)
    await world.catalog()
    await world.searchable("a", picture(1), picture(2))
    for number in range(2, 5):
        await deployed(world, "strong" if number % 2 == 0 else "base", number)
    world.index()
    with world.records.begin(write=True) as tx:
        tx.deployments.remove("shop", 2)
    request = pb.ListDeploymentsRequest(parent="catalogs/shop", page_size=3)
    first = await world.models.ListDeployments(request)
    request.page_token = first.next_page_token
    second = await world.models.ListDeployments(request)
    assert not second.next_page_token
    shown = [*first.deployments, *second.deployments]
    assert [each.name.rpartition("/")[2] for each in shown] == ["4", "3", "2", "1"]
    assert [each.image_count for each in shown] == [2, 0, 0, 2]
    live, kept, gone = (
        pb.DEPLOYMENT_STATE_LIVE,
        pb.DEPLOYMENT_STATE_KEPT,
        pb.DEPLOYMENT_STATE_GONE,
    )
    assert [each.state for each in shown] == [live, kept, gone, kept]


async def test_only_a_kept_deployment_can_be_removed(world: World) -> None:
    put(world)
    await world.catalog()
    assert await refused(remove(world, 1)) == (STATE, "DEPLOYMENT_LIVE")
    await deploy(world)
    assert await refused(remove(world, 2)) == (STATE, "DEPLOYMENT_BUILDING")
    switch(world, 2)
    (_, old) = await listed(world)
    operation = await remove(world, 1)
    found = queued(world, operation)
    assert found.kind is OperationKind.DROP_DEPLOYMENT
    assert found.request == {"deployment": 1, "collections": [[old.collection, ""]]}
    progress = pb.DeleteDeploymentMetadata()
    assert operation.metadata.Unpack(progress)
    assert progress.deployment == "catalogs/shop/deployments/1"
    assert await refused(remove(world, 1)) == (STATE, "DEPLOYMENT_GONE")
    cancel = world.operations.CancelOperation(lro.CancelOperationRequest(name=operation.name))
    assert await refused(cancel) == (STATE, "NOT_CANCELLABLE")
    with world.records.begin(write=True) as tx:
        found.state = OperationState.SUCCEEDED
        tx.operations.save(found)
    shown = await world.operations.GetOperation(lro.GetOperationRequest(name=operation.name))
    assert shown.response.Is(Empty.DESCRIPTOR)


async def test_a_deleted_catalogue_takes_all_its_collections_along(world: World) -> None:
    put(world)
    await world.catalog()
    for number in (2, 3):
        await deployed(world, "strong" if number == 2 else "base", number)
    await remove(world, 2)
    await deploy(world)
    collections = {each.name[-1]: each.collection for each in await listed(world)}
    request = catalogs_pb2.DeleteCatalogRequest(name="catalogs/shop")
    found = queued(world, await world.catalogs.DeleteCatalog(request))
    live_first = [[collections[number], ""] for number in "341"]
    assert found.request == {"collections": live_first}


async def test_the_model_of_a_catalogue_changes_by_deploying_alone(world: World) -> None:
    put(world)
    await world.catalog()
    catalog = catalogs_pb2.Catalog(name="catalogs/shop", model="models/strong")
    request = catalogs_pb2.UpdateCatalogRequest(catalog=catalog)
    with pytest.raises(Exception, match="DeployModel"):
        await world.catalogs.UpdateCatalog(request)
    call = world.catalogs.UpdateCatalog(request)
    assert await refused(call) == ("INVALID_ARGUMENT", "IMMUTABLE_FIELD")
