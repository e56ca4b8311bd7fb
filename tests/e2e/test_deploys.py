"""Models replace each other while customers search, also when the server is killed meanwhile."""

import random
import time
from pathlib import Path

import pytest

from shelflens import Client, values
from shelflens.errors import ShelflensError
from tests.e2e.searching import LEAST, Searches
from tests.e2e.shop import Shop
from tests.local_server import LocalServer

pytestmark = pytest.mark.timeout(400)

SEED = 11
KILLS = 6


def test_searches_never_fail_while_models_replace_each_other(
    server: LocalServer, client: Client, shop: Shop
) -> None:
    client.import_products("swap", shop.manifest).raise_for_error()
    make(client, "swap-max", backbone="tf_efficientnet_lite0", pooling="max", flip=True)
    make(client, "swap-white", base="base", whitening_from="swap", dimension=24, shrinkage=0.2)
    make(client, "swap-duo", ensemble=["swap-white", "swap-max"])
    pictures = [(shop.image(row), row["sku"]) for row in shop.rows()[:12]]
    with Searches(server.client, "swap", pictures) as searches:
        for model in ("swap-max", "swap-white", "swap-duo"):
            done = client.wait_operation(client.deploy("swap", model).name).raise_for_error()
            assert done.deployment is not None
            assert done.deployment.model == f"models/{model}"
        back = client.rollback("swap")
        assert back.model == "models/swap-white"
    assert searches.failures == []
    assert len(searches.answers) >= 3
    states = [each.state for each in client.list_deployments("swap")]
    assert states == ["KEPT", "LIVE", "KEPT", "KEPT"]


def test_what_is_written_after_a_deploy_is_there_after_the_rollback(
    client: Client, shop: Shop
) -> None:
    rows = shop.rows()
    client.import_products("back", shop.manifest).raise_for_error()
    make(client, "back-max", backbone="tf_efficientnet_lite0", pooling="gem")
    client.wait_operation(client.deploy("back", "back-max").name).raise_for_error()
    gone, stays = rows[0], rows[1]
    products = {each.sku: each.name for each in client.list_products("back")}
    client.delete_product(products[gone["sku"]])
    client.rollback("back", 1)
    found = client.search("back", shop.image(stays), top_k=1).results
    assert [each.sku for each in found] == [stays["sku"]]
    again = client.search("back", shop.image(gone), top_k=60, hits_per_result=1).results
    assert gone["sku"] not in [each.sku for each in again]


def test_a_deploy_through_kills_ends_as_without_them(shop: Shop, tmp_path: Path) -> None:
    pictures = [(shop.image(row), row["sku"]) for row in shop.rows()[:8]]
    moments = random.Random(SEED)
    with LocalServer(tmp_path / "data", "--shard-rows", "32") as killed:
        with killed.client() as client:
            client.import_products("shop", shop.manifest).raise_for_error()
            make(client, "max", backbone="tf_efficientnet_lite0", pooling="max")
            count = client.get_catalog("shop").image_count
            name = client.deploy("shop", "max").name
        during = 0
        for _ in range(KILLS):
            time.sleep(moments.uniform(0, 1.0))  # the moment is the point
            with killed.client() as look:
                during += not look.get_operation(name).done
            killed.kill()
            killed.start()
            with killed.client() as look:
                for picture, _ in pictures[:3]:
                    assert look.search("shop", picture, top_k=1).results[0].score > LEAST
        with killed.client() as client:
            done = client.wait_operation(name, timeout=120).raise_for_error()
            assert done.deployment is not None
            assert done.deployment.image_count == count
            for picture, _ in pictures:
                found = client.search("shop", picture, top_k=1)
                assert found.model == "models/max"
                assert found.results[0].score > LEAST
    assert during >= 1


def test_a_deploy_that_is_cancelled_leaves_the_live_model(client: Client, shop: Shop) -> None:
    client.import_products("stay", shop.manifest).raise_for_error()
    make(client, "stay-max", backbone="tf_efficientnet_lite0", pooling="max", resolutions=[192])
    started = client.deploy("stay", "stay-max")
    client.cancel_operation(started.name)
    ended = client.wait_operation(started.name)
    assert ended.state in ("CANCELLED", "SUCCEEDED")  # the switch may have come first
    live = next(each for each in client.list_deployments("stay") if each.state == "LIVE")
    assert (live.model == "models/base") == (ended.state == "CANCELLED")
    assert client.search("stay", shop.image(shop.rows()[0]), top_k=1).results[0].score > LEAST


@pytest.mark.parametrize(
    ("options", "reason", "said"),
    [
        ({"backbone": "resnet5"}, "UNKNOWN_BACKBONE", "resnet50"),
        ({"backbone": "resnet50", "pooling": "cls"}, "POOLING_UNSUPPORTED", "resnet50"),
        ({"ensemble": ["base", "nowhere"]}, "MODEL_NOT_FOUND", "nowhere"),
        (
            {"base": "base", "whitening_from": "refusing", "dimension": 1281},
            "DIMENSION_TOO_LARGE",
            "1280",
        ),
    ],
)
def test_what_cannot_be_made_is_refused_by_name_before_anything_is_queued(
    client: Client, options: dict[str, object], reason: str, said: str
) -> None:
    if not any(each.name == "catalogs/refusing" for each in client.list_catalogs()):
        client.create_catalog("refusing")
    with pytest.raises(ShelflensError, match=said) as caught:
        client.create_model("never", **options)  # type: ignore[arg-type]
    assert caught.value.reason == reason
    assert "models/never" not in [each.name for each in client.list_models()]


def make(client: Client, name: str, **options: object) -> values.Model:
    operation = client.create_model(name, **options)  # type: ignore[arg-type]
    made = client.wait_operation(operation.name).raise_for_error().model
    assert made is not None
    return made
