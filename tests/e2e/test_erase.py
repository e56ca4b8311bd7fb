"""Erased means gone: from search, records, points, embedding files, pictures and reports."""

import hashlib
import time
from pathlib import Path

import pytest

from services.core.adapters.qdrant_vectors import QdrantVectors
from services.core.adapters.sql_records import open_sqlite
from services.core.domain.keys import image_key
from services.core.domain.names import point_id
from services.core.shard_files import read_embeddings
from shelflens import Client
from shelflens.errors import NotFound
from shelflens.names import product_id
from shelflens.values import Erasure
from tests.e2e.processes import vector_port
from tests.e2e.shop import Shop, new_picture, vary_shop, write_manifest
from tests.local_server import LocalServer


def embedded(data: Path) -> set[str]:
    """Hashes of every row of every embedding file in a data directory."""
    files = (data / "objects/embeddings").rglob("*.arrow")
    return {sha256 for file in files for sha256 in read_embeddings(file.read_bytes()).sha256s}


def picture(data: Path, sha256: str) -> Path:
    return data / "objects" / image_key(sha256)


def points(server: LocalServer, catalog: str, *images: tuple[str, str]) -> set[str]:
    """Hashes of those of the (SKU, hash) pairs that are points of the collection."""
    records = open_sqlite(server.data / "records.db")
    with records.begin() as tx:
        collection = tx.catalogs.deployment(catalog).collection
    records.close()
    vectors = QdrantVectors("127.0.0.1", vector_port(server))
    try:
        wanted = {point_id(catalog, product_id(sku), sha): sha for sku, sha in images}
        return {wanted[each] for each in vectors.fetch(collection, list(wanted))}
    finally:
        vectors.close()


def shop_of(root: Path, shop: Shop, seed: int, *products: tuple[str, list[bytes]]) -> Path:
    """A manifest of these products with their pictures, which no server has seen."""
    root.mkdir()
    rows = []
    for at, (sku, pictures) in enumerate(products):
        names = [f"{at}-{number}.jpg" for number in range(len(pictures))]
        for name, data in zip(names, pictures, strict=True):
            (root / name).write_bytes(data)
        rows.append({"sku": sku, "title": f"Product {sku}", "image": "|".join(names)})
    return write_manifest(root / "products.csv", rows)


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_an_erased_product_leaves_nothing_and_a_shared_picture_stays(
    server: LocalServer, client: Client, shop: Shop, tmp_path: Path
) -> None:
    own, shared, other = (new_picture(shop, 71, number) for number in range(3))
    manifest = shop_of(
        tmp_path / "m", shop, 71, ("Gone 1", [own, shared]), ("stays", [shared, other])
    )
    client.import_products("erase-a", manifest).raise_for_error()
    client.import_products("erase-b", manifest).raise_for_error()
    first = client.wait_operation(client.erase("erase-b/Gone 1").name, timeout=60)
    assert first.erased == Erasure(image_count=2, object_count=0, shared_count=2)
    assert {sha(own), sha(shared), sha(other)} <= embedded(server.data)

    operation = client.erase("erase-a/Gone 1")
    hits = client.search("erase-a", own, top_k=10).results  # at once, before it has ended
    assert [each.sku for each in hits] == ["stays"]
    ended = client.wait_operation(operation.name, timeout=60).raise_for_error()

    assert ended.kind == "erase_content"
    assert ended.erased == Erasure(image_count=2, object_count=2, shared_count=1)
    assert not picture(server.data, sha(own)).exists()
    assert picture(server.data, sha(shared)).exists()
    assert {sha(own), sha(shared), sha(other)} & embedded(server.data) == {sha(shared), sha(other)}
    images = [("Gone 1", sha(own)), ("Gone 1", sha(shared)), ("stays", sha(shared))]
    assert points(server, "erase-a", *images[:2]) == set()
    assert points(server, "erase-a", images[2]) == {sha(shared)}
    with pytest.raises(NotFound):
        client.get_product("erase-a/Gone 1")
    for data in (shared, other):
        assert client.search("erase-a", data, top_k=1).results[0].score > 0.9999
        assert client.search("erase-b", data, top_k=1).results[0].score > 0.9999
    records = open_sqlite(server.data / "records.db")
    with records.begin() as tx:
        tombstone = tx.erasing.remains("erase-a", product_id("Gone 1"), "")
    records.close()
    assert (tombstone.sku, tombstone.sources) == (product_id("Gone 1"), ())


