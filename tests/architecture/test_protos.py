"""The stubs in the client are what the protos say."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
STUBS = ROOT / "services/client/shelflens/v1"
BIN = Path(sys.executable).parent


def test_make_protos_reproduces_the_stubs(tmp_path: Path) -> None:
    _make_protos(tmp_path)
    made = {each.name: each.read_text() for each in (tmp_path / "shelflens/v1").iterdir()}
    kept = {each.name: each.read_text() for each in STUBS.glob("*_pb2*")}
    assert len(made) == 4 * len(list((ROOT / "protos/shelflens/v1").glob("*.proto")))
    assert sorted(made) == sorted(kept)
    differing = [name for name, text in made.items() if kept[name] != text]
    assert differing == [], "run: make protos"


def test_buf_finds_nothing_in_the_protos() -> None:
    linted = subprocess.run(
        [BIN / "buf", "lint", "protos"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (linted.returncode, linted.stdout) == (0, ""), linted.stderr


def _make_protos(target: Path) -> None:
    """`make protos` into another folder. `-o install`: tests change no virtual environment."""
    made = subprocess.run(
        ["make", "-o", "install", "protos", f"STUBS={target}", f"BIN={BIN}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert made.returncode == 0, made.stdout + made.stderr
