"""Every adapter of the RecordStore port, and the words in which its contract suite speaks."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from services.core.adapters.sql_records import open_postgres, open_sqlite
from services.core.deployment_ports import Deployment, DeploymentState
from services.core.domain.catalog import Image, Product, ProductFields
from services.core.record_ports import MergeOutcome, PlanEntry, RecordStore
from services.core.shard_files import AcceptedRow
from tests.servers.postgres import Postgres

_URL = "postgres-url"  # written by `prepare`
# A prepared folder gets empty records; the same folder again, in any process, the same records.
RECORD_STORES: dict[str, Callable[[Path], AbstractContextManager[RecordStore]]] = {
    "sqlite": lambda folder: closing(open_sqlite(folder / "records.db")),
    "postgres": lambda folder: closing(open_postgres((folder / _URL).read_text())),
}
ADAPTERS = ["sqlite", pytest.param("postgres", marks=pytest.mark.servers)]

NOW = datetime(2026, 1, 1, 12, 30, 15, 678_901, UTC)
MODEL, DIGEST = "lite", "d" * 64
SPEC = {"embedding_dim": 8, "distance": "cosine", "note": "ä🛒"}
ANOTHER, ANOTHER_DIGEST = "another", "e" * 64
ALL = 1_000


def prepare(request: pytest.FixtureRequest, adapter: str, folder: Path) -> None:
    """Lets RECORD_STORES open empty records in an empty folder."""
    if adapter == "postgres":
        server: Postgres = request.getfixturevalue("postgres")
        (folder / _URL).write_text(server.database())


@pytest.fixture(params=ADAPTERS)
def records(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RecordStore]:
    """Empty records that know one model."""
    prepare(request, request.param, tmp_path)
    with RECORD_STORES[request.param](tmp_path) as store:
        with store.begin(write=True) as tx:
            tx.models.put(MODEL, DIGEST, SPEC, NOW)
        yield store


@pytest.fixture(name="shop")
def shop_of_records(records: RecordStore) -> "Shop":
    return Shop(records, "shop")


@pytest.fixture(name="shop")
def shop_of_two_models(records: RecordStore) -> "Shop":
    """Served by the first; the other has twice the dimension and another distance."""
    spec = {"embedding_dim": 16, "distance": "euclidean"}
    with records.begin(write=True) as tx:
        tx.models.put(ANOTHER, ANOTHER_DIGEST, spec, NOW)
    return Shop(records, "shop")


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def sha(label: str) -> str:
    """The hash of the image that the test calls `label`."""
    return sha256(label.encode()).hexdigest()


_numbers = itertools.count(1)


def row(sku: str, *images: str, given: Sequence[str] | None = None, **fields: Any) -> AcceptedRow:
    """A row of a manifest with a column for images and for every field named here.

    `given` names the columns where they are others: without "images" the manifest has none.
    """
    return AcceptedRow(
        row=next(_numbers),
        fields={"sku": sku, **fields},
        given=("sku", "images", *fields) if given is None else ("sku", *given),
        sha256s=tuple(sha(image) for image in images),
        sources=tuple(f"{image}.jpg" for image in images),
    )


@dataclass
class Shop:
    """One catalogue; every method is one transaction."""

    records: RecordStore
    id: str

    def __post_init__(self) -> None:
        with self.records.begin(write=True) as tx:
            tx.catalogs.create(self.id, self.id.title(), MODEL, NOW)

    def revision(self) -> int:
        with self.records.begin(write=True) as tx:
            return tx.catalogs.next_revision(self.id)

    def create(self, sku: str, *images: str, **fields: Any) -> Product:
        revision = self.revision()
        with self.records.begin(write=True) as tx:
            made = tx.products.create(self.id, ProductFields(sku, **fields), revision, NOW)
        for image in images:
            self.upload(made.id, image)
        return made

    def update(self, product: str, fields: ProductFields) -> Product:
        revision = self.revision()
        with self.records.begin(write=True) as tx:
            return tx.products.update(self.id, product, fields, revision, later(1))

    def delete(self, product: str) -> int:
        revision = self.revision()
        with self.records.begin(write=True) as tx:
            tx.products.delete(self.id, product, revision, NOW)
        return revision

    def upload(self, product: str, image: str) -> Image:
        revision = self.revision()
        with self.records.begin(write=True) as tx:
            return tx.products.add_image(self.id, product, sha(image), revision, NOW)

    def delete_image(self, product: str, image: str) -> int:
        revision = self.revision()
        with self.records.begin(write=True) as tx:
            tx.products.delete_image(self.id, product, sha(image), revision, NOW)
        return revision

    def merge(self, revision: int, *rows: AcceptedRow) -> MergeOutcome:
        with self.records.begin(write=True) as tx:
            return tx.imports.merge_rows(self.id, rows, revision, NOW)

    def load(self, *rows: AcceptedRow) -> int:
        """An import of one shard; returns its revision."""
        revision = self.revision()
        self.merge(revision, *rows)
        return revision

    def refuse(self, **refused: str) -> None:
        with self.records.begin(write=True) as tx:
            tx.imports.refuse_images(self.id, {sha(k): reason for k, reason in refused.items()})

    def embed(self, *images: str, key: str = "embeddings/e") -> None:
        with self.records.begin(write=True) as tx:
            tx.embeddings.add(DIGEST, key, [sha(image) for image in images])

    def unplanned(self, *products: str) -> list[PlanEntry]:
        with self.records.begin() as tx:
            return tx.imports.unplanned(self.id, products)

    def present(self, *products: str) -> list[PlanEntry]:
        with self.records.begin() as tx:
            return tx.imports.present(self.id, products)

    def places(self, *images: str) -> dict[str, tuple[str, int]]:
        """Hash -> (file, row) of the images that the catalogue's first model has embedded."""
        with self.records.begin() as tx:
            return tx.embeddings.places(DIGEST, [sha(image) for image in images])

    def plan(self, *products: str) -> int:
        """Plans what is unplanned of these products; returns the revision of the plan."""
        revision = self.revision()
        entries = self.unplanned(*products)
        with self.records.begin(write=True) as tx:
            images = [(entry.product.id, entry.sha256) for entry in entries]
            tx.imports.planned(self.id, images, revision)
        return revision

    def indexed(self, plan: int) -> None:
        with self.records.begin(write=True) as tx:
            tx.imports.indexed(self.id, plan)

    def discard(self, revision: int) -> int:
        with self.records.begin(write=True) as tx:
            return tx.imports.discard_empty(self.id, revision)

    def products(self) -> dict[str, Product]:
        with self.records.begin() as tx:
            return {each.id: each for each in tx.products.page(self.id, "", ALL)}

    def fields(self, product: str) -> ProductFields:
        return self.products()[product].fields

    def images(self, product: str) -> dict[str, Image]:
        """Hash -> image, in the order of hashes."""
        with self.records.begin() as tx:
            return {i.sha256: i for i in tx.products.page_images(self.id, product, "", ALL)}

    def stale(self, revision: int) -> set[tuple[str, str]]:
        with self.records.begin() as tx:
            return set(tx.imports.stale_images(self.id, revision, ALL))

    def deploy(self, model: str = ANOTHER, **storage: Any) -> Deployment:
        with self.records.begin(write=True) as tx:
            return tx.deployments.add(self.id, model, storage, later(1))

    def switch(self, number: int, seconds: float = 2) -> Deployment:
        with self.records.begin(write=True) as tx:
            return tx.deployments.switch(self.id, number, later(seconds))

    def undeploy(self, number: int) -> Deployment:
        with self.records.begin(write=True) as tx:
            return tx.deployments.remove(self.id, number)

    def compare(self, number: int) -> None:
        with self.records.begin(write=True) as tx:
            tx.deployments.compare(self.id, number)

    def live(self) -> Deployment:
        with self.records.begin() as tx:
            return tx.catalogs.deployment(self.id)

    def targets(self) -> list[Deployment]:
        with self.records.begin() as tx:
            return tx.deployments.targets(self.id)

    def states(self) -> dict[int, DeploymentState]:
        """Of all deployments by number, newest first."""
        with self.records.begin() as tx:
            return {each.number: each.state for each in tx.deployments.page(self.id, None, ALL)}


def hashes(*images: str) -> set[str]:
    return {sha(image) for image in images}
