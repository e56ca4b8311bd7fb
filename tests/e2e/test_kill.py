"""A server that is killed again and again finishes an import as if nothing had happened."""

import random
import shutil
import time
from pathlib import Path

import pytest

from shelflens import Client
from tests.e2e.outcomes import observe, self_scores
from tests.e2e.shop import Shop, write_manifest
from tests.local_server import LocalServer

SEED = 20
KILLS = 10
AT_LEAST_DURING = 6  # kills that must have hit the running import for the test to mean anything


@pytest.fixture(scope="module")
def troubled_shop(big_shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """The big shop with a broken picture, a missing file and a bad price among its rows."""
    root = tmp_path_factory.mktemp("troubled") / "shop"
    shutil.copytree(big_shop.root, root)
    rows = big_shop.rows()
    rows[20]["image"] += "|images/gone.jpg"
    rows[65]["price"] = "-1"
    rows[100]["image"] = "images/cut.jpg"
    whole = big_shop.image(rows[101]).read_bytes()
    (root / "images/cut.jpg").write_bytes(whole[: len(whole) // 2])
    return Shop(write_manifest(root / "products.csv", rows))


@pytest.mark.timeout(300)
def test_an_import_through_ten_kills_ends_like_an_undisturbed_one(
    client: Client, shop: Shop, troubled_shop: Shop, tmp_path: Path
) -> None:
    queries = [photo for photo, _ in shop.photos[:6]]
    calm = client.import_products("calm", troubled_shop.manifest).raise_for_error()
    expected = observe(client, calm, queries)
    assert (calm.state, calm.counts.rows_rejected) == ("SUCCEEDED", 2)
    assert calm.counts.images_embedded == 2 * 180 - 4

    moments = random.Random(SEED)
    with LocalServer(tmp_path / "data", "--shard-rows", "32") as killed:
        with killed.client() as first:
            name = first.import_products("calm", troubled_shop.manifest, wait=False).name
        during = 0
        for _ in range(KILLS):
            time.sleep(moments.uniform(0, 0.5))  # the moment is the point, nothing waits for it
            with killed.client() as look:
                during += not look.get_operation(name).done
            killed.kill()
            killed.start()
        with killed.client() as last:
            operation = last.wait_operation(name, timeout=120).raise_for_error()
            actual = observe(last, operation, queries)
            own = self_scores(last, actual, "catalogs/calm")
    assert during >= AT_LEAST_DURING
    assert actual.rows == expected.rows
    assert actual.products == expected.products
    assert actual.images == expected.images
    assert actual.rejections == expected.rejections
    assert actual.largest_difference(expected) < 1e-3
    assert len(own) == calm.counts.images_embedded
    assert min(own) > 0.9999
    assert actual.state == expected.state
