"""Models replace each other in a cluster whose services are killed meanwhile."""

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from shelflens import Client
from tests.e2e.searching import LEAST, Searches
from tests.e2e.shop import Shop
from tests.servers.cluster import Cluster

pytestmark = [pytest.mark.servers, pytest.mark.timeout(500)]

SEED = 4
ENVIRONMENT = {"SHELFLENS_SHARD_ROWS": "32", "SHELFLENS_SERVING_INTERVAL": "0.5"}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder: Path = tmp_path_factory.mktemp("cluster")
    with Cluster(folder, workers={"embedding-query": 2}, environment=ENVIRONMENT) as running:
        yield running


@pytest.fixture
def connected(cluster: Cluster) -> Iterator[Client]:
    with cluster.client() as client:
        yield client


def test_no_search_fails_while_every_worker_learns_a_model_and_it_goes_live(
    cluster: Cluster, connected: Client, shop: Shop
) -> None:
    connected.import_products("shop", shop.manifest).raise_for_error()
    make(connected, "max", backbone="tf_efficientnet_lite0", pooling="max")
    make(connected, "white", base="base", whitening_from="shop", dimension=24, shrinkage=0.2)
    make(connected, "duo", ensemble=["white", "max"])
    pictures = [(shop.image(row), row["sku"]) for row in shop.rows()[:6]]
    with Searches(cluster.client, "shop", pictures) as searches:
        for model in ("max", "duo"):
            connected.wait_operation(connected.deploy("shop", model).name).raise_for_error()
        connected.rollback("shop", 1)
        answered = searches.answers.total()
        while searches.answers.total() < answered + 10 and not searches.failures:
            time.sleep(0.05)
    assert searches.failures == []
    assert len(searches.answers) == 3


def test_a_deploy_through_kills_of_those_who_do_it_is_whole_and_no_search_fails(
    cluster: Cluster, connected: Client, shop: Shop
) -> None:
    connected.import_products("killed", shop.manifest).raise_for_error()
    count = connected.get_catalog("killed").image_count
    make(connected, "gem", backbone="tf_efficientnet_lite0", pooling="gem")
    rng = random.Random(SEED)
    pictures = [(shop.image(row), row["sku"]) for row in shop.rows()[:6]]
    with Searches(cluster.client, "killed", pictures) as searches:
        operation = connected.deploy("killed", "gem")
        for victim in ("embedding-bulk", "coordinator", "indexing", "coordinator"):
            time.sleep(rng.uniform(0, 2))  # the moment is the point
            cluster.services[victim].kill()
            cluster.services[victim].start()
        for service in cluster.services.values():
            service.wait_ready()
        done = connected.wait_operation(operation.name, timeout=200).raise_for_error()
    assert searches.failures == []
    assert len(searches.answers) >= 1
    assert done.deployment is not None
    assert done.deployment.model == "models/gem"
    assert done.deployment.image_count == count
    for row in shop.rows()[:10]:
        found = connected.search("killed", shop.image(row), top_k=1)
        assert found.model == "models/gem"
        assert found.results[0].score > LEAST


def make(client: Client, name: str, **options: object) -> None:
    operation = client.create_model(name, **options)  # type: ignore[arg-type]
    client.wait_operation(operation.name).raise_for_error()
