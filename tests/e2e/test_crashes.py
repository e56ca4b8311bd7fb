"""What ends, and what goes on, when a process of the local profile dies."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from shelflens import Client
from shelflens.values import Operation
from tests.e2e.processes import DECODER, VECTOR_SERVER, children, has_ended
from tests.e2e.shop import PRODUCTS, Shop, new_picture, skus, vary_shop
from tests.local_server import PROGRAM, LocalServer
from tests.waiting import eventually

STOP_SECONDS = 15.0
SECONDS_TO_FOLLOW = 10.0


@pytest.fixture(scope="module")
def _restarted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    server = LocalServer(tmp_path_factory.mktemp("mortal") / "data", "--shard-rows", "32")
    yield server
    if server.process is not None and server.process.poll() is None:
        server.stop()


@pytest.fixture
def mortal(_restarted: LocalServer) -> LocalServer:
    """A running server that the test may kill. The next one goes on with its data."""
    if _restarted.process is None or _restarted.process.poll() is not None:
        _restarted.start()
    return _restarted


def test_children_die_with_a_killed_parent(mortal: LocalServer) -> None:
    assert len(children(mortal, VECTOR_SERVER)) == 1
    assert len(children(mortal, DECODER)) >= 1
    family = mortal.tree()[1:]
    mortal.kill()
    eventually(lambda: all(map(has_ended, family)), SECONDS_TO_FOLLOW, "all children have ended")


def test_an_import_survives_the_death_of_the_vector_server(
    mortal: LocalServer, shop: Shop, tmp_path: Path
) -> None:
    fresh = vary_shop(shop, tmp_path / "fresh", rows_per_product=2, seed=31)
    with mortal.client() as client:
        name = client.import_products("vectorless", fresh.manifest, wait=False).name
        for points in (1, 100):
            running = _reaches(client, name, points)
            (victim,) = children(mortal, VECTOR_SERVER)
            victim.kill()
            assert not running.done
            _await_another(mortal, victim)
        operation = client.wait_operation(name, timeout=90).raise_for_error()
        assert operation.counts.rows_accepted == 2 * PRODUCTS
        results = client.search(
            "vectorless", shop.photos[0][0], top_k=500, hits_per_result=50
        ).results
    assert sorted(each.sku for each in results) == skus(shop.rows())
    assert sum(len(each.hits) for each in results) == 4 * PRODUCTS


def test_sigterm_during_an_import_ends_in_time_and_the_import_goes_on(
    mortal: LocalServer, shop: Shop, tmp_path: Path
) -> None:
    fresh = vary_shop(shop, tmp_path / "fresh", rows_per_product=3, seed=32)
    with mortal.client() as client:
        name = client.import_products("stopped", fresh.manifest, wait=False).name
        assert not _reaches(client, name, 1).done
    family = mortal.tree()
    began = time.monotonic()
    assert mortal.stop() == 0
    assert time.monotonic() - began < STOP_SECONDS
    eventually(lambda: all(map(has_ended, family)), SECONDS_TO_FOLLOW, "all children have ended")
    mortal.start()
    with mortal.client() as client:
        operation = client.wait_operation(name, timeout=90).raise_for_error()
        assert operation.counts.rows_accepted == 3 * PRODUCTS
        assert client.get_catalog("stopped").image_count == 6 * PRODUCTS


def test_a_second_server_on_the_same_data_is_refused_in_one_line(mortal: LocalServer) -> None:
    second = subprocess.run(
        [PROGRAM, "serve", "--data", mortal.data, "--port", "0"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert second.returncode == 1
    assert second.stdout == ""
    (line,) = second.stderr.splitlines()
    assert line.startswith("error: DATA_IN_USE: another process serves from ")
    with mortal.client() as client:  # and the first has not noticed
        list(client.list_catalogs())


def test_an_upload_acknowledged_just_before_a_kill_becomes_searchable(
    mortal: LocalServer, shop: Shop
) -> None:
    pictures = [new_picture(shop, seed=33, number=number) for number in range(3)]
    with mortal.client() as client:
        client.create_catalog("late")
        client.create_product("late", "P1")
        client.upload_image("late/P1", pictures[0])
        client.upload_image("late/P1", pictures[1])
        client.upload_image("late/P1", pictures[2])
    mortal.kill()
    mortal.start()
    with mortal.client() as client:
        names = [each.name for each in client.list_images("late/P1")]
        assert len(names) == 3
        eventually(
            lambda: all(client.get_image(name).state == "SEARCHABLE" for name in names),
            30,
            "all uploaded images are searchable",
        )
        for picture in pictures:
            assert client.search("late", picture, top_k=1).results[0].score > 0.9999


def _reaches(client: Client, operation: str, points: int) -> Operation:
    """The operation as soon as it has indexed so many points."""

    def look() -> Operation | None:
        found = client.get_operation(operation)
        return found if found.counts.points_indexed >= points else None

    return eventually(look, 90, f"{points} points are indexed")


def _await_another(server: LocalServer, victim: psutil.Process) -> None:
    def look() -> bool:
        return any(each != victim for each in children(server, VECTOR_SERVER))

    eventually(look, 60, "another vector server runs")
