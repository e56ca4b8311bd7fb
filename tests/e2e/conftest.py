"""One rendered shop and one server for all end-to-end tests that do not kill it.

Tests share the server and keep apart by the catalogues they make.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from shelflens import Client
from shelflens.values import Dataset
from tests.e2e.judging import Judged, judged_shop, make_dataset
from tests.e2e.shop import Shop, render_shop, vary_shop
from tests.local_server import LocalServer


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """60 products with one packshot each, and customers' photos."""
    return render_shop(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="session")
def big_shop(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """The same products in 180 rows with 360 pictures: several seconds of work."""
    return vary_shop(shop, tmp_path_factory.mktemp("big") / "shop", rows_per_product=3, seed=1)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    """A running server."""
    data: Path = tmp_path_factory.mktemp("server") / "data"
    with LocalServer(data, "--shard-rows", "32") as running:
        yield running


@pytest.fixture(scope="session")
def client(server: LocalServer) -> Iterator[Client]:
    """A client of the shared server."""
    with server.client() as connected:
        yield connected


@pytest.fixture(scope="session")
def judged(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Judged:
    """Photos of products of which some are missing in the catalogue."""
    return judged_shop(shop, tmp_path_factory.mktemp("judged") / "views")


@pytest.fixture(scope="session")
def dataset(client: Client, judged: Judged) -> Dataset:
    """Frozen, with queries whose product the gallery lacks."""
    return make_dataset(client, judged)
