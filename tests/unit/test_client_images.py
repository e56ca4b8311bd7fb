"""Image references never lead outside their root; hashes are remembered."""

import hashlib
import os
from pathlib import Path

import pytest

from shelflens.errors import InvalidArgument, NotFound
from shelflens.images import MAX_IMAGE_BYTES, HashCache, ImageFolder, ImageProblem, read_upload


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "in").mkdir(parents=True)
    (root / "in" / "a.jpg").write_bytes(b"a")
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    (tmp_path / "root-2").mkdir()
    (tmp_path / "root-2" / "b.jpg").write_bytes(b"b")
    return root


def reason(root: Path, reference: str) -> str:
    with pytest.raises(ImageProblem) as caught:
        ImageFolder(root).find(reference)
    return caught.value.reason


@pytest.mark.parametrize("reference", ["in/a.jpg", "./in/a.jpg", "in/../in/a.jpg", "in//a.jpg"])
def test_a_file_below_the_root_is_found(root: Path, reference: str) -> None:
    found = ImageFolder(root).find(reference)
    assert found.path == str((root / "in" / "a.jpg").resolve())
    assert found.size == 1


@pytest.mark.parametrize(
    "reference",
    ["../secret.jpg", "in/../../secret.jpg", "../root-2/b.jpg", "..", "/etc/passwd", "in/../.."],
)
def test_a_reference_that_leads_outside_is_refused(root: Path, reference: str) -> None:
    assert reason(root, reference) == "IMAGE_OUTSIDE_ROOT"


def test_an_absolute_path_is_refused_even_below_the_root(root: Path) -> None:
    assert reason(root, str(root / "in" / "a.jpg")) == "IMAGE_OUTSIDE_ROOT"


def test_links_may_stay_inside_but_not_lead_outside(root: Path) -> None:
    (root / "ok.jpg").symlink_to(root / "in" / "a.jpg")
    (root / "bad.jpg").symlink_to(root.parent / "secret.jpg")
    (root / "out").symlink_to(root.parent)
    assert ImageFolder(root).find("ok.jpg").size == 1
    assert reason(root, "bad.jpg") == "IMAGE_OUTSIDE_ROOT"
    assert reason(root, "out/secret.jpg") == "IMAGE_OUTSIDE_ROOT"


@pytest.mark.parametrize("reference", ["none.jpg", "in/a.jpg/x", "nul\x00.jpg", "x" * 5000])
def test_what_is_not_there_is_not_found(root: Path, reference: str) -> None:
    assert reason(root, reference) == "IMAGE_NOT_FOUND"


def test_folders_pipes_empty_and_huge_files_are_refused(root: Path) -> None:
    os.mkfifo(root / "pipe.jpg")
    (root / "empty.jpg").touch()
    with (root / "huge.jpg").open("wb") as file:
        file.truncate(MAX_IMAGE_BYTES + 1)
    assert reason(root, "in") == "IMAGE_NOT_A_FILE"
    assert reason(root, "") == "IMAGE_NOT_A_FILE"
    assert reason(root, "pipe.jpg") == "IMAGE_NOT_A_FILE"
    assert reason(root, "empty.jpg") == "IMAGE_EMPTY"
    assert reason(root, "huge.jpg") == "IMAGE_TOO_LARGE"


def test_a_hash_is_made_once_and_again_when_the_file_changed(root: Path) -> None:
    folder, hashes = ImageFolder(root), HashCache()
    before = folder.find("in/a.jpg")
    assert hashes.sha256(before) == hashlib.sha256(b"a").hexdigest()
    (root / "in" / "a.jpg").write_bytes(b"longer")
    assert hashes.sha256(before) == hashlib.sha256(b"a").hexdigest()
    assert hashes.sha256(folder.find("in/a.jpg")) == hashlib.sha256(b"longer").hexdigest()


def test_the_cache_forgets_what_was_used_longest_ago(root: Path) -> None:
    folder, hashes = ImageFolder(root), HashCache(capacity=1)
    (root / "b.jpg").write_bytes(b"b")
    first = folder.find("in/a.jpg")
    hashes.sha256(first)
    hashes.sha256(folder.find("b.jpg"))
    (root / "in" / "a.jpg").unlink()
    with pytest.raises(ImageProblem):
        hashes.sha256(first)


def test_a_photo_to_upload_must_be_there_and_have_a_fair_size(root: Path) -> None:
    assert read_upload(root / "in" / "a.jpg") == b"a"
    with pytest.raises(NotFound):
        read_upload(root / "none.jpg")
    with pytest.raises(InvalidArgument, match="larger than 1 MiB"):
        read_upload(b"x" * ((1 << 20) + 1), 1 << 20)
    with pytest.raises(InvalidArgument, match="empty"):
        read_upload(b"")
    with pytest.raises(InvalidArgument):
        read_upload(root)
