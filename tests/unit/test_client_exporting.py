"""Exports: files that are complete or absent, and that can be imported again."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from shelflens import Client
from shelflens.cli.main import run
from shelflens.manifests import ColumnMap, open_manifest
from shelflens.manifests.rows import SourceRow
from tests.unit.test_client_server import MemoryServer, serving

DIGEST = "d" * 64


@pytest.fixture
def server() -> MemoryServer:
    return MemoryServer()


@pytest.fixture
def client(server: MemoryServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    with serving(server) as target, Client(target, timeout=10) as client:
        monkeypatch.setenv("SHELFLENS_TARGET", target)
        client.create_catalog("shop")
        client.create_product(
            "shop",
            "A 1",
            title="Tea, green",
            description="a\nb",
            categories=["Drinks > Tea"],
            labels=["x", "y"],
            price=2.5,
            attributes={"colour": "green"},
        )
        image = client.upload_image("shop/A 1", b"good picture")
        server.images[image.name].source = "teas/a.jpg"
        client.upload_image("shop/A 1", b"another one")
        client.create_product("shop", "b", stock=0)
        yield client


def rows_of(path: Path) -> list[SourceRow]:
    """What an import would read."""
    return list(open_manifest(path, ColumnMap.parse(()), separator="|"))


def records(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".parquet":
        rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
        return [row | {"attributes": json.loads(row["attributes"])} for row in rows]
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("name", ["shop.parquet", "shop.jsonl"])
def test_an_export_has_products_with_their_images(
    client: Client, tmp_path: Path, name: str
) -> None:
    assert run(["export", "shop", "-o", str(tmp_path / name)]) == 0
    first, second = sorted(records(tmp_path / name), key=lambda each: str(each["sku"]))
    assert (first["sku"], first["title"], first["price"]) == ("A 1", "Tea, green", 2.5)
    assert (first["categories"], first["attributes"]) == (["Drinks > Tea"], {"colour": "green"})
    assert first["image"] == ["teas/a.jpg"]
    images = list(client.list_images("shop/A 1"))
    assert first["image_names"] == [each.name for each in images]
    assert first["image_sha256s"] == [each.sha256 for each in images]
    assert set(first["image_sources"]) == {"teas/a.jpg", ""}
    assert set(first["image_states"]) == {"SEARCHABLE"}
    assert (second["sku"], second["stock"], second["price"]) == ("b", 0.0, None)
    assert [each.name for each in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["shop.parquet", "shop.jsonl"])
def test_an_export_is_a_manifest(client: Client, tmp_path: Path, name: str) -> None:
    assert run(["export", "shop", "-o", str(tmp_path / name)]) == 0
    first, second = sorted(rows_of(tmp_path / name), key=lambda each: str(each.fields["sku"]))
    told: dict[str, Any] = dict(first.fields)
    assert (told["sku"], told["description"]) == ("A 1", "a\nb")
    assert list(told["labels"]) == ["x", "y"]
    assert told["attributes"] == {"colour": "green"}
    assert float(told["price"]) == 2.5
    assert list(first.images or ()) == ["teas/a.jpg"]
    assert not second.images
    assert float(str(second.fields["stock"])) == 0


@pytest.mark.parametrize("name", ["e.parquet", "e.jsonl"])
def test_embeddings_are_exported_with_their_model(
    client: Client, server: MemoryServer, tmp_path: Path, name: str
) -> None:
    server.catalogs["catalogs/shop"].model_digest = DIGEST
    path = tmp_path / name
    assert run(["export", "shop", "--embeddings", "-o", str(path)]) == 0
    if path.suffix == ".parquet":
        table = pq.read_table(path)
        assert table.schema.metadata[b"model_digest"] == DIGEST.encode()
        assert str(table.schema.field("values").type) == "list<element: float>"
        rows = table.to_pylist()
    else:
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        assert {each["model_digest"] for each in rows} == {DIGEST}
    assert [each["sku"] for each in rows] == ["A 1", "b"]
    assert rows[1]["values"] == pytest.approx([1, 0.1, -1])
    assert rows[0]["image"].startswith("catalogs/shop/products/a-1-")


def test_an_export_to_stdout_is_json_lines(
    client: Client, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert run(["export", "shop", "-o", "-"]) == 0
    out = capfdbinary.readouterr().out
    assert {json.loads(line)["sku"] for line in out.splitlines()} == {"A 1", "b"}


def test_the_json_of_an_export_tells_what_was_written(
    client: Client, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["export", "shop", "-o", str(tmp_path / "x.jsonl"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["rows"], told["catalog"], told["model"]) == (2, "catalogs/shop", "models/base")


def test_errors_write_nothing(
    client: Client, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["export", "shop", "-o", str(tmp_path / "x.xlsx")]) == 1
    assert "EXPORT_FORMAT_UNKNOWN" in capsys.readouterr().err
    assert run(["export", "none", "-o", str(tmp_path / "x.jsonl")]) == 3
    assert list(tmp_path.iterdir()) == []


def test_parquet_without_pyarrow_says_what_to_install(
    client: Client,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert run(["export", "shop", "-o", str(tmp_path / "x.parquet")]) == 1
    assert "pip install 'shelflens[parquet]'" in capsys.readouterr().err
    assert run(["export", "shop", "-o", str(tmp_path / "x.jsonl")]) == 0
