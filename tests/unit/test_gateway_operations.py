"""Long-running operations through the API."""

import asyncio
import time
from collections import Counter
from datetime import UTC, datetime

import pytest
from google.longrunning import operations_pb2 as lro
from google.protobuf.duration_pb2 import Duration
from google.protobuf.empty_pb2 import Empty
from google.rpc import code_pb2

from services.core.domain.operations import OperationState
from shelflens.v1 import catalogs_pb2 as pb
from tests.unit.test_gateway_world import World, reason_of, refused

pytest_plugins = ("tests.unit.test_gateway_world",)


async def started(world: World) -> str:
    """The name of the operation of a new import."""
    lines = pb.UploadManifestRequest(parent="catalogs/shop", data=b"{}\n")
    manifest = await world.catalogs.UploadManifest(iter([lines]))
    request = pb.ImportProductsRequest(parent="catalogs/shop", manifest=manifest.name)
    return str((await world.catalogs.ImportProducts(request)).name)


def finish(world: World, name: str, state: OperationState, reason: str = "") -> None:
    """What the coordinator does at the end of an import."""
    with world.records.begin(write=True) as tx:
        operation = tx.operations.get(name.removeprefix("operations/"))
        operation.state = state
        operation.counts.rows_read, operation.counts.rows_rejected = 3, 2
        operation.counts.rejected_by_reason = Counter(SKU_MISSING=2)
        rejection = {"row": 2, "reason": "SKU_MISSING", "field": "sku", "value": ""}
        operation.result = {"rejections": [rejection], "errors_uri": "reports/x/rejected.csv"}
        operation.error_reason, operation.error_message = reason, "line 1 is no JSON"
        operation.end_time = datetime.now(UTC)
        tx.operations.save(operation)


async def get(world: World, name: str) -> lro.Operation:
    return await world.operations.GetOperation(lro.GetOperationRequest(name=name))


async def test_a_finished_import_has_counts_and_rejections(world: World) -> None:
    await world.catalog()
    name = await started(world)
    finish(world, name, OperationState.SUCCEEDED)
    operation = await get(world, name)
    response = pb.ImportProductsResponse()
    assert operation.done
    assert operation.response.Unpack(response)
    assert response.counts.rows_read == 3
    assert response.counts.rejected_by_reason == {"SKU_MISSING": 2}
    assert [(each.row, each.reason) for each in response.rejections] == [(2, "SKU_MISSING")]
    assert response.rejections[0].row_rejected
    assert response.errors_uri == "reports/x/rejected.csv"


@pytest.mark.parametrize(
    ("state", "reason", "code"),
    [
        (OperationState.FAILED, "MANIFEST_UNREADABLE", code_pb2.INVALID_ARGUMENT),
        (OperationState.FAILED, "CATALOG_NOT_FOUND", code_pb2.NOT_FOUND),
        (OperationState.FAILED, "DIGEST_MISMATCH", code_pb2.DATA_LOSS),
        (OperationState.FAILED, "SOMETHING_ELSE", code_pb2.FAILED_PRECONDITION),
        (OperationState.CANCELLED, "CANCELLED", code_pb2.CANCELLED),
    ],
)
async def test_a_failed_import_says_why_and_how_far_it_came(
    world: World, state: OperationState, reason: str, code: int
) -> None:
    await world.catalog()
    name = await started(world)
    finish(world, name, state, reason)
    operation = await get(world, name)
    progress = pb.ImportProductsMetadata()
    operation.metadata.Unpack(progress)
    assert (operation.error.code, reason_of(operation.error)) == (code, reason)
    assert (progress.state, progress.counts.rows_read) == (state.value, 3)


