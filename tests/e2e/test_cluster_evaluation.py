"""Evaluations and stages of searches over the broker, through the death of the worker."""

import io
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from shelflens import Client, values
from tests.e2e.judging import ALL, CATALOGS, MODELS, RERANK, Judged, evaluate, make_dataset
from tests.servers.cluster import Cluster
from tests.waiting import eventually

pytestmark = [pytest.mark.servers, pytest.mark.timeout(500)]

ENVIRONMENT = {"SHELFLENS_SHARD_ROWS": "32", "SHELFLENS_SERVING_INTERVAL": "0.5"}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder: Path = tmp_path_factory.mktemp("cluster")
    with Cluster(folder, environment=ENVIRONMENT) as running:
        yield running


@pytest.fixture(scope="module")
def connected(cluster: Cluster) -> Iterator[Client]:
    with cluster.client() as client:
        yield client


@pytest.fixture(scope="module")
def frozen(connected: Client, judged: Judged) -> values.Dataset:
    return make_dataset(connected, judged)


def test_an_evaluation_in_the_cluster_ends_as_in_the_local_profile(
    connected: Client, client: Client, frozen: values.Dataset, dataset: values.Dataset
) -> None:
    assert frozen.state == "SUCCEEDED", frozen
    actual, expected = evaluate(connected, frozen, ALL), evaluate(client, dataset, ALL)
    for found, local in zip(actual.metrics, expected.metrics, strict=True):
        assert _figures(found) == pytest.approx(_figures(local))
    assert b"data:image/" in b"".join(connected.download_report(actual.name))


@pytest.mark.usefixtures("frozen")
def test_a_search_through_query_workers_reranks_and_explains(
    connected: Client, judged: Judged
) -> None:
    found = connected.search(CATALOGS[0], judged.present[0][0], stages=RERANK, explain=2)
    assert found.skipped_stages == ()
    assert found.results[0].reranked is not None
    for each in found.results[:2]:
        with Image.open(io.BytesIO(each.explanation)) as picture:
            assert picture.format == "PNG"


def test_an_evaluation_survives_the_death_of_its_worker(
    cluster: Cluster, connected: Client, frozen: values.Dataset
) -> None:
    calm = evaluate(connected, frozen, RERANK)
    worker = cluster.services["evaluation"]
    assert worker.process is not None
    worker.process.send_signal(signal.SIGSTOP)  # it must not be done before it is seen to begin
    made = connected.create_evaluation(frozen.name, MODELS, stages=RERANK)

    def is_searching() -> bool:
        return connected.get_evaluation(made.name).step == "searching"

    eventually(is_searching, 60, "the worker searches")
    worker.process.send_signal(signal.SIGCONT)
    time.sleep(0.2)  # the moment is the point
    worker.kill()
    assert not connected.get_evaluation(made.name).done
    worker.start()
    connected.wait_operation(made.operation, timeout=200)
    done = connected.get_evaluation(made.name)
    assert (done.state, done.has_report) == ("SUCCEEDED", True)
    for found, before in zip(done.metrics, calm.metrics, strict=True):
        assert _figures(found) == pytest.approx(_figures(before))


def _figures(metrics: values.ModelMetrics) -> dict[str, float]:
    return {name: each.value for name, each in ({**metrics.product, **metrics.image}).items()}
