"""The command line, against a real server: output, exit codes, errors in one line."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from shelflens.cli.main import run
from tests.unit.test_client_server import MemoryServer, serving
from tests.waiting import eventually

SHELFLENS = [sys.executable, "-c", "from shelflens.cli.main import main; main()"]


@dataclass
class Said:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Shell:
    """Runs commands in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: str | Path) -> Said:
        code = run([str(each) for each in arguments])
        return Said(code, *self._capsys.readouterr())


@pytest.fixture
def server() -> MemoryServer:
    return MemoryServer()


@pytest.fixture
def shell(
    server: MemoryServer,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Shell]:
    with serving(server) as target:
        monkeypatch.setenv("SHELFLENS_TARGET", target)
        yield Shell(capsys)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "a.jpg").write_bytes(b"good picture")
    (tmp_path / "m.csv").write_text("sku,name,image\nA 1,Tea,a.jpg\nB,Cola,none.jpg\nC\n")
    return tmp_path / "m.csv"


def test_an_import_prints_counts_and_the_first_rejections(shell: Shell, source: Path) -> None:
    said = shell("import", "shop", source)
    assert said.code == 0
    assert "rows: 3 read, 2 accepted, 1 rejected" in said.out
    assert "row 3: row rejected: WRONG_COLUMN_COUNT" in said.out
    assert "row 2: image refused: IMAGE_NOT_FOUND B images 'none.jpg'" in said.out
    assert "made catalogs/shop" in said.err
    assert "title = name" in said.err


def test_rejected_rows_fail_only_when_asked(shell: Shell, source: Path) -> None:
    said = shell("import", "shop", source, "--fail-on-rejected", "--json")
    assert said.code == 4
    assert said.json["counts"]["rows_rejected"] == 1
    assert said.json["done"] is True


def test_an_import_that_is_not_waited_for_can_be_waited_for_later(
    shell: Shell, source: Path
) -> None:
    said = shell("import", "shop", source, "--no-wait", "--map", "title=name", "--images", ".")
    assert said.out == ""
    name = said.err.rpartition("operations wait ")[2].strip()
    assert name.startswith("operations/")
    waited = shell("operations", "wait", name.removeprefix("operations/"))
    assert waited.code == 0
    assert "rows: 3 read" in waited.out


def test_search_prints_the_documented_json(shell: Shell, source: Path) -> None:
    shell("import", "shop", source)
    said = shell("search", "shop", source.parent / "a.jpg", "--json", "-k", "1")
    always = {"results", "model", "index_time", "timings_ms"}
    assert set(said.json) == always | {"verdict", "skipped_stages", "warnings", "feedback_token"}
    (result,) = said.json["results"]
    expected = {"product", "sku", "title", "category", "score", "image", "hits"}
    assert set(result) == expected | {"parent", "price", "stock", "reranked", "folded_products"}
    assert set(result["hits"][0]) == {"image", "score", "reranked"}
    assert said.json["timings_ms"] == {"total": 1.5}
    assert said.err == ""


def test_search_for_people_has_a_line_a_result(shell: Shell, source: Path) -> None:
    shell("import", "shop", source)
    said = shell("search", "shop", source.parent / "a.jpg", "--timings")
    assert said.out.splitlines()[0].split("\t")[:3] == ["0.5000", "A 1", "Tea"]
    assert "total 1.5 ms" in said.err


def test_search_options_reach_the_server(shell: Shell, source: Path, server: MemoryServer) -> None:
    shell("import", "shop", source)
    said = shell(
        "search", "shop", "--image", f"shop/B/{'a' * 64}", "--category", "Tea", "--category",
        "Hot", "--label", "x", "--sku", "A", "--min-price", "1", "--max-price", "2",
        "--min-stock", "3", "--threshold", "0.5", "--group-by", "parent",
    )  # fmt: skip
    assert said.code == 0, said.err
    sent = server.searches[-1]
    assert list(sent.filter.categories) == ["Tea", "Hot"]
    assert [each.field for each in sent.filter.ranges] == ["price", "stock"]
    assert (sent.score_threshold, sent.group_by) == (0.5, 2)


def test_catalogs_products_images_and_operations_are_managed(
    shell: Shell, source: Path, tmp_path: Path
) -> None:
    assert shell("catalogs", "create", "shop", "--name", "My shop").code == 0
    assert shell("catalogs", "update", "shop", "--name", "Ours", "--json").json["display_name"]
    shell("import", "shop", source)
    assert [each["name"] for each in shell("catalogs", "list", "--json").json] == ["catalogs/shop"]
    assert "display_name: Ours" in shell("catalogs", "get", "shop").out
    assert len(shell("products", "list", "shop", "--json").json) == 2
    assert shell("products", "list", "shop").out.count("\n") == 2
    assert shell("products", "get", "shop/A 1", "--json").json["sku"] == "A 1"
    updated = shell("products", "update", "shop/B", "--price", "2.5", "--label", "x", "--json")
    assert (updated.json["price"], updated.json["labels"]) == (2.5, ["x"])

    uploaded = shell("images", "upload", "shop/B", tmp_path / "a.jpg", "--json").json["name"]
    assert [each["name"] for each in shell("images", "list", "shop/B", "--json").json] == [uploaded]
    assert shell("images", "get", uploaded).code == 0
    assert shell("images", "download", uploaded, "-o", tmp_path / "copy").code == 0
    assert (tmp_path / "copy").read_bytes() == b"good picture"
    assert shell("images", "delete", uploaded).code == 0
    assert shell("images", "list", "shop/B", "--json").json == []

    (operation,) = shell("operations", "list", "--json").json
    name = operation["name"]
    assert shell("operations", "get", name, "--json").json["kind"] == "import"
    assert shell("operations", "cancel", name).code == 0
    assert shell("operations", "delete", name).code == 0
    assert shell("products", "delete", "shop/B").code == 0
    assert shell("catalogs", "delete", "shop", "--force").code == 0
    assert shell("catalogs", "list").out == ""


