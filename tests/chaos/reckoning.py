"""The end of a seed: everything comes to rest, and is compared with what was acknowledged."""

import time
from collections.abc import Mapping
from typing import Any

from services.core.adapters.minio_objects import MinioObjects
from services.core.adapters.qdrant_vectors import QdrantVectors
from services.core.adapters.sql_records.postgresql import open_postgres
from services.core.ports import Float32
from services.core.record_ports import RecordStore
from shelflens import Client
from shelflens.errors import ShelflensError
from tests.chaos import invariants
from tests.chaos.customers import FED, SHOP
from tests.chaos.expectations import expect, read_imports
from tests.chaos.journal import Journal
from tests.chaos.message_faults import depths
from tests.chaos.world import World

_DRAIN_SECONDS = 120.0
_QUIET_LOOKS = 4  # half a second apart
_SAMPLE = 12
_LEAST_SCORE = 0.999  # of an image by its own bytes: collections may hold 16 bits a number


def drain(world: World, journal: Journal) -> list[str]:
    """Waits until no operation runs, those that users do not see included, and no queue holds a
    message. One whose message was lost is in no queue until its lease has ended."""
    end, quiet, state = time.monotonic() + _DRAIN_SECONDS, 0, ""
    began = time.monotonic()
    while quiet < _QUIET_LOOKS:
        if time.monotonic() > end:
            return [f"not at rest after {_DRAIN_SECONDS:g} s: {state}"]
        try:
            running = _active(world)
            waiting = {name: count for name, count in depths(world.cluster.broker).items() if count}
        except (ShelflensError, OSError) as error:
            running, waiting = [repr(error)], {}
        state = f"running {running}, waiting {waiting}"
        quiet = 0 if running or waiting else quiet + 1
        time.sleep(0.5)
    journal.line("drained", seconds=round(time.monotonic() - began, 1))
    return []


def _active(world: World) -> list[str]:
    records = open_postgres(world.cluster.records.url(), application="chaos")
    try:
        with records.begin() as tx:
            return [each.id for each in tx.operations.active()]
    finally:
        records.close()


def reckon(world: World, journal: Journal, killing: bool, notes: dict[str, Any]) -> list[str]:
    """Every invariant of what is stored. Notes go to `notes`."""
    cluster = world.cluster
    records = open_postgres(cluster.records.url(), application="chaos")
    objects = MinioObjects(cluster.objects.server.address)
    vectors = QdrantVectors("127.0.0.1", cluster.vectors.port)
    try:
        with Client(cluster.target) as client:
            told = _catalogs(client, records, vectors, objects, journal, notes)
        told += invariants.check_objects(objects)
        letters = invariants.dead_letters(records)
        notes["dead letters"] = len(letters)
        told += invariants.check_letters(letters, killing)
    finally:
        records.close()
        vectors.close()
    return told


def _catalogs(
    client: Client,
    records: RecordStore,
    vectors: QdrantVectors,
    objects: MinioObjects,
    journal: Journal,
    notes: dict[str, Any],
) -> list[str]:
    imports, told = read_imports(client, journal)
    for each in imports:
        told += each.violations()
    notes["imports"] = len(imports)
    notes["rows"] = sum(len(each.version.rows) for each in imports)
    notes["rows lost to faults"] = sum(each.sacrificed for each in imports)
    embedded: dict[str, dict[str, Float32]] = {}
    for catalog in (FED, SHOP, "probe"):
        found = invariants.look(client, catalog)
        if catalog != "probe":
            told += invariants.check_products(found, expect(catalog, imports, journal))
        told += invariants.check_uploads(found, journal.uploads)
        with records.begin() as tx:
            deployment = tx.catalogs.deployment(catalog)
        collection = deployment.collection
        told += invariants.check_points(vectors, collection, found)
        known = embedded.setdefault(deployment.model_digest, {})
        hashes = {each for _, each in found.searchable()} - known.keys()
        stored = {each: objects.get(_key(each)) for each in sorted(hashes)}
        known |= invariants.embed_afresh(records, deployment.model_digest, stored)
        told += invariants.check_vectors(vectors, collection, found, known)
        told += _sampled(client, found, stored)
        notes[f"images of {catalog}"] = len(found.searchable())
    return told


def _sampled(client: Client, found: invariants.Found, stored: Mapping[str, bytes]) -> list[str]:
    """Some images, searched by their own bytes within their product."""
    told = []
    pairs = [(sku, each) for sku, each in found.searchable() if each in stored]
    for sku, sha256 in pairs[:: max(1, len(pairs) // _SAMPLE)]:
        results = client.search(found.catalog, stored[sha256], skus=[sku], top_k=1).results
        if not results or results[0].score < _LEAST_SCORE:
            told.append(f"{found.catalog}/{sku}: {sha256} does not find itself: {results}")
    return told


def _key(sha256: str) -> str:
    return f"images/sha256/{sha256[:2]}/{sha256[2:4]}/{sha256}"
