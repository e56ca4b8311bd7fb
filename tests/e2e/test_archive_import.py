"""Catalogues that come as one archive, through a real server."""

import os
import threading
from pathlib import Path

import pytest

from shelflens import Client
from shelflens.errors import InvalidManifest
from tests.e2e.shop import PRODUCTS, Shop, new_picture
from tests.unit.archive_files import KINDS, jpeg, pack


def packed(shop: Shop, kind: str, *, manifest_last: bool = False) -> bytes:
    """The whole shop below one folder."""
    files = {"shop/products.csv": shop.manifest.read_bytes()}
    for row in shop.rows():
        for reference in row["image"].split("|"):
            files[f"shop/{reference}"] = (shop.root / reference).read_bytes()
    return pack(kind, dict(reversed(files.items())) if manifest_last else files)


@pytest.mark.parametrize("kind", KINDS)
def test_an_archive_becomes_a_catalogue_that_is_searched(
    client: Client, shop: Shop, tmp_path: Path, kind: str
) -> None:
    archive = tmp_path / f"catalogue.{kind}"
    archive.write_bytes(packed(shop, kind, manifest_last=kind == "tar.gz"))
    catalog = f"from-{kind.replace('.', '-')}"
    done = client.import_products(catalog, archive).raise_for_error()
    assert done.display_name == archive.name
    assert (done.counts.rows_accepted, done.counts.rows_rejected) == (PRODUCTS, 0)
    assert done.counts.images_refused == 0
    row = shop.rows()[5]
    best = client.search(catalog, shop.image(row), top_k=1).results[0]
    assert (best.sku, best.title) == (row["sku"], row["title"])
    again = client.import_products(catalog, archive).raise_for_error().counts
    assert (again.products_unchanged, again.images_embedded) == (PRODUCTS, 0)


def test_an_archive_through_a_pipe_becomes_a_catalogue(
    client: Client, shop: Shop, tmp_path: Path
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    data = packed(shop, "tar.zst")
    writer = threading.Thread(target=pipe.write_bytes, args=(data,), daemon=True)
    writer.start()
    done = client.import_products("from-pipe", pipe).raise_for_error()
    writer.join(10)
    assert done.counts.rows_accepted == PRODUCTS


@pytest.mark.parametrize("kind", ["zip", "tar.zst"])
def test_every_row_of_an_archive_with_bad_members_is_accounted_for(
    client: Client, shop: Shop, tmp_path: Path, kind: str
) -> None:
    good = new_picture(shop, seed=77)
    files = {
        "feed.csv": b"sku,image\nA,a.jpg\nB,broken.jpg\nC,text.jpg\nD,none.jpg\nE,../x.jpg\n",
        "a.jpg": good,
        "broken.jpg": jpeg(1, 5_000),
        "text.jpg": b"no picture",
    }
    (tmp_path / "a").write_bytes(pack(kind, files))
    done = client.import_products(f"bad-{kind.replace('.', '-')}", tmp_path / "a").raise_for_error()
    assert (done.counts.rows_accepted, done.counts.rows_rejected) == (1, 4)
    reasons = {each.row: each.reason for each in done.rejections}
    assert (reasons[3], reasons[4]) == ("IMAGE_FORMAT_UNSUPPORTED", "IMAGE_NOT_FOUND")
    assert reasons[5] == "IMAGE_OUTSIDE_ROOT"
    assert set(reasons) == {2, 3, 4, 5}


def test_a_truncated_archive_changes_nothing(client: Client, shop: Shop, tmp_path: Path) -> None:
    data = packed(shop, "tar.gz")
    (tmp_path / "whole").write_bytes(data)
    (tmp_path / "half").write_bytes(data[: len(data) // 2])
    client.import_products("cut-off", tmp_path / "whole").raise_for_error()
    before = list(client.list_products("cut-off"))
    with pytest.raises(InvalidManifest, match="ends in the middle"):
        client.import_products("cut-off", tmp_path / "half")
    assert list(client.list_products("cut-off")) == before


def test_folders_of_an_archive_are_products(client: Client, shop: Shop, tmp_path: Path) -> None:
    rows = shop.rows()[:3]
    files = {f"all/{row['sku']}/front.jpg": shop.image(row).read_bytes() for row in rows}
    (tmp_path / "a.zip").write_bytes(pack("zip", files))
    done = client.import_products("by-folder", tmp_path / "a.zip").raise_for_error()
    assert done.counts.rows_accepted == 3
    best = client.search("by-folder", shop.image(rows[1]), top_k=1).results[0]
    assert best.sku == rows[1]["sku"]
