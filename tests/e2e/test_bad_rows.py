"""What becomes of rows and files that are not as they should be, and of their neighbours."""

import csv
import shutil
from pathlib import Path

import pytest
from PIL import Image

from shelflens import Client
from shelflens.errors import NotFound
from shelflens.values import Operation
from tests.e2e.shop import Shop, write_manifest
from tests.local_server import LocalServer

CATALOG = "bad"
REJECTED = {  # by the row's number
    2: ("IMAGE_NOT_FOUND", "images", "gone.jpg"),
    4: ("IMAGE_OUTSIDE_ROOT", "images", "../secret.jpg"),
    5: ("IMAGE_OUTSIDE_ROOT", "images", "link.jpg"),
    6: ("IMAGE_OUTSIDE_ROOT", "images", "/etc/hostname"),
    8: ("IMAGE_FORMAT_UNSUPPORTED", "images", "text.jpg"),
    9: ("IMAGE_TRUNCATED", "images", "cut.jpg"),
    11: ("SKU_MISSING", "sku", ""),
    13: ("NUMBER_OUT_OF_RANGE", "price", "-1.50"),
    14: ("PRICE_UNREADABLE", "price", "cheap"),
    15: ("NO_IMAGE", "images", ""),
}
REFUSED_IMAGES = {16: ("IMAGE_NOT_FOUND", "images", "gone.jpg")}
GOOD = (1, 3, 7, 10, 12, 16)


@pytest.fixture(scope="module")
def folder(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image root with good and bad files, and a secret outside it."""
    root = tmp_path_factory.mktemp("bad") / "root"
    root.mkdir()
    packshots = [shop.image(row) for row in shop.rows()]
    for number in GOOD:
        shutil.copy(packshots[number], root / f"good-{number}.jpg")
    shutil.copy(packshots[20], root.parent / "secret.jpg")
    (root / "link.jpg").symlink_to(root.parent / "secret.jpg")
    (root / "text.jpg").write_text("this is no picture\n" * 100)
    whole = packshots[21].read_bytes()
    (root / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    return root


@pytest.fixture(scope="module")
def imported(client: Client, folder: Path) -> Operation:
    rows = [
        {"sku": f"S{number}", "price": "1.00", "image": f"good-{number}.jpg"}
        for number in range(1, 17)
    ]
    for number, (_, field, value) in REJECTED.items():
        rows[number - 1]["image" if field == "images" else field] = value
    rows[15]["image"] += "|gone.jpg"
    return client.import_products(CATALOG, write_manifest(folder / "list.csv", rows))


def test_every_bad_row_has_its_number_a_reason_and_the_value(imported: Operation) -> None:
    rejected = {
        each.row: (each.reason, each.field, each.value)
        for each in imported.rejections
        if each.row_rejected
    }
    refused = {
        each.row: (each.reason, each.field, each.value)
        for each in imported.rejections
        if not each.row_rejected
    }
    assert rejected == REJECTED
    assert refused == REFUSED_IMAGES


def test_bad_rows_fail_no_import_and_the_counts_add_up(imported: Operation) -> None:
    counts = imported.counts
    assert imported.state == "SUCCEEDED"
    assert counts.rows_read == 16
    assert (counts.rows_accepted, counts.rows_rejected) == (len(GOOD), len(REJECTED))
    assert sum(counts.rejected_by_reason.values()) == len(REJECTED) + len(REFUSED_IMAGES)


@pytest.mark.usefixtures("imported")
def test_the_neighbours_of_bad_rows_go_in(client: Client, folder: Path) -> None:
    assert {each.sku for each in client.list_products(CATALOG)} == {f"S{each}" for each in GOOD}
    for number in GOOD:
        best = client.search(CATALOG, folder / f"good-{number}.jpg", top_k=1).results[0]
        assert best.sku == f"S{number}"
        assert best.score > 0.999


@pytest.mark.usefixtures("imported")
def test_a_file_outside_the_root_reaches_no_server(client: Client, folder: Path) -> None:
    for result in client.search(CATALOG, folder.parent / "secret.jpg", top_k=500).results:
        assert result.score < 0.999


def test_the_report_lists_every_rejection(imported: Operation, server: LocalServer) -> None:
    report = server.data / "objects" / imported.errors_uri
    with report.open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == len(REJECTED) + len(REFUSED_IMAGES)
    assert [int(line["row"]) for line in lines] == sorted([*REJECTED, *REFUSED_IMAGES])


def test_a_folder_is_a_product_and_so_is_a_file_at_the_top(
    client: Client, shop: Shop, tmp_path: Path
) -> None:
    root = tmp_path / "tree"
    packshots = [shop.image(row) for row in shop.rows()]
    (root / "Tea 12" / "more").mkdir(parents=True)
    (root / "Juice").mkdir()
    shutil.copy(packshots[30], root / "Tea 12" / "front.jpg")
    shutil.copy(packshots[31], root / "Tea 12" / "more" / "back.JPG")
    shutil.copy(packshots[32], root / "Juice" / "a.jpg")
    with Image.open(packshots[33]) as picture:
        picture.save(root / "Water.png")
    (root / "readme.txt").write_text("not a picture")
    operation = client.import_products("tree", root).raise_for_error()
    assert (operation.counts.rows_rejected, operation.counts.images_refused) == (0, 0)
    counts = {each.sku: each.image_count for each in client.list_products("tree")}
    assert counts == {"Tea 12": 2, "Juice": 1, "Water": 1}
    assert client.search("tree", packshots[31], top_k=1).results[0].sku == "Tea 12"
    assert client.search("tree", packshots[33], top_k=1).results[0].sku == "Water"


def test_a_missing_catalogue_is_not_found_by_search(client: Client, shop: Shop) -> None:
    with pytest.raises(NotFound) as raised:
        client.search("nowhere", shop.photos[0][0])
    assert raised.value.reason == "CATALOG_NOT_FOUND"
