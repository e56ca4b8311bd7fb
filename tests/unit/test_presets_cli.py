"""Presets on the command line and through an import."""

import json
from pathlib import Path

import pytest

from shelflens import Client, presets
from shelflens.cli.main import run
from tests.unit.test_client_server import MemoryServer, serving


def write(folder: Path) -> Path:
    for name in ("train", "test"):
        (folder / name).mkdir()
        (folder / name / "1.jpg").write_bytes(name.encode())
        (folder / f"{name}.csv").write_text("name,class,group\n1.jpg,7,-1\n")
    return folder


def test_presets_are_listed_with_their_splits(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["presets", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("\t")[0] for line in lines] == list(presets.builtin_names())
    assert "products10k\ttrain, test\tthe Products-10K data set" in lines


def test_a_shown_preset_is_the_file_to_copy(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run(["presets", "show", "shopify"]) == 0
    mine = tmp_path / "mine.yaml"
    mine.write_text(capsys.readouterr().out)
    assert presets.find(mine) == presets.find("shopify")


@pytest.mark.parametrize(
    ("text", "reason"), [("name: x", "INVALID_PRESET"), (None, "PRESET_UNKNOWN")]
)
def test_a_mistake_in_a_preset_is_wrong_usage_in_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, text: str | None, reason: str
) -> None:
    mine = tmp_path / "mine.yaml"
    if text is not None:
        mine.write_text(text)
    assert run(["presets", "show", str(mine)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {reason}: ")


def test_an_import_reads_the_split_that_was_asked_for(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    server = MemoryServer()
    arguments = ["import", "p10k", str(write(tmp_path)), "--preset", "products10k"]
    with serving(server) as target:
        assert run([*arguments, "--target", target]) == 2
        assert "SPLIT_MISSING" in capsys.readouterr().err
        assert run([*arguments, "--split", "test", "--target", target]) == 0
    (manifest,) = server.manifests.values()
    (line,) = map(json.loads, manifest.splitlines())
    assert line["fields"] == {"sku": "7", "attributes": {}}
    assert [each["source"] for each in line["images"]] == ["test/1.jpg"]


def test_the_client_says_which_preset_it_found(tmp_path: Path) -> None:
    notes: list[str] = []
    with serving(MemoryServer()) as target, Client(target, timeout=10) as client:
        client.import_products("p10k", write(tmp_path), split="train", on_note=notes.append)
    assert notes[0].startswith("looks like the Products-10K data set: using preset products10k")
