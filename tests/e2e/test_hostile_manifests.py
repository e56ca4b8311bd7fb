"""Every kind of hostile manifest is refused with a reason, or each of its rows has a verdict."""

import os
from pathlib import Path

import pytest

from shelflens import Client
from shelflens.errors import InvalidArgument, InvalidManifest
from shelflens.manifests import open_manifest
from tests.hostile.folders import good_picture
from tests.hostile.manifest_kinds import PICTURE, HostileManifest
from tests.hostile.manifests import MANIFESTS

ANY = "*"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image root with traps in it, and a secret outside."""
    folder = tmp_path_factory.mktemp("manifests") / "root"
    folder.mkdir()
    (folder / PICTURE).write_bytes(good_picture(1))
    (folder.parent / "secret.jpg").write_bytes(good_picture(2))
    (folder / "link.jpg").symlink_to("../secret.jpg")
    (folder / "linked").symlink_to("..")
    (folder / "loop.jpg").symlink_to("loop.jpg")
    (folder / "folder.jpg").mkdir()
    (folder / "empty.jpg").touch()
    os.mkfifo(folder / "pipe.jpg")
    return folder


@pytest.mark.parametrize("kind", MANIFESTS, ids=lambda kind: kind.name)
def test_every_kind_is_refused_or_each_row_has_its_verdict(
    kind: HostileManifest, root: Path, client: Client, tmp_path: Path
) -> None:
    manifest = tmp_path / kind.file
    manifest.write_bytes(kind.make())
    catalog = f"hostile-{kind.name}"
    if kind.refused:
        with pytest.raises(InvalidArgument) as raised:
            client.import_products(catalog, manifest, root=root)
        assert kind.refused in (ANY, raised.value.reason)
        return
    operation = client.import_products(catalog, manifest, root=root).raise_for_error()
    counts = operation.counts
    assert counts.rows_read == len(kind.rows) == counts.rows_accepted + counts.rows_rejected
    found = {each.row: each.reason for each in operation.rejections if each.row_rejected}
    for number, verdict in enumerate(kind.rows, 1):
        if verdict == ANY:
            assert found.get(number), number
        else:
            assert found.get(number, "") == verdict, number


def test_nothing_outside_the_root_reached_the_server(
    root: Path, client: Client, tmp_path: Path
) -> None:
    kind = next(each for each in MANIFESTS if each.name == "images-outside-the-root")
    manifest = tmp_path / kind.file
    manifest.write_bytes(kind.make())
    secret = (root.parent / "secret.jpg").read_bytes()
    client.import_products("hostile-secrets", manifest, root=root)
    assert not list(client.list_products("hostile-secrets"))
    assert not client.search("hostile-secrets", secret).results


def test_a_manifest_that_is_no_file_is_refused_at_once(root: Path) -> None:
    for name in ("pipe.jpg", "loop.jpg", "gone.csv"):
        with pytest.raises(InvalidManifest):
            open_manifest(root / name)
