"""Images by their hash: stored bytes, and references to objects that somebody else keeps."""

import hashlib
from pathlib import Path

import pytest

from services.core.adapters.file_objects import FileObjects
from services.core.domain.errors import DataLoss, InvalidArgument, NotFound
from services.core.domain.keys import image_key, image_reference_key
from services.core.stored_images import absent, forget, has_traces, is_stored, read_image, refer

DATA = b"picture"
SHA = hashlib.sha256(DATA).hexdigest()
TARGET = "incoming/shop/a.jpg"


@pytest.fixture
def objects(tmp_path: Path) -> FileObjects:
    objects = FileObjects(tmp_path)
    objects.put(TARGET, DATA)
    return objects


def test_a_reference_is_read_like_stored_bytes_and_copies_nothing(objects: FileObjects) -> None:
    assert not is_stored(objects, SHA)
    refer(objects, SHA, TARGET)
    assert is_stored(objects, SHA)
    assert read_image(objects, SHA) == DATA
    assert list(objects.keys("images/sha256/")) == []


def test_what_a_reference_leads_to_is_believed_only_with_its_hash(objects: FileObjects) -> None:
    refer(objects, SHA, TARGET)
    objects.put(TARGET, b"another")
    with pytest.raises(DataLoss) as changed:
        read_image(objects, SHA)
    assert changed.value.reason == "DIGEST_MISMATCH"
    objects.delete(TARGET)
    assert not is_stored(objects, SHA)
    with pytest.raises(NotFound) as gone:
        read_image(objects, SHA)
    assert gone.value.reason == "IMAGE_MISSING"


def test_stored_bytes_go_before_a_reference(objects: FileObjects) -> None:
    refer(objects, SHA, TARGET)
    objects.put(image_key(SHA), DATA)
    objects.delete(TARGET)
    assert read_image(objects, SHA) == DATA
    refer(objects, hashlib.sha256(b"x").hexdigest(), TARGET)
    objects.delete(image_reference_key(SHA))
    refer(objects, SHA, TARGET)  # needs none
    assert objects.size(image_reference_key(SHA)) is None


def test_a_new_reference_takes_the_place_of_a_lost_one(objects: FileObjects) -> None:
    refer(objects, SHA, "incoming/gone.jpg")
    refer(objects, SHA, TARGET)
    assert read_image(objects, SHA) == DATA


def test_forgetting_leaves_the_original(objects: FileObjects) -> None:
    refer(objects, SHA, TARGET)
    assert has_traces(objects, SHA)
    forget(objects, SHA)
    forget(objects, SHA)
    assert not has_traces(objects, SHA)
    assert objects.get(TARGET) == DATA


@pytest.mark.parametrize("target", ["records.db", "images/sha256/aa", "incoming/../x", "", "/etc"])
def test_nothing_outside_incoming_can_be_referred_to(objects: FileObjects, target: str) -> None:
    with pytest.raises(InvalidArgument):
        refer(objects, SHA, target)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"object": "records.db"}', b"\xff"])
def test_a_damaged_reference_leads_nowhere(objects: FileObjects, content: bytes) -> None:
    objects.put(image_reference_key(SHA), content)
    assert not is_stored(objects, SHA)
    with pytest.raises(DataLoss):
        read_image(objects, SHA)


def test_what_is_absent_is_told_in_order_with_and_without_references(objects: FileObjects) -> None:
    stored, nowhere = (hashlib.sha256(each).hexdigest() for each in (b"stored", b"nowhere"))
    objects.put(image_key(stored), b"stored")
    assert absent(objects, [SHA, stored, nowhere]) == [SHA, nowhere]
    refer(objects, SHA, TARGET)
    assert absent(objects, [SHA, stored, nowhere]) == [nowhere]
