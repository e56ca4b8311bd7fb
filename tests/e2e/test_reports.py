"""Error reports with every row, the page about an import, and exports, as a user gets them."""

import csv
import hashlib
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from services.core.adapters.qdrant_vectors import QdrantVectors
from services.core.adapters.sql_records import open_sqlite
from services.core.domain.names import point_id
from services.core.ports import Float32
from shelflens import Client
from shelflens.values import Operation
from tests.e2e.processes import vector_port
from tests.e2e.shop import Shop, new_picture, vary_shop
from tests.local_server import PROGRAM, LocalServer

BAD = 330
FORMULA = "=cmd|' /C calc'!A0"


def shelflens(server: LocalServer, *arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    """The program, which must succeed."""
    environment = os.environ | {"SHELFLENS_TARGET": server.target}
    command = [PROGRAM, *arguments]
    said = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert said.returncode == 0, said.stderr
    return said


@pytest.fixture(scope="module")
def bad_folder(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Good rows, a cut picture, a formula, and BAD rows without a readable price."""
    root = tmp_path_factory.mktemp("bad")
    (root / "good.jpg").write_bytes(new_picture(shop, 81))
    (root / "cut.jpg").write_bytes(new_picture(shop, 82)[:2_000])
    rows = [["sku", "price", "image"], ["good", "1", "good.jpg"], ["cut", "1", "cut.jpg"]]
    rows += [[f"bad {n}", f"about {n}", "good.jpg"] for n in range(BAD)]
    rows += [[FORMULA, FORMULA, "good.jpg"], ["minus", "-5", "good.jpg"]]
    with (root / "products.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return root


@pytest.fixture(scope="module")
def rejected(client: Client, bad_folder: Path) -> Operation:
    return client.import_products("reports", bad_folder / "products.csv").raise_for_error()


def test_the_csv_has_every_rejected_row(
    server: LocalServer, rejected: Operation, tmp_path: Path
) -> None:
    file = tmp_path / "rejected.csv"
    shelflens(server, "operations", "errors", rejected.name, "-o", file)
    with file.open(newline="", encoding="utf-8") as lines:
        found = list(csv.DictReader(lines))
    assert len(found) == rejected.counts.rows_rejected == BAD + 3
    assert [int(each["row"]) for each in found] == list(range(2, BAD + 5))
    by_sku = {each["sku"]: each for each in found}
    for n in range(BAD):
        line = by_sku[f"bad {n}"]
        assert (line["reason"], line["field"]) == ("PRICE_UNREADABLE", "price")
        assert (line["value"], line["row_rejected"]) == (f"about {n}", "True")
    assert by_sku["cut"]["value"] == "cut.jpg"
    assert by_sku["'" + FORMULA]["value"] == "'" + FORMULA
    assert by_sku["minus"]["value"] == "-5"


def test_the_text_and_the_page_say_what_was_rejected(
    server: LocalServer, rejected: Operation, bad_folder: Path, tmp_path: Path
) -> None:
    text = shelflens(server, "operations", "get", rejected.name).stdout
    assert f"rows: {BAD + 4} read, 1 accepted, {BAD + 3} rejected" in text
    assert "embed: " in text
    assert f"shelflens operations errors {rejected.name} -o rejected.csv" in text
    document = json.loads(shelflens(server, "operations", "get", rejected.name, "--json").stdout)
    assert len(document["rejections"]) == 100

    file = tmp_path / "report.html"
    options = ("--html", file, "--images", bad_folder)
    shelflens(server, "operations", "get", rejected.name, *options)
    page = file.read_text("utf-8")
    assert page.count("<tr><td>") > BAD
    assert f"All {BAD + 3} as CSV" in page
    assert page.count("<img ") == 1
    assert 'src="data:image/jpeg;base64,' in page
    assert "=cmd|&#x27; /C calc&#x27;!A0" in page


def test_a_deleted_operation_takes_its_report_along(
    server: LocalServer, client: Client, bad_folder: Path
) -> None:
    operation = client.import_products("reports-2", bad_folder / "products.csv")
    report = server.data / "objects" / operation.errors_uri
    assert report.is_file()
    client.delete_operation(operation.name)
    assert not report.exists()


def _collection(server: LocalServer, catalog: str) -> str:
    records = open_sqlite(server.data / "records.db")
    with records.begin() as tx:
        found = tx.catalogs.deployment(catalog).collection
    records.close()
    return found


def _points(server: LocalServer, catalog: str, images: list[str]) -> dict[str, Float32]:
    """The vectors that search compares with, by image name."""
    ids = {}
    for image in images:
        _, of, _, product, _, sha256 = image.split("/")
        ids[point_id(of, product, sha256)] = image
    vectors = QdrantVectors("127.0.0.1", vector_port(server))
    try:
        found = vectors.fetch(_collection(server, catalog), list(ids))
    finally:
        vectors.close()
    return {ids[each]: point.vector for each, point in found.items()}


def test_exported_embeddings_are_the_vectors_that_search_uses(
    server: LocalServer, client: Client, shop: Shop, tmp_path: Path
) -> None:
    fresh = vary_shop(shop, tmp_path / "shop", rows_per_product=1, seed=83)
    client.import_products("exported", fresh.manifest).raise_for_error()
    file = tmp_path / "emb.parquet"
    shelflens(server, "export", "exported", "--embeddings", "-o", file)
    table = pq.read_table(file)
    digest = client.get_catalog("exported").model_digest
    assert table.schema.metadata[b"model_digest"].decode() == digest
    rows: list[dict[str, Any]] = table.to_pylist()
    products = client.list_products("exported")
    names = [image.name for each in products for image in client.list_images(each.name)]
    assert sorted(each["image"] for each in rows) == sorted(names)
    stored = _points(server, "exported", names)
    for each in rows:
        mine, theirs = np.array(each["values"]), stored[each["image"]]
        assert mine @ theirs / np.linalg.norm(mine) / np.linalg.norm(theirs) > 0.9999


def test_exported_records_can_be_imported_again(
    server: LocalServer, client: Client, shop: Shop, tmp_path: Path
) -> None:
    client.import_products("copied", shop.manifest).raise_for_error()
    for name in ("shop.parquet", "shop.jsonl"):
        file, copy = tmp_path / name, f"copy-{name[5:]}"
        shelflens(server, "export", "copied", "-o", file)
        shelflens(server, "import", copy, file, "--images", shop.root)
        first, second = list(client.list_products("copied")), list(client.list_products(copy))
        assert [each.sku for each in second] == [each.sku for each in first]
        for mine, theirs in zip(first, second, strict=True):
            assert (mine.title, mine.categories, mine.labels) == (
                theirs.title,
                theirs.categories,
                theirs.labels,
            )
            assert (mine.price, mine.attributes) == (theirs.price, theirs.attributes)
        (image,) = client.list_images(second[0].name)
        row = next(each for each in shop.rows() if each["sku"] == second[0].sku)
        assert image.sha256 == hashlib.sha256(shop.image(row).read_bytes()).hexdigest()
