"""Rolling back through the API."""

import uuid

from shelflens.v1 import catalogs_pb2
from shelflens.v1 import models_pb2 as pb
from tests.unit.gateway_doubles import BASE
from tests.unit.test_gateway_deployments import STATE, deploy, deployed, put, remove, rollback
from tests.unit.test_gateway_world import World, refused

pytest_plugins = ("tests.unit.test_gateway_world",)


async def test_a_rollback_brings_back_the_one_that_was_live_before(world: World) -> None:
    put(world)
    await world.catalog()
    assert await refused(rollback(world)) == (STATE, "NO_DEPLOYMENT_KEPT")
    await deployed(world, "strong", 2)
    await deployed(world, "base", 3)
    back = await rollback(world)
    assert (back.name, back.state) == ("catalogs/shop/deployments/2", pb.DEPLOYMENT_STATE_LIVE)
    assert (await rollback(world)).name == "catalogs/shop/deployments/3"
    assert (await rollback(world, "catalogs/shop/deployments/1")).model == "models/base"
    # Asked for by its name, one that is live stays so: a repeat is safe.
    assert (await rollback(world, "catalogs/shop/deployments/1")).model == "models/base"
    catalog = await world.catalogs.GetCatalog(catalogs_pb2.GetCatalogRequest(name="catalogs/shop"))
    assert (catalog.model, catalog.model_digest) == ("models/base", BASE.digest)


async def test_a_repeated_rollback_does_not_switch_back_again(world: World) -> None:
    put(world)
    await world.catalog()
    await deployed(world, "strong", 2)
    request = pb.RollbackDeploymentRequest(name="catalogs/shop", request_id=str(uuid.uuid4()))
    first = await world.models.RollbackDeployment(request)
    assert await world.models.RollbackDeployment(request) == first
    assert first.name == "catalogs/shop/deployments/1"


async def test_a_rollback_needs_a_deployment_that_is_kept(world: World) -> None:
    put(world)
    await world.catalog()
    await deployed(world, "strong", 2)
    await remove(world, 1)
    name = "catalogs/shop/deployments/"
    await deploy(world, "base")
    for number, refusal in (
        ("1", (STATE, "DEPLOYMENT_NOT_KEPT")),
        ("3", (STATE, "DEPLOYMENT_BUILDING")),
        ("4", ("NOT_FOUND", "DEPLOYMENT_NOT_FOUND")),
        ("x", ("NOT_FOUND", "DEPLOYMENT_NOT_FOUND")),
        ("", ("INVALID_ARGUMENT", "INVALID_NAME")),
    ):
        assert await refused(rollback(world, name + number)) == refusal
    assert await refused(rollback(world)) == (STATE, "NO_DEPLOYMENT_KEPT")
