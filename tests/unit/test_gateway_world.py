"""A served gateway over the local adapters, for the other gateway tests, and its first claims."""

import hashlib
import uuid
from collections.abc import AsyncIterator, Awaitable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import grpc
import pytest
from google.longrunning import operations_pb2, operations_pb2_grpc
from google.rpc import error_details_pb2, status_pb2

from services.core.adapters.file_objects import FileObjects
from services.core.adapters.sql_records.store import SqlRecords, open_sqlite
from services.core.adapters.system_clock import SystemClock
from services.core.deployment_ports import Deployment
from services.core.domain import keys
from services.core.domain.catalog import category_prefixes
from services.core.ports import (
    CollectionSpec,
    Point,
)
from services.core.runtime.grpc_server import GrpcServer
from services.gateway.service import Gateway, Ports
from shelflens.v1 import catalogs_pb2 as pb
from shelflens.v1 import (
    catalogs_pb2_grpc,
    dead_letters_pb2_grpc,
    evaluation_pb2_grpc,
    models_pb2_grpc,
    search_pb2_grpc,
)
from tests.unit.gateway_doubles import (
    BASE,
    DIMENSION,
    MODEL_DIGEST,
    PlainVectors,
    Published,
    SeededEmbedder,
    embedding_of,
    picture,
)


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
        self.models = models_pb2_grpc.ModelServiceStub(self.channel)
        self.search = search_pb2_grpc.SearchServiceStub(self.channel)
        self.evaluations = evaluation_pb2_grpc.EvaluationServiceStub(self.channel)
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

    def index(self, catalog: str = "shop", to: Deployment | None = None, salt: bytes = b"") -> None:
        """What the coordinator and its workers do: shows the collection every image."""
        with self.records.begin() as tx:
            to = to or tx.catalogs.deployment(catalog)
            self.vectors.ensure_collection(CollectionSpec(to.collection, DIMENSION))
            for product in tx.products.page(catalog, "", 10_000):
                for image in tx.products.page_images(catalog, product.id, "", 1_000):
                    vector = embedding_of(self.objects.get(keys.image_key(image.sha256)) + salt)
                    payload = {
                        "product": product.id,
                        "sku": product.fields.sku,
                        "sha256": image.sha256,
                        "parent": product.fields.parent,
                        "categories": list(category_prefixes(product.fields.categories)),
                        "revision": product.revision,
                        "catalog": to.tenant,
                    }
                    point = to.point_id(product.id, image.sha256)
                    self.vectors.upsert(to.collection, [Point(point, vector, payload)])

    async def searchable(self, sku: str, *pictures: bytes, **fields: object) -> pb.Product:
        """A product with images that search returns."""
        product = await self.product(sku, **fields)
        for each in pictures:
            await self.image(product.name, each)
        self.index()
        return product


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
        tx.models.put("base", MODEL_DIGEST, BASE.to_dict(), datetime.now(UTC))
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
