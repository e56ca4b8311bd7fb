"""A client that has nothing but the server's reflection can do the whole round."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

from tests.e2e.shop import Row, Shop
from tests.local_server import LocalServer

PARENT = "catalogs/reflected"
SERVICES = {
    "shelflens.v1.CatalogService",
    "shelflens.v1.ModelService",
    "shelflens.v1.SearchService",
    "shelflens.v1.DeadLetterService",
    "google.longrunning.Operations",
}


class ReflectionClient:
    """Makes any call by names: descriptors come from the server, none from our stubs."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._channel = channel
        self._database = ProtoReflectionDescriptorDatabase(channel)
        self._pool = DescriptorPool(self._database)

    def services(self) -> set[str]:
        return set(self._database.get_services())

    def message(self, name: str, **values: Any) -> Any:
        """A message of the type with this full name."""
        return GetMessageClass(self._pool.FindMessageTypeByName(name))(**values)

    def call(self, service: str, method: str, *requests: dict[str, Any]) -> Any:
        """One call with one request, or the requests of a stream; the whole answer."""
        found = self._pool.FindServiceByName(service).FindMethodByName(method)
        request, response = (
            GetMessageClass(each) for each in (found.input_type, found.output_type)
        )
        path = f"/{service}/{method}"
        serialize, parse = request.SerializeToString, response.FromString
        if found.client_streaming:
            stream = self._channel.stream_unary(path, serialize, parse)
            return stream((request(**each) for each in requests), timeout=60)
        (only,) = requests
        return self._channel.unary_unary(path, serialize, parse)(request(**only), timeout=60)

    def unpack(self, packed: Any) -> Any:
        """The message in an Any."""
        message = self.message(packed.type_url.rpartition("/")[2])
        assert packed.Unpack(message)
        return message


@pytest.fixture
def reflected(server: LocalServer) -> Iterator[ReflectionClient]:
    with grpc.insecure_channel(server.target) as channel:
        yield ReflectionClient(channel)


def test_reflection_lists_every_service(reflected: ReflectionClient) -> None:
    assert reflected.services() >= SERVICES | {"grpc.health.v1.Health"}


def test_reflection_suffices_to_import_search_and_delete(
    reflected: ReflectionClient, shop: Shop
) -> None:
    rows = shop.rows()[:12]
    catalogs, operations = "shelflens.v1.CatalogService", "google.longrunning.Operations"
    made = reflected.call(catalogs, "CreateCatalog", {"catalog_id": "reflected", "catalog": {}})
    assert (made.name, made.model) == (PARENT, "models/base")

    hashes = [hashlib.sha256(shop.image(row).read_bytes()).hexdigest() for row in rows]
    pieces = [
        {"sha256": sha256, "data": shop.image(row).read_bytes(), "last": True}
        for row, sha256 in zip(rows, hashes, strict=True)
    ]
    stored = reflected.call(catalogs, "UploadContents", {"parent": PARENT}, *pieces)
    assert (stored.stored_count, len(stored.refusals)) == (len(rows), 0)
    asked = {"parent": PARENT, "sha256s": [*hashes, "0" * 64]}
    missing = reflected.call(catalogs, "FindMissingContents", asked)
    assert list(missing.missing_sha256s) == ["0" * 64]

    lines = _manifest(rows, hashes)
    half = len(lines) // 2
    manifest = reflected.call(
        catalogs, "UploadManifest", {"parent": PARENT, "data": lines[:half]}, {"data": lines[half:]}
    )
    assert manifest.size_bytes == len(lines)
    begun = reflected.call(
        catalogs, "ImportProducts", {"parent": PARENT, "manifest": manifest.name}
    )
    done = reflected.call(
        operations, "WaitOperation", {"name": begun.name, "timeout": {"seconds": 60}}
    )
    assert done.done
    assert reflected.unpack(done.metadata).state == "SUCCEEDED"
    assert reflected.unpack(done.response).counts.rows_accepted == len(rows)

    query = {"parent": PARENT, "photo": shop.image(rows[4]).read_bytes(), "top_k": 3}
    found = reflected.call("shelflens.v1.SearchService", "SearchProducts", query)
    assert found.results[0].sku == rows[4]["sku"]
    assert found.results[0].score > 0.999

    reflected.call(catalogs, "DeleteProduct", {"name": found.results[0].product})
    after = reflected.call("shelflens.v1.SearchService", "SearchProducts", query)
    assert rows[4]["sku"] not in [each.sku for each in after.results]

    ending = reflected.call(catalogs, "DeleteCatalog", {"name": PARENT, "force": True})
    waited = reflected.call(
        operations, "WaitOperation", {"name": ending.name, "timeout": {"seconds": 60}}
    )
    assert waited.done
    assert not waited.HasField("error")
    with pytest.raises(grpc.RpcError) as raised:
        reflected.call(catalogs, "GetCatalog", {"name": PARENT})
    assert isinstance(raised.value, grpc.Call)
    assert raised.value.code() == grpc.StatusCode.NOT_FOUND


def _manifest(rows: Sequence[Row], hashes: Sequence[str]) -> bytes:
    """The wire format of docs/manifest.md."""
    lines = [
        {
            "row": number,
            "fields": {"sku": row["sku"], "title": row["title"], "price": row["price"]},
            "images": [{"source": row["image"], "sha256": sha256}],
        }
        for number, (row, sha256) in enumerate(zip(rows, hashes, strict=True), 1)
    ]
    return "".join(json.dumps(line) + "\n" for line in lines).encode()