def test_an_erased_image_is_gone_and_a_later_import_may_bring_it_back(
    server: LocalServer, client: Client, shop: Shop, tmp_path: Path
) -> None:
    first, second = new_picture(shop, 72, 0), new_picture(shop, 72, 1)
    manifest = shop_of(tmp_path / "m", shop, 72, ("a", [first, second]))
    client.import_products("erase-c", manifest).raise_for_error()
    name = f"erase-c/a/{sha(first)}"
    ended = client.wait_operation(client.erase(name).name, timeout=60).raise_for_error()
    assert ended.erased == Erasure(image_count=1, object_count=2, shared_count=0)
    assert [each.sha256 for each in client.list_images("erase-c/a")] == [sha(second)]
    assert sha(first) not in embedded(server.data)
    assert not picture(server.data, sha(first)).exists()

    again = client.wait_operation(client.erase(name).name, timeout=60).raise_for_error()
    assert again.erased == Erasure(0, 0, 0)
    with pytest.raises(NotFound):
        client.erase(f"erase-c/a/{'0' * 64}")

    client.import_products("erase-c", manifest).raise_for_error()
    best = client.search("erase-c", first, top_k=1).results[0]
    assert (best.image.rpartition("/")[2], best.score > 0.9999) == (sha(first), True)


def test_what_was_deleted_can_still_be_erased(
    server: LocalServer, client: Client, shop: Shop, tmp_path: Path
) -> None:
    data = new_picture(shop, 73)
    manifest = shop_of(tmp_path / "m", shop, 73, ("a", [data]))
    client.import_products("erase-d", manifest).raise_for_error()
    client.delete_product("erase-d/a")
    assert picture(server.data, sha(data)).exists()
    ended = client.wait_operation(client.erase("erase-d/a").name, timeout=60).raise_for_error()
    assert ended.erased == Erasure(image_count=0, object_count=2, shared_count=0)
    assert not picture(server.data, sha(data)).exists()
    assert sha(data) not in embedded(server.data)


def test_error_reports_no_longer_name_an_erased_product(
    client: Client, shop: Shop, tmp_path: Path
) -> None:
    data = new_picture(shop, 74)
    manifest = shop_of(tmp_path / "m", shop, 74, ("secret", [data]), ("open", [data]))
    lines = manifest.read_text().splitlines()
    lines = [lines[0]] + [line + "|gone.jpg" for line in lines[1:]]
    manifest.write_text("\n".join(lines) + "\n")
    operation = client.import_products("erase-e", manifest).raise_for_error()
    before = b"".join(client.download_import_errors(operation.name)).decode()
    assert before.count("gone.jpg") == 2
    client.wait_operation(client.erase("erase-e/secret").name, timeout=60).raise_for_error()
    after = b"".join(client.download_import_errors(operation.name)).decode()
    assert "secret" not in after
    assert len(after.splitlines()) == len(before.splitlines())
    assert "1,(erased),IMAGE_NOT_FOUND,images,(erased),False" in after
    assert "2,open,IMAGE_NOT_FOUND,images,gone.jpg,False" in after
    shown = client.get_operation(operation.name).rejections
    assert {each.sku for each in shown} == {"(erased)", "open"}


@pytest.mark.timeout(240)
def test_an_erasure_that_is_killed_again_and_again_ends_erased(shop: Shop, tmp_path: Path) -> None:
    fresh = vary_shop(shop, tmp_path / "shop", rows_per_product=2, seed=75)
    rows = fresh.rows()
    doomed = [row["sku"] for row in rows[:6]]
    with LocalServer(tmp_path / "data", "--shard-rows", "16") as server:
        with server.client() as client:
            client.import_products("mortal", fresh.manifest).raise_for_error()
            gone = [i.sha256 for sku in doomed for i in client.list_images(f"mortal/{sku}")]
            names = [client.erase(f"mortal/{sku}").name for sku in doomed]
        for delay in (0.0, 0.02, 0.3):
            server.kill()
            server.start()
            time.sleep(delay)  # the moment is the point, nothing waits for it
        server.kill()
        server.start()
        with server.client() as client:
            ended = [client.wait_operation(name, timeout=60).raise_for_error() for name in names]
            rest = [i.sha256 for p in client.list_products("mortal") for i in
                    client.list_images(p.name)]  # fmt: skip
            for each in rest[::20]:
                data = client.search("mortal", picture(server.data, each), top_k=1)
                assert data.results[0].score > 0.9999
        assert len(gone) == 4 * len(doomed)
        assert {each.erased for each in ended} == {Erasure(4, 8, 0)}
        assert set(gone) & embedded(server.data) == set()
        assert set(rest) <= embedded(server.data)
        assert not any(picture(server.data, each).exists() for each in gone)
        pairs = [(sku, sha256) for sku in doomed for sha256 in gone]
        assert points(server, "mortal", *pairs) == set()
