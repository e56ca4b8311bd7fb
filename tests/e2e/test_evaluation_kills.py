"""A dataset and an evaluation whose server is killed meanwhile end as without."""

import random
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import pytest

from shelflens import Client, values
from tests.e2e.judging import ALL, CATALOGS, MODELS, Judged, evaluate
from tests.local_server import LocalServer

pytestmark = pytest.mark.timeout(500)

SEED = 17
KILLS = 3

T = TypeVar("T", values.Dataset, values.Evaluation)


def test_a_dataset_and_an_evaluation_through_kills_end_as_without_them(
    client: Client, dataset: values.Dataset, judged: Judged, tmp_path: Path
) -> None:
    expected = evaluate(client, dataset, ALL)
    moments = random.Random(SEED)
    with LocalServer(tmp_path / "data", "--shard-rows", "32") as killed:
        with killed.client() as first:
            operation = first.create_model(
                MODELS[1], backbone="tf_efficientnet_lite0", pooling="max"
            )
            first.wait_operation(operation.name).raise_for_error()
            first.import_products(CATALOGS[0], judged.gallery).raise_for_error()
            making = first.make_dataset(
                "judged", CATALOGS[0], judged.queries, allow_absent=True, wait=False
            )
        made, during = _through_kills(killed, moments, lambda look: look.get_dataset("judged"))
        assert during >= 1
        assert made.operation == making.operation
        assert _counts(made) == _counts(dataset)

        with killed.client() as second:
            name = second.create_evaluation("judged", MODELS, stages=ALL).name
        done, during = _through_kills(killed, moments, lambda look: look.get_evaluation(name))
        assert during >= 1
        assert done.has_report
        for found, calm in zip(done.metrics, expected.metrics, strict=True):
            assert _values(found.product) == pytest.approx(_values(calm.product))
            assert _values(found.image) == pytest.approx(_values(calm.image))
            assert found.class_mean == pytest.approx(calm.class_mean)


def _through_kills(
    server: LocalServer, moments: random.Random, look: Callable[[Client], T]
) -> tuple[T, int]:
    """What succeeded in the end, and how many kills came before that."""
    during = 0
    for _ in range(KILLS):
        time.sleep(moments.uniform(0, 1.5))  # the moment is the point
        with server.client() as client:
            during += not look(client).done
        server.kill()
        server.start()
    with server.client() as client:
        client.wait_operation(look(client).operation, timeout=200)
        ended = look(client)
    assert ended.state == "SUCCEEDED", ended
    return ended, during


def _counts(dataset: values.Dataset) -> tuple[int, ...]:
    return (
        dataset.query_count,
        dataset.gallery_count,
        dataset.product_count,
        dataset.absent_count,
        dataset.left_out_by_hash,
        dataset.left_out_near,
    )


def _values(figures: Mapping[str, values.Estimate]) -> dict[str, float]:
    return {name: each.value for name, each in figures.items()}
