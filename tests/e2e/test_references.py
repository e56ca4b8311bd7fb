"""Images that are imported by reference stay where they are, and are checked whenever read."""

from pathlib import Path

import pytest

from services.core.adapters.file_objects import FileObjects
from shelflens import Client
from shelflens.errors import DataLoss, NotFound
from tests.e2e.shop import Shop, new_picture
from tests.local_server import LocalServer

CATALOG, COUNT = "referred", 4


@pytest.fixture(scope="module")
def objects(server: LocalServer) -> FileObjects:
    """The server's own object store: somebody puts images there."""
    return FileObjects(server.data / "objects")


@pytest.fixture(scope="module")
def pictures(
    client: Client, shop: Shop, objects: FileObjects, tmp_path_factory: pytest.TempPathFactory
) -> list[bytes]:
    """Of the products P0, P1, ... of the catalogue, in objects of the same names."""
    made = [new_picture(shop, seed=4711, number=number) for number in range(COUNT)]
    source: Path = tmp_path_factory.mktemp("referred") / "m.csv"
    lines = ["sku,image"]
    for number, data in enumerate(made):
        objects.put(target(number), data)
        lines.append(f"P{number},object:{target(number)}")
    source.write_text("\n".join(lines) + "\n")
    done = client.import_products(CATALOG, source, by_reference=True).raise_for_error()
    assert (done.counts.rows_accepted, done.counts.images_embedded) == (COUNT, COUNT)
    return made


def target(number: int) -> str:
    return f"incoming/{CATALOG}/P{number}.jpg"


def image_of(client: Client, number: int) -> str:
    (image,) = client.list_images(f"{CATALOG}/P{number}")
    return image.name


def test_they_are_found_and_read_and_not_copied(
    client: Client, pictures: list[bytes], objects: FileObjects
) -> None:
    for number, data in enumerate(pictures):
        best = client.search(CATALOG, data, top_k=1).results[0]
        assert (best.sku, best.score > 0.9999) == (f"P{number}", True)
        name = image_of(client, number)
        assert client.download_image(name) == data
        sha256 = name.rpartition("/")[2]
        assert not [key for key in objects.keys("images/sha256/") if key.endswith(sha256)]


def test_an_original_that_changed_or_vanished_is_told(
    client: Client, pictures: list[bytes], objects: FileObjects
) -> None:
    name = image_of(client, 1)
    objects.put(target(1), pictures[0])
    with pytest.raises(DataLoss) as changed:
        client.download_image(name)
    assert changed.value.reason == "DIGEST_MISMATCH"
    objects.delete(target(1))
    with pytest.raises(NotFound) as gone:
        client.download_image(name)
    assert gone.value.reason == "IMAGE_MISSING"
    objects.put(target(1), pictures[1])
    assert client.download_image(name) == pictures[1]


def test_erasing_removes_the_reference_and_leaves_the_original(
    client: Client, pictures: list[bytes], objects: FileObjects
) -> None:
    sha256 = image_of(client, 2).rpartition("/")[2]
    done = client.wait_operation(client.erase(f"{CATALOG}/P2").name).raise_for_error()
    assert done.erased is not None
    assert (done.erased.image_count, done.erased.object_count) == (1, 2)
    assert not [key for key in objects.keys("images/") if key.endswith(sha256)]
    assert objects.get(target(2)) == pictures[2]
