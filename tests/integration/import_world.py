"""An import system whose queue the test holds in its hands: any order, loss and repetition.

Everything but the queue and the model is what runs in production: records, object files, the
ingestion and indexing handlers, the coordinator. The "model" turns a hash into a fixed vector.
"""

import json
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from services.coordinator.handlers import Coordinator
from services.coordinator.settings import CoordinatorLimits
from services.coordinator.tasks import handlers as coordinator_handlers
from services.core.adapters.file_objects import FileObjects
from services.core.adapters.sql_records import open_sqlite
from services.core.domain import keys
from services.core.domain.errors import ShelflensError
from services.core.domain.model import Model
from services.core.domain.model_spec import ModelSpec
from services.core.domain.near_duplicates import THUMBNAIL, Pixels, fingerprint
from services.core.domain.operations import Operation, OperationKind
from services.core.messages import (
    DropCollection,
    EmbedShard,
    EmbedSingle,
    FitLinear,
    IndexShard,
    IngestManifest,
    IngestShard,
    Message,
    Report,
    VerifyCollection,
)
from services.core.outcomes import ShardEmbedded
from services.core.ports import Float32, RawMessage, VectorStore
from services.core.record_ports import RecordStore
from services.core.shard_files import Embeddings, write_embeddings
from services.evaluation.handlers import Fitter
from services.indexing.handlers import Indexer
from services.ingestion.handlers import Ingestor
from services.retrieval.composing import compose
from services.retrieval.linear_store import LinearStore

DIMENSION = 8


class MovableClock:
    """A clock that moves when the test says so."""

    def __init__(self) -> None:
        self._now = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        self._now += timedelta(microseconds=1)
        return self._now

    def move(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)


