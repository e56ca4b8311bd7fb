"""The `shelflens` program, as the README uses it."""

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from shelflens import Client
from tests.e2e.shop import PRODUCTS, Shop, vary_shop, write_manifest
from tests.local_server import PROGRAM, LocalServer
from tests.waiting import eventually

CATALOG = "cli"
RESULT_KEYS = {
    "product",
    "sku",
    "title",
    "category",
    "score",
    "image",
    "hits",
    "parent",
    "price",
    "stock",
    "reranked",
    "folded_products",
}


class Shell:
    """Runs the program against one server."""

    def __init__(self, target: str) -> None:
        self._environment = os.environ | {"SHELFLENS_TARGET": target}

    def start(self, *arguments: str | Path) -> "subprocess.Popen[str]":
        """The program, running."""
        return subprocess.Popen(
            [PROGRAM, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self._environment,
        )

    def run(self, *arguments: str | Path, code: int = 0) -> str:
        """What it wrote to stdout. `code` is the exit code that it must have."""
        with self.start(*arguments) as process:
            out, err = process.communicate(timeout=90)
        assert process.returncode == code, err
        return out

    def json(self, *arguments: str | Path, code: int = 0) -> Any:
        """The JSON document on stdout."""
        return json.loads(self.run(*arguments, "--json", code=code))

    def error(self, *arguments: str | Path, code: int) -> str:
        """The one line on stderr of a command that fails."""
        with self.start(*arguments) as process:
            out, err = process.communicate(timeout=90)
        assert (process.returncode, out) == (code, ""), err
        (line,) = err.splitlines()
        return line


@pytest.fixture(scope="module")
def shell(server: LocalServer) -> Shell:
    return Shell(server.target)


@pytest.fixture(scope="module")
def imported(shell: Shell, shop: Shop) -> Any:
    """The operation of an import with renamed columns."""
    rows = [
        {"artikel": row["sku"], "bezeichnung": row["title"], "pfad": row["image"]}
        | {key: row[key] for key in ("category", "price", "stock", "parent", "labels")}
        for row in shop.rows()
    ]
    manifest = write_manifest(shop.root / "renamed.csv", rows)
    shell.run("catalogs", "create", CATALOG, "--name", "From the shell")
    mapping = ["--map", "sku=artikel", "--map", "title=bezeichnung", "--map", "image=pfad"]
    return shell.json("import", CATALOG, manifest, *mapping, "--wait")


def test_an_import_prints_its_operation_as_json(imported: Any) -> None:
    assert (imported["state"], imported["done"], imported["error"]) == ("SUCCEEDED", True, None)
    assert imported["counts"]["rows_read"] == imported["counts"]["rows_accepted"] == PRODUCTS
    assert imported["name"].startswith("operations/")


@pytest.mark.usefixtures("imported")
def test_search_json_has_the_promised_shape(shell: Shell, shop: Shop) -> None:
    row = shop.rows()[2]
    document = shell.json("search", CATALOG, shop.image(row), "-k", "4")
    promised = ["results", "model", "index_time", "timings_ms"]
    later = ["verdict", "skipped_stages", "warnings", "feedback_token"]
    assert list(document) == promised + later
    assert (document["model"], len(document["results"])) == ("models/base", 4)
    assert document["index_time"].endswith("Z")
    assert set(document["timings_ms"]) == {"decode", "embed", "search", "records", "total"}
    for result in document["results"]:
        assert set(result) == RESULT_KEYS
        best_hit = {"image": result["image"], "score": result["score"], "reranked": None}
        assert result["hits"][0] == best_hit
    best = document["results"][0]
    assert (best["sku"], best["title"]) == (row["sku"], row["title"])
    assert (best["category"], best["price"]) == (row["category"], float(row["price"]))
    assert best["image"].startswith(best["product"] + "/images/")


@pytest.mark.usefixtures("imported")
def test_search_prints_a_line_a_result_off_a_terminal(shell: Shell, shop: Shop) -> None:
    lines = shell.run("search", CATALOG, shop.photos[0][0], "--top-k", "3").splitlines()
    assert len(lines) == 3
    assert all(len(line.split("\t")) == 6 for line in lines)


def test_operations_are_listed_read_waited_for_and_forgotten(shell: Shell, imported: Any) -> None:
    name = imported["name"]
    assert name in [each["name"] for each in shell.json("operations", "list")]
    assert shell.json("operations", "get", name)["counts"] == imported["counts"]
    waited = shell.json("operations", "wait", name.removeprefix("operations/"))
    assert waited["state"] == "SUCCEEDED"
    shell.run("operations", "delete", name)
    assert shell.error("operations", "get", name, code=3).startswith("error: OPERATION_NOT_FOUND")


def test_an_import_left_without_waiting_is_rejoined(
    shell: Shell, shop: Shop, tmp_path: Path
) -> None:
    fresh = vary_shop(shop, tmp_path / "fresh", rows_per_product=1, seed=41)
    begun = shell.json("import", "rejoined", fresh.manifest, "--no-wait")
    assert begun["done"] is False
    rejoined = shell.json("operations", "wait", begun["name"])
    assert rejoined["state"] == "SUCCEEDED"
    assert rejoined["counts"]["rows_accepted"] == PRODUCTS


def test_ctrl_c_leaves_a_waiting_import_running(
    shell: Shell, client: Client, shop: Shop, tmp_path: Path
) -> None:
    fresh = vary_shop(shop, tmp_path / "fresh", rows_per_product=3, seed=42)
    with shell.start("import", "interrupted", fresh.manifest) as process:
        name = eventually(lambda: _working(client, "interrupted"), 60, "the import is under way")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (130, "")
    assert f"shelflens operations wait {name}" in err
    assert "Traceback" not in err
    assert not client.get_operation(name).done
    rejoined = shell.json("operations", "wait", name)
    assert rejoined["state"] == "SUCCEEDED"
    assert rejoined["counts"]["rows_accepted"] == 3 * PRODUCTS


def test_a_cancelled_import_says_so(
    shell: Shell, client: Client, shop: Shop, tmp_path: Path
) -> None:
    fresh = vary_shop(shop, tmp_path / "fresh", rows_per_product=3, seed=43)
    name = shell.json("import", "cancelled", fresh.manifest, "--no-wait")["name"]
    eventually(lambda: _working(client, "cancelled"), 60, "the import is under way")
    shell.run("operations", "cancel", name)
    ended = shell.json("operations", "wait", name, code=1)
    assert (ended["state"], ended["error"]["code"]) == ("CANCELLED", "CANCELLED")


def test_fail_on_rejected_rows_exits_with_four(shell: Shell, shop: Shop) -> None:
    rows = [shop.rows()[0], shop.rows()[1] | {"image": "gone.jpg"}]
    manifest = write_manifest(shop.root / "half.csv", rows)
    out = shell.run("import", "half", manifest, "--fail-on-rejected", code=4)
    assert "rows: 2 read, 1 accepted, 1 rejected" in out
    assert "row 2: row rejected: IMAGE_NOT_FOUND" in out


def _working(client: Client, catalog: str) -> str:
    """The name of the catalogue's import when it has embedded something."""
    for each in client.list_operations():
        if each.catalog == f"catalogs/{catalog}" and each.counts.images_embedded:
            return each.name
    return ""
