"""A served gateway over the local adapters, for the other gateway tests, and its first claims."""

import asyncio
import hashlib
import io
import uuid
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from google.longrunning import operations_pb2, operations_pb2_grpc
from google.rpc import error_details_pb2, status_pb2
from PIL import Image

from services.core.adapters.file_objects import FileObjects
from services.core.adapters.sql_records.store import SqlRecords, open_sqlite
from services.core.adapters.system_clock import SystemClock
from services.core.domain import keys, names
from services.core.domain.catalog import category_prefixes
from services.core.domain.errors import InvalidImage, Unavailable
from services.core.domain.filters import SearchFilter
from services.core.messages import Message
from services.core.ports import (
    CollectionSpec,
    Float32,
    PayloadChange,
    Point,
    QueryEmbedding,
    RawMessage,
    ScoredPoint,
)
from services.core.runtime.grpc_server import GrpcServer
from services.gateway.service import Gateway, Ports
from shelflens.v1 import catalogs_pb2 as pb
from shelflens.v1 import catalogs_pb2_grpc, dead_letters_pb2_grpc, search_pb2_grpc

DIMENSION = 8
MODEL_DIGEST = "ab" * 32


class SeededEmbedder:
    """Turns bytes into a vector that depends on nothing else, after `delay` seconds."""

    def __init__(self) -> None:
        self.delay = 0.0
        self.digests: list[str] = []  # of the models that finished an embedding

    async def embed(self, photo: bytes, model_digest: str, timeout: float) -> QueryEmbedding:  # noqa: ASYNC109
        await asyncio.sleep(self.delay)
        if not photo.startswith(b"\x89PNG"):
            raise InvalidImage("the photo is no picture")
        self.digests.append(model_digest)
        return QueryEmbedding(embedding_of(photo), 1.0, {"decode": 0.1, "embed": 0.2})


def embedding_of(data: bytes) -> Float32:
    seed = int.from_bytes(hashlib.sha256(data).digest()[:8], "big")
    vector = np.random.default_rng(seed).normal(size=DIMENSION)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