async def test_the_changes_of_single_products_are_no_visible_operations(world: World) -> None:
    await world.catalog()
    product = await world.product("a")
    await world.catalogs.DeleteProduct(pb.DeleteProductRequest(name=product.name))
    name = f"operations/{world.queue.messages[0].operation}"
    for call in (
        get(world, name),
        world.operations.WaitOperation(lro.WaitOperationRequest(name=name)),
        world.operations.CancelOperation(lro.CancelOperationRequest(name=name)),
        world.operations.DeleteOperation(lro.DeleteOperationRequest(name=name)),
    ):
        assert await refused(call) == ("NOT_FOUND", "OPERATION_NOT_FOUND")
    listed = await world.operations.ListOperations(lro.ListOperationsRequest())
    assert not listed.operations


async def test_waiting_ends_when_the_operation_does(world: World) -> None:
    await world.catalog()
    name = await started(world)
    waits = [
        asyncio.ensure_future(
            world.operations.WaitOperation(lro.WaitOperationRequest(name=name), timeout=20)
        )
        for _ in range(20)
    ]
    await asyncio.sleep(0.2)
    assert not any(each.done() for each in waits)
    finish(world, name, OperationState.SUCCEEDED)
    start = time.perf_counter()
    assert all(each.done for each in await asyncio.gather(*waits))
    assert time.perf_counter() - start < 1


async def test_waiting_too_long_returns_the_operation_as_it_is(world: World) -> None:
    await world.catalog()
    name = await started(world)
    request = lro.WaitOperationRequest(name=name, timeout=Duration(nanos=200_000_000))
    assert not (await world.operations.WaitOperation(request)).done
    # The deadline of the call bounds it too, and the answer still arrives.
    request = lro.WaitOperationRequest(name=name)
    assert not (await world.operations.WaitOperation(request, timeout=0.5)).done


async def test_operations_are_listed_newest_first_by_page_and_catalogue(world: World) -> None:
    await world.catalog()
    made = []
    for _ in range(3):
        made.append(await started(world))
        await asyncio.sleep(0.002)  # ids are ordered by milliseconds
    first = await world.operations.ListOperations(
        lro.ListOperationsRequest(name="catalogs/shop", page_size=2)
    )
    second = await world.operations.ListOperations(
        lro.ListOperationsRequest(
            name="catalogs/shop", page_size=2, page_token=first.next_page_token
        )
    )
    listed = [each.name for each in (*first.operations, *second.operations)]
    assert listed == made[::-1]
    other = await world.operations.ListOperations(lro.ListOperationsRequest(name="catalogs/x"))
    assert not other.operations


async def test_a_cancelled_import_is_cancelling_and_announced(world: World) -> None:
    await world.catalog()
    name = await started(world)
    cancel = lro.CancelOperationRequest(name=name)
    assert await world.operations.CancelOperation(cancel) == Empty()
    progress = pb.ImportProductsMetadata()
    (await get(world, name)).metadata.Unpack(progress)
    assert progress.state == "CANCELLING"
    assert len(world.queue.messages) == 2


async def test_a_deletion_cannot_be_cancelled(world: World) -> None:
    await world.catalog()
    operation = await world.catalogs.DeleteCatalog(pb.DeleteCatalogRequest(name="catalogs/shop"))
    call = world.operations.CancelOperation(lro.CancelOperationRequest(name=operation.name))
    assert await refused(call) == ("FAILED_PRECONDITION", "NOT_CANCELLABLE")
    finish(world, operation.name, OperationState.SUCCEEDED)
    assert (await get(world, operation.name)).response.Is(Empty.DESCRIPTOR)


async def test_only_finished_operations_can_be_forgotten(world: World) -> None:
    await world.catalog()
    name = await started(world)
    delete = lro.DeleteOperationRequest(name=name)
    call = world.operations.DeleteOperation(delete)
    assert await refused(call) == ("FAILED_PRECONDITION", "OPERATION_RUNNING")
    finish(world, name, OperationState.SUCCEEDED)
    await world.operations.DeleteOperation(delete)
    assert await refused(get(world, name)) == ("NOT_FOUND", "OPERATION_NOT_FOUND")
