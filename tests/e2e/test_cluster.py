"""Every service as a process of its own, over RabbitMQ, PostgreSQL and an S3 server."""

import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from shelflens import Client
from tests.e2e.outcomes import observe
from tests.e2e.shop import Shop
from tests.servers.cluster import Cluster

pytestmark = [pytest.mark.servers, pytest.mark.timeout(400)]

SEED = 7
KILLS = 8
WORKERS = {"gateway": 2, "embedding-query": 2}
ENVIRONMENT = {"SHELFLENS_SHARD_ROWS": "32", "SHELFLENS_GRACE_SECONDS": "30"}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder: Path = tmp_path_factory.mktemp("cluster")
    with Cluster(folder, workers=WORKERS, environment=ENVIRONMENT) as running:
        yield running


@pytest.fixture
def connected(cluster: Cluster) -> Iterator[Client]:
    with cluster.client() as client:
        yield client


def test_an_import_into_the_cluster_ends_as_in_the_local_profile(
    connected: Client, client: Client, shop: Shop
) -> None:
    queries = [photo for photo, _ in shop.photos[:6]]
    local = client.import_products("same", shop.manifest).raise_for_error()
    expected = observe(client, local, queries)
    actual = observe(connected, connected.import_products("same", shop.manifest), queries)
    assert (actual.state, actual.rows) == (expected.state, expected.rows)
    assert actual.products == expected.products
    assert actual.images == expected.images
    assert actual.largest_difference(expected) < 1e-5


class _Searches:
    """Searches without a pause in a thread of its own, and keeps what went wrong."""

    def __init__(self, cluster: Cluster, photo: Path, sku: str) -> None:
        self.answered = 0
        self.failures: list[str] = []
        self._ended = threading.Event()
        self._arguments = (cluster, photo, sku)
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "_Searches":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        cluster, photo, sku = self._arguments
        with cluster.client() as client:
            while not self._ended.is_set():
                try:
                    found = client.search("rolling", photo, top_k=1).results
                    if [each.sku for each in found] != [sku]:
                        self.failures.append(f"found {found}")
                    self.answered += 1
                except Exception as error:
                    self.failures.append(repr(error))


def test_a_rolling_restart_under_load_fails_no_query_and_embeds_nothing_twice(
    cluster: Cluster, connected: Client, shop: Shop, big_shop: Shop
) -> None:
    connected.import_products("rolling", shop.manifest).raise_for_error()
    row = shop.rows()[0]
    with _Searches(cluster, shop.image(row), row["sku"]) as searches:
        name = connected.import_products("loaded", big_shop.manifest, wait=False).name
        for service in cluster.services.values():
            assert service.stop() == 0, service.tail()
            service.start()
            service.wait_ready()
        done = connected.wait_operation(name, timeout=120).raise_for_error()
    assert searches.failures == []
    assert searches.answered > 50
    assert done.counts.images_embedded == 2 * 180
    assert done.counts.points_indexed == 2 * 180


def test_an_import_through_kills_of_everything_ends_like_an_undisturbed_one(
    cluster: Cluster, connected: Client, client: Client, shop: Shop, big_shop: Shop
) -> None:
    queries = [photo for photo, _ in shop.photos[:6]]
    calm = client.import_products("killed", big_shop.manifest).raise_for_error()
    expected = observe(client, calm, queries)

    rng = random.Random(SEED)
    victims = [*rng.sample(sorted(cluster.services), KILLS - 1), "broker"]
    rng.shuffle(victims)
    operation = connected.import_products("killed", big_shop.manifest, wait=False)
    for victim in victims:
        time.sleep(rng.uniform(0, 1))  # the moment is the point, nothing waits for it
        killed = cluster.broker if victim == "broker" else cluster.services[victim]
        killed.kill()
        killed.start()
    for service in cluster.services.values():
        service.wait_ready()
    done = connected.wait_operation(operation.name, timeout=200).raise_for_error()
    actual = observe(connected, done, queries)
    assert actual.rows == expected.rows
    assert actual.products == expected.products
    assert actual.images == expected.images
    assert actual.largest_difference(expected) < 1e-5
