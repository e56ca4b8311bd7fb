"""Datasets through the API: asked for, shown, listed, removed."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from services.core.domain import keys
from services.core.domain.external_model import ExternalModel
from services.core.domain.operations import OperationKind, OperationState
from services.core.evaluation_ports import Dataset
from shelflens.v1 import catalogs_pb2
from shelflens.v1 import evaluation_pb2 as pb
from tests.unit.gateway_doubles import picture
from tests.unit.test_gateway_world import World, refused, uuid4

pytest_plugins = ("tests.unit.test_gateway_world",)
STATE = "FAILED_PRECONDITION"
COUNTS = {"queries": 120, "gallery": 40, "products": 12, "absent": 3, "left_out_by_hash": 2,
          "left_out_near": 1}  # fmt: skip


async def shop(world: World) -> str:
    """A catalogue with a searchable image; the name of an uploaded manifest of it."""
    await world.catalog()
    await world.searchable("A-1", picture(1))
    with world.records.begin(write=True) as tx:
        (product,) = tx.products.page("shop", "", 1)
        (image,) = tx.products.page_images("shop", product.id, "", 1)
        tx.imports.planned("shop", [(product.id, image.sha256)], 1)
        tx.imports.indexed("shop", 1)
    return await manifest(world)


async def manifest(world: World, catalog: str = "shop") -> str:
    messages = [catalogs_pb2.UploadManifestRequest(parent=f"catalogs/{catalog}", data=b"{}\n")]
    return (await world.catalogs.UploadManifest(iter(messages))).name


async def create(world: World, queries: str, dataset: str = "val", **fields: Any) -> pb.Dataset:
    request = pb.CreateDatasetRequest(
        dataset_id=dataset, catalog="catalogs/shop", queries=queries, **fields
    )
    return await world.evaluations.CreateDataset(request)


def made(world: World, dataset: str = "val", **fields: Any) -> Dataset:
    """What the coordinator does when it is frozen."""
    with world.records.begin(write=True) as tx:
        found = tx.datasets.get(dataset)
        ready = replace(found, **{"state": OperationState.SUCCEEDED, "counts": COUNTS} | fields)
        tx.datasets.save(ready)
    return ready


async def get(world: World, name: str = "datasets/val") -> pb.Dataset:
    return await world.evaluations.GetDataset(pb.GetDatasetRequest(name=name))


async def delete(world: World, name: str = "datasets/val") -> object:
    return await world.evaluations.DeleteDataset(pb.DeleteDatasetRequest(name=name))


async def test_a_dataset_is_queued_with_its_manifest_and_shown_when_it_is_made(
    world: World,
) -> None:
    queries = await shop(world)
    queued = await create(world, queries, allow_absent=True, display_name=" val.csv ")
    assert (queued.state, queued.query_count) == (pb.WORK_STATE_QUEUED, 0)
    with world.records.begin() as tx:
        operation = tx.operations.get(queued.operation.removeprefix("operations/"))
        build = tx.datasets.get("val").build
    assert (operation.kind, operation.catalog) == (OperationKind.CREATE_DATASET, "shop")
    assert operation.request == {
        "dataset": "val",
        "build": build,
        "manifest": keys.manifest_key("shop", queries.rpartition("/")[2]),
        "allow_absent": True,
    }
    assert world.queue.messages[-1].operation == operation.id
    made(world)
    shown = await get(world)
    assert (shown.display_name, shown.allow_absent) == ("val.csv", True)
    figures = (shown.query_count, shown.gallery_count, shown.product_count, shown.absent_count)
    assert figures == (120, 40, 12, 3)
    assert (shown.left_out_by_hash, shown.left_out_near) == (2, 1)


async def test_a_repeated_request_makes_one_dataset(world: World) -> None:
    queries, id_ = await shop(world), uuid4()
    first = await create(world, queries, request_id=id_)
    assert await create(world, queries, request_id=id_) == first
    again = create(world, queries)
    assert await refused(again) == ("ALREADY_EXISTS", "DATASET_EXISTS")


async def test_a_dataset_that_could_not_be_made_says_why_and_may_be_made_again(
    world: World,
) -> None:
    queries = await shop(world)
    await create(world, queries)
    made(world, state=OperationState.FAILED, error_reason="NO_QUERIES", error_message="none")
    failed = await get(world)
    assert (failed.error_reason, failed.error_message) == ("NO_QUERIES", "none")
    assert (await create(world, queries)).state == pb.WORK_STATE_QUEUED


async def test_what_cannot_be_frozen_is_refused_by_name(world: World) -> None:
    queries = await shop(world)
    await world.catalog("empty")
    elsewhere = await manifest(world, "empty")
    with world.records.begin(write=True) as tx:
        external = ExternalModel(name="outside", dimension=3, distance="cosine")
        tx.models.put("outside", external.digest, external.spec(), datetime.now(UTC))
        tx.catalogs.create("brought", "", "outside", datetime.now(UTC))
    gone = "catalogs/shop/manifests/gone"
    for request, wanted in (
        ({"dataset_id": "Val"}, ("INVALID_ARGUMENT", "INVALID_ID")),
        ({"queries": gone}, ("NOT_FOUND", "MANIFEST_NOT_FOUND")),
        ({"queries": elsewhere}, ("INVALID_ARGUMENT", "OTHER_CATALOG")),
        ({"catalog": "catalogs/none", "queries": gone.replace("shop", "none")},
         ("NOT_FOUND", "CATALOG_NOT_FOUND")),
        ({"catalog": "catalogs/empty", "queries": elsewhere}, (STATE, "CATALOG_EMPTY")),
        ({"catalog": "catalogs/brought", "queries": gone.replace("shop", "brought")},
         (STATE, "MODEL_HAS_NO_EMBEDDER")),
        ({"request_id": "7"}, ("INVALID_ARGUMENT", "REQUEST_ID_INVALID")),
    ):  # fmt: skip
        usual: dict[str, Any] = {
            "dataset_id": "val",
            "catalog": "catalogs/shop",
            "queries": queries,
        }
        call = world.evaluations.CreateDataset(pb.CreateDatasetRequest(**usual | request))
        assert await refused(call) == wanted


async def test_datasets_are_listed_page_by_page(world: World) -> None:
    queries = await shop(world)
    for each in ("c", "a", "b"):
        await create(world, queries, each)
    seen: list[str] = []
    token = ""
    while not seen or token:
        request = pb.ListDatasetsRequest(page_size=2, page_token=token)
        answer = await world.evaluations.ListDatasets(request)
        seen += [each.name for each in answer.datasets]
        token = answer.next_page_token
    assert seen == ["datasets/a", "datasets/b", "datasets/c"]


async def test_a_dataset_goes_with_its_files_once_it_is_made(world: World) -> None:
    await create(world, await shop(world))
    assert await refused(delete(world)) == (STATE, "DATASET_UNFINISHED")
    ready = made(world)
    key = keys.page_key(keys.dataset_prefix("val", ready.build), "queries", 0)
    world.objects.put(key, b"page")
    await delete(world)
    assert world.objects.size(key) is None
    assert await refused(get(world)) == ("NOT_FOUND", "DATASET_NOT_FOUND")


@pytest.mark.parametrize("name", ["val", "datasets/", "catalogs/val"])
async def test_a_name_of_another_kind_is_refused(world: World, name: str) -> None:
    assert await refused(get(world, name)) == ("INVALID_ARGUMENT", "INVALID_NAME")
