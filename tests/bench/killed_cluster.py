"""Imports into the cluster while its processes are killed, against undisturbed local ones."""

import random
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from services.core.ports import Float32
from shelflens import Client
from shelflens.values import ImportCounts, Product
from tests.bench.catalogues import choose_catalog
from tests.bench.clusters import fresh_cluster
from tests.bench.figures import Figure, Outcome, at_least, at_most
from tests.bench.servers import CATALOG, fresh_server
from tests.servers.cluster import Cluster

_SEED = 5
_EVERY = 5.0  # seconds between two kills
_BROKER_TURNS = (0, 2)  # kills that hit the broker, whatever else does
_RENDERED = 1_000


@dataclass(frozen=True, slots=True)
class _Source:
    """A manifest and how it is imported."""

    name: str
    manifest: Path
    root: Path
    preset: str | None = None


@dataclass(frozen=True, slots=True)
class _State:
    """What a catalogue holds; images by the ends of their names."""

    counts: ImportCounts
    products: dict[str, tuple[object, ...]]
    vectors: dict[str, Float32]


def killed_cluster(data: Path | None) -> Iterator[Outcome]:
    """`data` is a folder of data sets (grocery-store, luma); without it, the rendered catalogue."""
    for source in _sources(data):
        with fresh_server() as server, server.client() as client:
            calm = _import(client, source)
        with fresh_cluster() as (cluster, client):
            with _Kills(cluster) as kills:
                killed = _import(client, source)
            yield Figure(f"{source.name}: kill -9 during the import", kills.done, "", at_least(3))
            yield Figure(f"{source.name}: of these, of RabbitMQ", kills.of_broker, "", at_least(2))
        yield from _compared(source.name, calm, killed)


def _sources(data: Path | None) -> Iterator[_Source]:
    if data is None:
        catalog = choose_catalog(None)
        manifest = catalog.head(catalog.root / f"first-{_RENDERED}.csv", _RENDERED)
        yield _Source("rendered", manifest, catalog.root)
        return
    grocery, luma = data / "grocery-store", data / "luma"
    yield _Source("grocery-store", grocery / "photos.csv", grocery)
    yield _Source("luma", luma / "products.csv", luma / "images", "magento")


def _import(client: Client, source: _Source) -> _State:
    operation = client.import_products(
        CATALOG, source.manifest, root=source.root, preset=source.preset
    ).raise_for_error()
    products = {each.sku: _fields(each) for each in client.list_products(CATALOG)}
    vectors = {
        each.image: np.asarray(each.values, np.float32)
        for each in client.export_embeddings(CATALOG)
    }
    return _State(operation.counts, products, vectors)


def _fields(product: Product) -> tuple[object, ...]:
    """Everything but names and times, which differ between servers."""
    return (
        product.sku,
        product.title,
        product.categories,
        product.labels,
        product.parent,
        product.price,
        product.stock,
        product.image_count,
    )


class _Kills:
    """kill -9 of something every few seconds, started again at once; stops with the block."""

    def __init__(self, cluster: Cluster) -> None:
        self.done = 0
        self.of_broker = 0
        self._cluster = cluster
        self._random = random.Random(_SEED)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "_Kills":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        for service in self._cluster.services.values():
            service.wait_ready()

    def _run(self) -> None:
        while not self._ended.wait(_EVERY):
            victim = self._random.choice(sorted(self._cluster.services))
            if self.done in _BROKER_TURNS:
                self._cluster.broker.kill()
                self._cluster.broker.start()
                self.of_broker += 1
            else:
                self._cluster.services[victim].kill()
                self._cluster.services[victim].start()
            self.done += 1


def _compared(name: str, calm: _State, killed: _State) -> Iterator[Figure]:
    same = sum(killed.products.get(sku) == fields for sku, fields in calm.products.items())
    extra = len(killed.products.keys() - calm.products.keys())
    yield Figure(f"{name}: products", len(killed.products), "", at_least(1))
    different = len(calm.products) - same + extra
    yield Figure(f"{name}: products that differ", different, "", at_most(0))
    missing = len(calm.vectors.keys() ^ killed.vectors.keys())
    yield Figure(f"{name}: vectors", len(killed.vectors))
    yield Figure(f"{name}: vectors too many or too few", missing, "", at_most(0))
    shared = calm.vectors.keys() & killed.vectors.keys()
    distances = [float(np.abs(calm.vectors[each] - killed.vectors[each]).max()) for each in shared]
    yield Figure(f"{name}: largest difference of a vector", max(distances), "", at_most(1e-4))
    rows = [
        abs(getattr(calm.counts, field) - getattr(killed.counts, field))
        for field in ("rows_read", "rows_accepted", "rows_rejected", "products_created")
    ]
    yield Figure(f"{name}: difference of the counts", sum(rows), "", at_most(0))
