"""Gates of deployments through the API."""

from dataclasses import replace

from tests.unit.test_gateway_deployments import deploy, put, queued
from tests.unit.test_gateway_evaluations import dataset
from tests.unit.test_gateway_world import World, refused, uuid4

pytest_plugins = ("tests.unit.test_gateway_world",)


async def test_a_deploy_with_a_gate_carries_it(world: World) -> None:
    await dataset(world)
    gate = {"dataset": "datasets/val", "minimum_difference": -0.01, "override": True}
    operation = await deploy(world, gate=gate, request_id=uuid4())
    assert queued(world, operation).request["gate"] == {
        "dataset": "val", "metric": "map@10", "minimum": -0.01, "override": True,
    }  # fmt: skip


async def test_an_impossible_gate_is_refused_by_name(world: World) -> None:
    await dataset(world)
    await world.catalog("other")
    put(world, "strong")
    for gate, wanted in (
        ({"dataset": "datasets/gone"}, ("NOT_FOUND", "DATASET_NOT_FOUND")),
        ({"dataset": "val"}, ("INVALID_ARGUMENT", "INVALID_NAME")),
        ({"dataset": "datasets/val", "metric": "speed"}, ("INVALID_ARGUMENT", "GATE_INVALID")),
        ({"dataset": "datasets/val", "minimum_difference": 2},
         ("INVALID_ARGUMENT", "GATE_INVALID")),
    ):  # fmt: skip
        assert await refused(deploy(world, gate=gate)) == wanted
    with world.records.begin(write=True) as tx:
        elsewhere = replace(tx.datasets.get("val"), id="else", catalog="other")
        tx.datasets.add(elsewhere)
    call = deploy(world, gate={"dataset": "datasets/else"})
    assert await refused(call) == ("INVALID_ARGUMENT", "OTHER_CATALOG")