class HeldQueue:
    """A TaskQueue that keeps what is published until the test delivers it."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.republished: list[RawMessage] = []

    def publish(self, message: Message) -> None:
        self.messages.append(message)

    def republish(self, message: RawMessage) -> None:
        self.republished.append(message)


def spec_of(name: str) -> ModelSpec:
    """An embedder that embeds images as `vector_of` says."""
    return ModelSpec(
        backbone=name,
        weights_sha256=sha256(name.encode()).hexdigest(),
        embedding_dim=DIMENSION,
        resize=32,
        crop=32,
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        precision="fp32",
    )


BASE = spec_of("base")


def vector_of(digest: str, embedder: str = BASE.digest) -> Float32:
    """The embedding of an image, a function of its hash and the embedder. Shape [DIMENSION]."""
    seed = int(digest[:8], 16) ^ (0 if embedder == BASE.digest else int(embedder[:8], 16))
    values = np.random.default_rng(seed).normal(size=DIMENSION)
    return (values / np.linalg.norm(values)).astype(np.float32)


def pixels_of(digest: str) -> Pixels:
    """What an image shows, a function of its hash alone. Shape [32, 32, 3]."""
    return np.random.default_rng(int(digest[:8], 16)).integers(0, 256, (32, 32, 3), np.uint8)


class World:
    """Records, objects, vectors, workers and a coordinator over one directory."""

    def __init__(
        self,
        root: Path,
        vectors: VectorStore,
        seed: int = 0,
        products_per_image: int = 50,
        shared_images: int = 10_000,
    ) -> None:
        self._limits = CoordinatorLimits(
            window=4,
            lease=60,
            sweep=3,
            products_per_image=products_per_image,
            shared_images=shared_images,
            filled_images=5,
        )
        self.pixels: dict[str, Pixels] = {}  # of images that do not show what pixels_of says
        self.random = random.Random(seed)
        self.clock = MovableClock()
        self.queue = HeldQueue()
        self.records = self.open_records(root)
        self.objects = FileObjects(root / "objects")
        self.vectors = vectors
        self.embedded: list[str] = []
        self.unusable: dict[str, str] = {}
        self.deadly: Callable[[Message], bool] = lambda message: False  # kills its worker
        self.away: Callable[[Message], bool] = lambda message: False  # a server that it needs
        ingestor, indexer = Ingestor(self.objects, shard_rows=4), Indexer(self.objects, vectors)
        self._workers: dict[type[Message], Any] = {
            IngestManifest: ingestor.cut_manifest,
            IngestShard: ingestor.ingest_shard,
            EmbedShard: self._embed,
            EmbedSingle: self._embed,
            IndexShard: indexer.index_shard,
            VerifyCollection: indexer.verify,
            FitLinear: Fitter(self.objects).fit,
            DropCollection: indexer.drop,
        }
        self.start_coordinator()
        with self.records.begin(write=True) as tx:
            tx.models.put("base", BASE.digest, BASE.to_dict(), self.clock.now())

    def open_records(self, root: Path) -> RecordStore:
        return open_sqlite(root / "records.db")

    def start_coordinator(self) -> None:
        """As after a kill: nothing is left but records and files."""
        self.coordinator = Coordinator(
            self.records, self.objects, self.queue, self.clock, self._limits
        )
        self._control = coordinator_handlers(self.coordinator)

    def create(self, catalog: str) -> None:
        with self.records.begin(write=True) as tx:
            tx.catalogs.create(catalog, "", "base", self.clock.now())

    def image(self, content: str) -> str:
        """Stores bytes as an image; returns the hash."""
        digest = sha256(content.encode()).hexdigest()
        self.objects.put(keys.image_key(digest), content.encode())
        return digest

    def start_import(self, catalog: str, rows: Iterable[Mapping[str, Any]], **rules: Any) -> str:
        """Accepts an import of wire rows; returns the operation's id. `rules`: of ImportRules."""
        lines = [json.dumps({"row": number, **row}) for number, row in enumerate(rows, 1)]
        key = keys.manifest_key(catalog, f"m{self.random.getrandbits(60)}")
        self.objects.put(key, "\n".join(lines).encode())
        return self.accept(OperationKind.IMPORT, catalog, {"manifest": key, **rules})

    def accept(self, kind: OperationKind, catalog: str, request: Mapping[str, Any]) -> str:
        with self.records.begin(write=True) as tx:
            revision = tx.catalogs.next_revision(catalog)
            return tx.operations.create(kind, catalog, revision, request, self.clock.now()).id

    def operation(self, operation: str) -> Operation:
        with self.records.begin() as tx:
            return tx.operations.get(operation)

    def deliver_one(self, *, keep: bool = False) -> None:
        """Delivers a random message; with `keep` it will be delivered again."""
        at = self.random.randrange(len(self.queue.messages))
        message = self.queue.messages[at] if keep else self.queue.messages.pop(at)
        body = json.loads(json.dumps(message.to_json()))
        received = type(message).from_json(body)
        if type(message) in self._control:
            self._control[type(message)](received)
            return
        if received.attempt > 1:  # as core.runtime.worker does
            self.queue.publish(replace(_report(received), started=True))
        if not self.deadly(received):
            self.queue.publish(self._work(received))

    def _work(self, message: Message) -> Report:
        report = _report(message)
        if self.away(message):
            return replace(report, failure="OBJECTS_UNAVAILABLE", passing=True)
        try:
            outcome = self._workers[type(message)](message)
        except ShelflensError as error:
            return replace(report, failure=error.reason, failure_message=error.message)
        return replace(report, outcome=asdict(outcome) if outcome else {})

    def run(self, *, loss: float = 0.0, repetition: float = 0.0, steps: int = 5_000) -> None:
        """Delivers in random order until nothing is left to do."""
        self.coordinator.tick()
        for _ in range(steps):
            if not self.queue.messages:
                with self.records.begin() as tx:
                    if not tx.operations.active():
                        return
                self.clock.move(61)
                self.coordinator.tick()
            elif self.random.random() < loss:
                self.queue.messages.pop(self.random.randrange(len(self.queue.messages)))
            else:
                self.deliver_one(keep=self.random.random() < repetition)
        raise AssertionError("the operations do not end")

    def found(self, catalog: str, number: int = 0) -> dict[tuple[str, str], dict[str, Any]]:
        """What the collection of a deployment (0: the live one) shows: (sku, image hash) ->
        payload, vectors checked."""
        with self.records.begin() as tx:
            deployment = tx.catalogs.deployment(catalog)
            if number:
                deployment = tx.deployments.get(catalog, number)
            model = Model.from_dict(tx.models.spec(deployment.model_digest))
        points = self.vectors.search(
            deployment.collection,
            np.ones(model.embedding_dim, np.float32),
            limit=1_000,
            catalog=deployment.tenant or None,
        )
        stored = self.vectors.fetch(deployment.collection, [each.id for each in points])
        for point in stored.values():
            expected = self.composed(model, point.payload["sha256"])
            np.testing.assert_allclose(point.vector, expected, atol=1e-5)
        payloads = [dict(point.payload) for point in stored.values()]
        return {(each["sku"], each["sha256"]): each for each in payloads}

    def composed(self, model: Model, digest: str) -> Float32:
        """What a point of the image should hold."""
        one = np.ones(1, np.float32)
        parts = [(vector_of(digest, each.digest)[np.newaxis], one) for each in model.embedders]
        found: Float32 = compose(model, parts, LinearStore(self.objects).of(model))[0]
        return found

    def _embed(self, message: EmbedShard) -> ShardEmbedded:
        good = tuple(each for each in message.sha256s if each not in self.unusable)
        refused = tuple((e, self.unusable[e]) for e in message.sha256s if e in self.unusable)
        prints = {e: fingerprint(self.pixels.get(e, pixels_of(e))) for e in good}
        for at, (embedder, key) in enumerate(
            zip(message.embedders, message.embeddings, strict=True)
        ):
            asked = message.wanted[at] if message.wanted else ()
            wanted = [message.sha256s[each] for each in asked] or message.sha256s
            kept = tuple(each for each in wanted if each in prints)
            self.embedded.extend(kept)
            vectors = np.array([vector_of(each, embedder) for each in kept], np.float32)
            thumbnails = np.array([prints[each][1] for each in kept], np.uint8)
            rows = Embeddings(
                kept,
                vectors.reshape(-1, DIMENSION),
                np.ones(len(kept), np.float32),
                thumbnails.reshape(-1, THUMBNAIL, THUMBNAIL, 3),
            )
            self.objects.put(key, write_embeddings(rows))
        hashes = tuple(prints[each][0] for each in good)
        return ShardEmbedded(sha256s=good, refused=refused, picture_hashes=hashes)


def _report(message: Message) -> Report:
    return Report(
        id=message.id,
        operation=message.operation,
        revision=message.revision,
        task=message.TASK,
        attempt=message.attempt,
    )


def row(sku: str, *digests: str, **fields: Any) -> dict[str, Any]:
    """A wire row."""
    images = [{"source": f"{digest[:6]}.jpg", "sha256": digest} for digest in digests]
    return {"fields": {"sku": sku, **fields}, "images": images}
