"""Reading error reports through the API, and how the CSV is written."""

import csv
import io

import pytest
from google.longrunning import operations_pb2 as lro

from services.core import error_report
from services.core.domain import keys
from services.core.domain.operations import OperationState
from services.core.shard_files import RejectedRow
from shelflens.v1 import catalogs_pb2 as pb
from tests.unit.test_gateway_operations import started
from tests.unit.test_gateway_world import World, refused

pytest_plugins = ("tests.unit.test_gateway_world",)


async def errors(world: World, name: str) -> bytes:
    request = pb.DownloadImportErrorsRequest(name=name)
    return b"".join([each.data async for each in world.catalogs.DownloadImportErrors(request)])


def end(world: World, name: str, report: bytes = b"") -> str:
    """Ends an import, with this report; returns the key of the report."""
    operation_id = name.removeprefix("operations/")
    key = keys.report_key(operation_id)
    if report:
        world.objects.put(key, report)
    with world.records.begin(write=True) as tx:
        operation = tx.operations.get(operation_id)
        operation.state = OperationState.SUCCEEDED
        operation.result = {"errors_uri": key if report else ""}
        tx.operations.save(operation)
    return key


async def test_a_report_of_many_pieces_is_read_whole(world: World) -> None:
    await world.catalog()
    name = await started(world)
    report = b"row,sku\r\n" * 300_000
    end(world, name, report)
    assert await errors(world, name) == report


async def test_an_import_without_rejections_has_a_header_alone(world: World) -> None:
    await world.catalog()
    name = await started(world)
    end(world, name)
    assert await errors(world, name) == b"row,sku,reason,field,value,row_rejected\r\n"


async def test_errors_of_what_is_no_finished_import_are_refused_with_a_reason(
    world: World,
) -> None:
    await world.catalog()
    name = await started(world)
    assert await refused(errors(world, name)) == ("FAILED_PRECONDITION", "OPERATION_RUNNING")
    assert await refused(errors(world, "operations/none")) == ("NOT_FOUND", "OPERATION_NOT_FOUND")
    assert await refused(errors(world, "catalogs/x")) == ("INVALID_ARGUMENT", "INVALID_NAME")
    deletion = await world.catalogs.DeleteCatalog(pb.DeleteCatalogRequest(name="catalogs/shop"))
    assert await refused(errors(world, deletion.name)) == ("INVALID_ARGUMENT", "NOT_AN_IMPORT")
    world.objects.delete(end(world, name, b"x"))
    assert await refused(errors(world, name)) == ("NOT_FOUND", "REPORT_NOT_FOUND")


async def test_the_report_goes_with_its_operation_and_not_before(world: World) -> None:
    await world.catalog()
    name, other = await started(world), await started(world)
    key, kept = end(world, name, b"mine"), end(world, other, b"other")
    delete = lro.DeleteOperationRequest(name=name)
    await world.operations.DeleteOperation(delete)
    assert (world.objects.size(key), world.objects.size(kept)) == (None, 5)
    running = await started(world)
    key = keys.report_key(running.removeprefix("operations/"))
    world.objects.put(key, b"half")
    call = world.operations.DeleteOperation(lro.DeleteOperationRequest(name=running))
    assert await refused(call) == ("FAILED_PRECONDITION", "OPERATION_RUNNING")
    assert world.objects.size(key) == 4


@pytest.mark.parametrize("cell", ["=1+1", "+x", "-2+3", "@SUM(A1)", "\tx", "\rx", "\n=x", "=", "-"])
def test_cells_that_a_spreadsheet_runs_stand_behind_an_apostrophe(cell: str) -> None:
    assert error_report.safe_cell(cell) == "'" + cell
    assert error_report.plain_cell("'" + cell) == cell
    line = RejectedRow(1, cell, cell, cell, cell)
    (read,) = csv.reader(io.StringIO(error_report.csv_lines([line]).decode(), newline=""))
    assert read == ["1", *["'" + cell] * 4, "True"]


@pytest.mark.parametrize(
    "cell", ["-1", "+3.50", "-1,5", "-1e-9", "-.5", "", "a=b", "x", "'", "1-2"]
)
def test_numbers_and_harmless_cells_are_left_as_they_are(cell: str) -> None:
    assert error_report.safe_cell(cell) == cell
    assert error_report.plain_cell(cell) == cell


def test_scrubbed_lines_keep_row_and_reason() -> None:
    rows = [
        RejectedRow(1, "A", "images", "x.jpg", "=s"),
        RejectedRow(2, "B", "title", "long\nvalue", " =s "),
        RejectedRow(3, "C", "images", "x.jpg", "other"),
    ]
    data = error_report.HEADER + error_report.csv_lines(rows)
    pieces = [data[at : at + 7] for at in range(0, len(data), 7)]

    def scrubbed(sources: frozenset[str] | None) -> list[list[str]]:
        text = b"".join(line for line, _ in error_report.without(pieces, "=s", sources)).decode()
        return [line[:5] for line in csv.reader(io.StringIO(text, newline=""))][1:]

    assert scrubbed(None) == [
        ["1", "(erased)", "A", "images", "(erased)"],
        ["2", "(erased)", "B", "title", "(erased)"],
        ["3", "other", "C", "images", "x.jpg"],
    ]
    assert [line[1] for line in scrubbed(frozenset({"x.jpg"}))] == ["(erased)", " =s ", "other"]
    untouched = b"".join(line for line, _ in error_report.without(pieces, "nobody", None))
    assert untouched == data
