"""Every failure of the program is an exit code and one line that says what to do."""

import socket
from pathlib import Path

import pytest

from shelflens import Client
from tests.e2e.shop import Shop
from tests.e2e.test_cli import Shell
from tests.local_server import LocalServer


@pytest.fixture(scope="module")
def shell(server: LocalServer) -> Shell:
    return Shell(server.target)


@pytest.fixture
def closed_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def test_a_missing_catalogue_exits_with_three(shell: Shell, shop: Shop) -> None:
    line = shell.error("search", "nowhere", shop.photos[0][0], code=3)
    assert line.startswith("error: CATALOG_NOT_FOUND: ")
    assert "catalogs/nowhere" in line


def test_a_missing_photo_exits_with_three(shell: Shell, client: Client, tmp_path: Path) -> None:
    client.create_catalog("photoless")
    line = shell.error("search", "photoless", tmp_path / "none.jpg", code=3)
    assert line.startswith("error: FILE_NOT_FOUND: ")
    assert "none.jpg" in line


def test_a_missing_manifest_starts_nothing(shell: Shell, client: Client, tmp_path: Path) -> None:
    line = shell.error("import", "unborn", tmp_path / "none.csv", code=1)
    assert line.startswith("error: MANIFEST_NOT_FOUND: ")
    assert "catalogs/unborn" not in [each.name for each in client.list_catalogs()]


def test_an_unreachable_server_exits_with_five_and_is_named(
    shell: Shell, shop: Shop, closed_port: int
) -> None:
    target = f"127.0.0.1:{closed_port}"
    photo = shop.photos[0][0]
    line = shell.error("search", "shop", photo, "--target", target, code=5)
    assert line.startswith("error: UNAVAILABLE: ")
    assert target in line
    assert "shelflens serve" in line


def test_a_photo_that_is_no_picture_is_named_as_such(
    shell: Shell, client: Client, tmp_path: Path
) -> None:
    client.create_catalog("textual")
    (tmp_path / "text.jpg").write_text("no picture")
    line = shell.error("search", "textual", tmp_path / "text.jpg", code=1)
    assert line.startswith("error: IMAGE_FORMAT_UNSUPPORTED: ")


def test_a_name_that_cannot_be_exits_with_two(shell: Shell) -> None:
    line = shell.error("products", "get", "no-slash", code=2)
    assert line.startswith("error: INVALID_NAME: ")


def test_an_unknown_model_makes_no_catalogue(shell: Shell, client: Client) -> None:
    line = shell.error("catalogs", "create", "modelled", "--model", "models/none", code=3)
    assert line.startswith("error: MODEL_NOT_FOUND: ")
    assert "catalogs/modelled" not in [each.name for each in client.list_catalogs()]


def test_weights_that_would_run_code_stop_the_start_in_one_line_and_run_nothing(
    shell: Shell, tmp_path: Path
) -> None:
    weights, proof = tmp_path / "model.pt", tmp_path / "proof"
    weights.write_bytes(f"cos\nsystem\n(S'touch {proof}'\ntR.".encode())
    line = shell.error(
        *("serve", "--data", tmp_path / "data", "--port", "0"),
        *("--backbone", "tf_efficientnet_lite0", "--weights", weights),
        code=1,
    )
    assert line.startswith("error: UNSAFE_WEIGHTS: weights 'model.pt': ")
    assert not proof.exists()


def test_wrong_settings_stop_the_start_and_each_is_named(shell: Shell, tmp_path: Path) -> None:
    with shell.start("serve", "--data", tmp_path / "data", "--port", "70000") as process:
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (1, "")
    first, *problems = err.splitlines()
    assert first.startswith("error: BAD_SETTINGS: ")
    assert [each.split()[0] for each in problems] == ["SHELFLENS_PORT:"]
    assert not (tmp_path / "data").exists()