@pytest.mark.parametrize(
    ("arguments", "code", "error"),
    [
        (["catalogs", "get", "x"], 3, "error: CATALOG_NOT_FOUND: catalogs/x does not exist"),
        (["search", "x", "/no/file"], 3, "error: FILE_NOT_FOUND: /no/file does not exist"),
        (["search", "x"], 2, "error: QUERY_MISSING: "),
        (["search", "x", "a", "--bogus"], 2, "error: USAGE: No such option: --bogus"),
        (["nonsense"], 2, "error: USAGE: No such command"),
        (["products", "get", "x"], 2, "error: INVALID_NAME: "),
        (["import", "x", "/no/file"], 1, "error: MANIFEST_NOT_FOUND: "),
        (["operations", "wait", "none"], 3, "error: OPERATION_NOT_FOUND: "),
        (["catalogs", "list", "--target", "127.0.0.1:1"], 5, "error: UNAVAILABLE: cannot reach"),
    ],
)
def test_an_error_is_one_line_and_a_documented_exit_code(
    shell: Shell, arguments: list[str], code: int, error: str
) -> None:
    said = shell(*arguments)
    assert (said.code, said.out) == (code, "")
    assert said.err.startswith(error)
    assert said.err.count("\n") == 1


def test_a_failed_operation_is_an_error(shell: Shell, source: Path, server: MemoryServer) -> None:
    shell("import", "shop", source, "--no-wait")
    (name,) = server.operations
    shell("operations", "cancel", name)
    said = shell("operations", "wait", name)
    assert (said.code, said.err.splitlines()[-1]) == (1, "error: CANCELLED: cancelled by a user")
    as_json = shell("operations", "wait", name, "--json")
    assert (as_json.code, as_json.json["error"]["reason"]) == (1, "CANCELLED")


@pytest.mark.parametrize("group", [[], ["catalogs"], ["search"], ["import"], ["operations"]])
def test_every_group_has_help(shell: Shell, group: list[str]) -> None:
    said = shell(*group, "--help")
    assert said.code == 0
    assert "Usage: shelflens" in said.out


def test_the_target_may_be_given_before_or_after_the_command(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = os.environ["SHELFLENS_TARGET"]
    monkeypatch.delenv("SHELFLENS_TARGET")
    assert shell("--target", target, "catalogs", "list").code == 0
    assert shell("--target", "127.0.0.1:1", "catalogs", "list", "--target", target).code == 0


def test_the_help_names_the_exit_codes(shell: Shell) -> None:
    assert "5 server not reachable" in " ".join(shell("--help").out.split())


def server_package(root: Path) -> Path:
    """An empty `services.local` that hides an installed one from a process started in `root`."""
    package = root / "services" / "local"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package.parent / "__init__.py").touch()
    return package


def test_serve_hands_its_arguments_over_unparsed(
    tmp_path: Path,
) -> None:
    package = server_package(tmp_path)
    (package / "serve.py").write_text("def main(argv):\n    print(argv)\n    return 9\n")
    said = subprocess.run(
        [*SHELFLENS, "serve", "--data", "d", "--port", "1", "--help"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (said.returncode, said.stdout) == (9, "['--data', 'd', '--port', '1', '--help']\n")


def test_serve_without_the_server_says_what_to_install(tmp_path: Path) -> None:
    server_package(tmp_path)
    said = subprocess.run(
        [*SHELFLENS, "serve", "--data", "d"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 1
    assert said.stderr.startswith("error: SERVER_NOT_INSTALLED: ")
    assert "pip install 'shelflens-server[local]'" in said.stderr


def test_ctrl_c_leaves_the_import_running_and_says_how_to_come_back(
    shell: Shell, source: Path, server: MemoryServer
) -> None:
    server.polls_until_done = 1_000_000
    process = subprocess.Popen(
        [*SHELFLENS, "import", "shop", str(source)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
    )
    eventually(lambda: server.calls.get("WaitOperation", 0) >= 2, 20, "the import waits")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=10)
    (name,) = server.operations
    assert process.returncode == 130
    assert out == ""
    assert f"shelflens operations wait {name}" in err
    assert "Traceback" not in err
    assert not server.operations[name].done


def test_the_command_line_starts_without_loading_grpc_rich_or_protobuf() -> None:
    code = (
        "import sys; from shelflens.cli.main import run; run(['--help']);"
        "print([m for m in ('grpc', 'rich', 'google.protobuf', 'pyarrow', 'numpy')"
        " if m in sys.modules], file=sys.stderr)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stderr == "[]\n"