class PlainVectors:
    """A VectorStore of dicts that compares with everything; filters by SKU and category only."""

    def __init__(self) -> None:
        self.points: dict[str, dict[str, Point]] = {}
        self.limits: list[int] = []

    def ensure_collection(self, spec: CollectionSpec) -> None:
        self.points.setdefault(spec.name, {})

    def drop_collection(self, name: str) -> None:
        self.points.pop(name, None)

    def upsert(self, collection: str, points: Sequence[Point]) -> None:
        self.points[collection].update({each.id: each for each in points})

    def set_payloads(self, collection: str, changes: Sequence[PayloadChange]) -> None:
        stored = self.points[collection]
        for change in changes:
            for each in change.ids:
                stored[each] = replace(stored[each], payload=change.payload)

    def delete(self, collection: str, ids: Sequence[str], revision: int) -> None:
        for each in ids:
            self.points[collection].pop(each, None)

    def search(
        self,
        collection: str,
        vector: Float32,
        *,
        limit: int,
        where: SearchFilter | None = None,
        score_threshold: float | None = None,
        timeout: float | None = None,
    ) -> list[ScoredPoint]:
        self.limits.append(limit)
        scored = [
            ScoredPoint(each.id, float(each.vector @ vector), each.payload)
            for each in self.points.get(collection, {}).values()
            if where is None or _matches(where, each)
        ]
        near = [each for each in scored if score_threshold is None or each.score >= score_threshold]
        return sorted(near, key=lambda each: -each.score)[:limit]

    def fetch(self, collection: str, ids: Sequence[str]) -> dict[str, Point]:
        stored = self.points.get(collection, {})
        return {each: stored[each] for each in ids if each in stored}

    def count(self, collection: str) -> int:
        return len(self.points.get(collection, {}))

    def _not_here(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError("the gateway does not need it")

    search_batch = search_groups = point_alias = aliases = _not_here


def _matches(where: SearchFilter, point: Point) -> bool:
    payload = point.payload
    return (not where.skus or payload["sku"] in where.skus) and (
        not where.categories or bool(set(where.categories) & set(payload["categories"]))
    )


class Published:
    """A TaskQueue that keeps what it is given, or is down."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.republished: list[RawMessage] = []
        self.down = False

    def publish(self, message: Message) -> None:
        if self.down:
            raise Unavailable("the broker is down")
        self.messages.append(message)

    def republish(self, message: RawMessage) -> None:
        if self.down:
            raise Unavailable("the broker is down")
        self.republished.append(message)


@dataclass
class World:
    """The parts of a served gateway, and clients of it."""

    records: SqlRecords
    objects: FileObjects
    channel: grpc.aio.Channel
    vectors: PlainVectors = field(default_factory=PlainVectors)
    embedder: SeededEmbedder = field(default_factory=SeededEmbedder)
    queue: Published = field(default_factory=Published)

    def __post_init__(self) -> None:
        self.catalogs = catalogs_pb2_grpc.CatalogServiceStub(self.channel)
        self.search = search_pb2_grpc.SearchServiceStub(self.channel)
        self.dead_letters = dead_letters_pb2_grpc.DeadLetterServiceStub(self.channel)
        self.operations = operations_pb2_grpc.OperationsStub(self.channel)

    async def catalog(self, catalog: str = "shop") -> pb.Catalog:
        return await self.catalogs.CreateCatalog(pb.CreateCatalogRequest(catalog_id=catalog))

    async def product(self, sku: str, **fields: object) -> pb.Product:
        product = pb.Product(sku=sku, **fields)  # type: ignore[arg-type]
        request = pb.CreateProductRequest(parent="catalogs/shop", product=product)
        return await self.catalogs.CreateProduct(request)

    async def image(self, product: str, data: bytes, request_id: str = "") -> pb.Image:
        pieces = [data[at : at + 1000] for at in range(0, len(data), 1000)]
        requests = [pb.UploadImageRequest(data=each) for each in pieces]
        requests[0].parent, requests[0].request_id = product, request_id
        return await self.catalogs.UploadImage(iter(requests))

    def index(self, catalog: str = "shop") -> None:
        """What the coordinator and its workers do: shows the collection every image."""
        with self.records.begin() as tx:
            collection = tx.catalogs.deployment(catalog).collection
            self.vectors.ensure_collection(CollectionSpec(collection, DIMENSION))
            for product in tx.products.page(catalog, "", 10_000):
                for image in tx.products.page_images(catalog, product.id, "", 1_000):
                    vector = embedding_of(self.objects.get(keys.image_key(image.sha256)))
                    payload = {
                        "product": product.id,
                        "sku": product.fields.sku,
                        "sha256": image.sha256,
                        "parent": product.fields.parent,
                        "categories": list(category_prefixes(product.fields.categories)),
                        "revision": product.revision,
                    }
                    point = names.point_id(catalog, product.id, image.sha256)
                    self.vectors.upsert(collection, [Point(point, vector, payload)])

    async def searchable(self, sku: str, *pictures: bytes, **fields: object) -> pb.Product:
        """A product with images that search returns."""
        product = await self.product(sku, **fields)
        for each in pictures:
            await self.image(product.name, each)
        self.index()
        return product


def picture(number: int) -> bytes:
    """A small PNG that differs for every number."""
    colour = (number % 256, number // 256 % 256, 7)
    file = io.BytesIO()
    Image.new("RGB", (64, 64), colour).save(file, "PNG")
    return file.getvalue()


def uuid4() -> str:
    return str(uuid.uuid4())


async def refused(call: Awaitable[object]) -> tuple[str, str]:
    """Code and reason of the error with which a call must end."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code().name, _reason(dict(caught.value.trailing_metadata()))


def _reason(trailers: Mapping[str, str | bytes]) -> str:
    details = trailers.get("grpc-status-details-bin", b"")
    assert isinstance(details, bytes)
    return reason_of(status_pb2.Status.FromString(details))


def reason_of(status: status_pb2.Status) -> str:
    info = error_details_pb2.ErrorInfo()
    if status.details:
        status.details[0].Unpack(info)
    return str(info.reason)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    records = open_sqlite(tmp_path / "records.sqlite")
    with records.begin(write=True) as tx:
        spec = {"embedding_dim": DIMENSION, "distance": "cosine"}
        tx.models.put("base", MODEL_DIGEST, spec, datetime.now(UTC))
    objects = FileObjects(tmp_path / "objects")
    vectors, embedder, queue = PlainVectors(), SeededEmbedder(), Published()
    gateway = Gateway(Ports(records, objects, vectors, queue, embedder, SystemClock()))
    server = GrpcServer("127.0.0.1:0", gateway.services())
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        yield World(records, objects, channel, vectors, embedder, queue)
    await server.stop(grace=0)
    await gateway.close()
    records.close()


async def test_an_import_starts_from_uploaded_contents_and_a_manifest(world: World) -> None:
    await world.catalog()
    data = picture(1)
    sha256 = hashlib.sha256(data).hexdigest()
    ask = pb.FindMissingContentsRequest(parent="catalogs/shop", sha256s=[sha256, "0" * 64])
    assert (await world.catalogs.FindMissingContents(ask)).missing_sha256s == [sha256, "0" * 64]
    whole = pb.UploadContentsRequest(parent="catalogs/shop", sha256=sha256, data=data, last=True)
    assert (await world.catalogs.UploadContents(iter([whole]))).stored_count == 1
    assert (await world.catalogs.FindMissingContents(ask)).missing_sha256s == ["0" * 64]
    lines = [pb.UploadManifestRequest(parent="catalogs/shop", data=b'{"row":1')]
    lines += [pb.UploadManifestRequest(data=b"}\n")]
    manifest = await world.catalogs.UploadManifest(iter(lines))
    assert manifest.size_bytes == 10
    operation = await world.catalogs.ImportProducts(
        pb.ImportProductsRequest(
            parent="catalogs/shop", manifest=manifest.name, display_name="my.csv"
        )
    )
    progress = pb.ImportProductsMetadata()
    assert operation.metadata.Unpack(progress)
    assert (progress.state, progress.display_name, progress.revision) == ("QUEUED", "my.csv", 1)
    assert [each.operation for each in world.queue.messages] == [operation.name.split("/")[1]]
    same = await world.operations.GetOperation(
        operations_pb2.GetOperationRequest(name=operation.name)
    )
    assert same == operation
    with world.records.begin() as tx:
        request = tx.operations.get(operation.name.split("/")[1]).request
    assert world.objects.get(request["manifest"]) == b'{"row":1}\n'
