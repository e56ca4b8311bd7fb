# ruff: noqa: N802 - the methods are named by the contract
"""The server that the client's tests talk to: the whole contract over dicts, on a real port."""

import hashlib
import json
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
from google.longrunning import operations_pb2, operations_pb2_grpc

from shelflens.names import product_id
from shelflens.v1 import catalogs_pb2 as pb
from shelflens.v1 import (
    catalogs_pb2_grpc,
    dead_letters_pb2_grpc,
    evaluation_pb2_grpc,
    models_pb2_grpc,
    search_pb2_grpc,
)
from tests.unit.client_server_contents import ContentMethods
from tests.unit.client_server_evaluations import EvaluationMethods
from tests.unit.client_server_letters import DeadLetterMethods
from tests.unit.client_server_models import ModelMethods
from tests.unit.client_server_search import SearchMethods
from tests.unit.test_client_server_state import make_status


class MemoryServer(
    ContentMethods,
    DeadLetterMethods,
    EvaluationMethods,
    ModelMethods,
    SearchMethods,
    evaluation_pb2_grpc.EvaluationServiceServicer,
    models_pb2_grpc.ModelServiceServicer,
    dead_letters_pb2_grpc.DeadLetterServiceServicer,
    catalogs_pb2_grpc.CatalogServiceServicer,
    search_pb2_grpc.SearchServiceServicer,
    operations_pb2_grpc.OperationsServicer,  # type: ignore[misc]  # the wheel has no types
):
    """Answers every method of the contract."""

    def CreateCatalog(self, request: pb.CreateCatalogRequest, context: Any) -> pb.Catalog:
        self.enter("CreateCatalog", context, request)
        name = f"catalogs/{request.catalog_id}"
        if name in self.catalogs:
            self.fail(context, "ALREADY_EXISTS", "CATALOG_EXISTS", f"{name} exists", name=name)
        request.catalog.name = name
        request.catalog.model = request.catalog.model or "models/base"
        if request.HasField("external_model"):
            request.catalog.model = request.external_model.model
            request.catalog.embedding_dimension = request.external_model.dimension
            request.catalog.external_embeddings = True
        self.catalogs[name] = request.catalog
        return request.catalog

    def GetCatalog(self, request: pb.GetCatalogRequest, context: Any) -> pb.Catalog:
        self.enter("GetCatalog", context)
        found: pb.Catalog = self.find(context, "catalogs", request.name)
        return found

    def ListCatalogs(self, request: pb.ListCatalogsRequest, context: Any) -> Any:
        self.enter("ListCatalogs", context)
        items, token = self.page(request, self.catalogs)
        return pb.ListCatalogsResponse(catalogs=items, next_page_token=token)

    def UpdateCatalog(self, request: pb.UpdateCatalogRequest, context: Any) -> Any:
        self.enter("UpdateCatalog", context)
        found = self.find(context, "catalogs", request.catalog.name)
        request.update_mask.MergeMessage(request.catalog, found)
        return found

    def DeleteCatalog(self, request: pb.DeleteCatalogRequest, context: Any) -> Any:
        self.enter("DeleteCatalog", context, request)
        self.find(context, "catalogs", request.name)
        if not request.force and any(name.startswith(request.name) for name in self.products):
            self.fail(context, "FAILED_PRECONDITION", "CATALOG_NOT_EMPTY", "has products")
        del self.catalogs[request.name]
        operation = self.start(pb.DeleteCatalogMetadata(catalog=request.name))
        operation.done = True
        return operation

    def CreateProduct(self, request: pb.CreateProductRequest, context: Any) -> pb.Product:
        self.enter("CreateProduct", context, request)
        product = request.product
        product.name = f"{request.parent}/products/{product_id(product.sku)}"
        self.products[product.name] = product
        return product

    def GetProduct(self, request: pb.GetProductRequest, context: Any) -> Any:
        self.enter("GetProduct", context)
        return self.find(context, "products", request.name)

    def ListProducts(self, request: pb.ListProductsRequest, context: Any) -> Any:
        self.enter("ListProducts", context)
        inside = {k: v for k, v in self.products.items() if k.startswith(request.parent + "/")}
        items, token = self.page(request, inside)
        return pb.ListProductsResponse(products=items, next_page_token=token)

    def UpdateProduct(self, request: pb.UpdateProductRequest, context: Any) -> Any:
        self.enter("UpdateProduct", context)
        found = self.find(context, "products", request.product.name)
        for path in request.update_mask.paths:
            found.ClearField(path)
        request.update_mask.MergeMessage(request.product, found, False, True)
        return found

    def DeleteProduct(self, request: pb.DeleteProductRequest, context: Any) -> Any:
        self.enter("DeleteProduct", context, request)
        self.find(context, "products", request.name)
        del self.products[request.name]
        return pb.DeleteProductResponse(revision=7)

    def GetImage(self, request: pb.GetImageRequest, context: Any) -> Any:
        self.enter("GetImage", context)
        return self.find(context, "images", request.name)

    def ListImages(self, request: pb.ListImagesRequest, context: Any) -> Any:
        self.enter("ListImages", context)
        inside = {k: v for k, v in self.images.items() if k.startswith(request.parent + "/")}
        items, token = self.page(request, inside)
        return pb.ListImagesResponse(images=items, next_page_token=token)

    def DeleteImage(self, request: pb.DeleteImageRequest, context: Any) -> Any:
        self.enter("DeleteImage", context, request)
        self.find(context, "images", request.name)
        del self.images[request.name]
        return pb.DeleteImageResponse(revision=8)

    def UploadImage(self, requests: Iterator[pb.UploadImageRequest], context: Any) -> pb.Image:
        first = next(requests)
        self.enter("UploadImage", context, first)
        data = first.data + b"".join(each.data for each in requests)
        return self.store_image(first.parent, data)

    def store_image(self, product: str, data: bytes) -> pb.Image:
        sha256 = hashlib.sha256(data).hexdigest()
        self.contents[sha256] = data
        image = pb.Image(name=f"{product}/images/{sha256}", sha256=sha256)
        image.state = pb.Image.STATE_SEARCHABLE
        self.images[image.name] = image
        return image

    def DownloadImage(self, request: pb.DownloadImageRequest, context: Any) -> Iterator[Any]:
        self.enter("DownloadImage", context)
        data = self.contents[self.find(context, "images", request.name).sha256]
        for start in range(0, len(data), 1 << 20):
            yield pb.DownloadImageResponse(data=data[start : start + (1 << 20)])

    def FindMissingContents(self, request: pb.FindMissingContentsRequest, context: Any) -> Any:
        self.enter("FindMissingContents", context)
        if len(request.sha256s) > 1000:
            self.fail(context, "INVALID_ARGUMENT", "TOO_MANY", "more than 1,000 hashes")
        missing = [each for each in request.sha256s if each not in self.contents]
        return pb.FindMissingContentsResponse(missing_sha256s=missing)

    def UploadContents(self, requests: Iterator[Any], context: Any) -> Any:
        self.enter("UploadContents", context)
        answer = pb.UploadContentsResponse()
        pieces: list[bytes] = []
        for place, each in enumerate(requests):
            if bool(each.parent) != (place == 0) or len(each.data) > 1 << 20:
                self.fail(context, "INVALID_ARGUMENT", "BAD_STREAM", "parent comes first, once")
            pieces.append(each.data)
            if each.last:
                self.store_content(each.sha256, b"".join(pieces), answer)
                pieces = []
        return answer

    def store_content(self, sha256: str, data: bytes, answer: Any) -> None:
        reason = self.refuse.get(data)
        if hashlib.sha256(data).hexdigest() != sha256:
            reason = "DIGEST_MISMATCH"
        if reason:
            answer.refusals.add(sha256=sha256, reason=reason, message="refused")
        else:
            self.contents[sha256] = data
            answer.stored_count += 1

    def UploadManifest(self, requests: Iterator[Any], context: Any) -> pb.Manifest:
        self.enter("UploadManifest", context)
        first = next(requests)
        name = f"{first.parent}/manifests/{uuid.uuid4().hex}"
        self.manifests[name] = first.data + b"".join(each.data for each in requests)
        return pb.Manifest(name=name, size_bytes=len(self.manifests[name]))

    def ImportProducts(self, request: pb.ImportProductsRequest, context: Any) -> Any:
        self.enter("ImportProducts", context, request)
        lines = [json.loads(line) for line in self.manifests[request.manifest].splitlines()]
        answer = pb.ImportProductsResponse()
        for line in lines:
            self.import_row(request.parent, line, answer)
        metadata = pb.ImportProductsMetadata(
            catalog=request.parent,
            display_name=request.display_name,
            state="RUNNING",
            total_row_count=len(lines),
            counts=answer.counts,
        )
        operation = self.start(metadata)
        operation.response.Pack(answer)
        return self.public(operation)

    def import_row(self, parent: str, line: dict[str, Any], answer: Any) -> None:
        answer.counts.rows_read += 1
        sku = line["fields"].get("sku", "")
        for image in line.get("images", ()):
            if image.get("sha256") not in self.contents:
                reason = image.get("error", "CONTENT_MISSING")
                answer.counts.images_refused += 1
                answer.rejections.add(
                    row=line["row"], reason=reason, field="images", value=image["source"], sku=sku
                )
        if problem := line.get("problem"):
            answer.counts.rows_rejected += 1
            answer.counts.rejected_by_reason[problem["reason"]] += 1
            answer.rejections.add(row=line["row"], row_rejected=True, sku=sku, **problem)
            return
        answer.counts.rows_accepted += 1
        name = f"{parent}/products/{product_id(sku)}"
        self.products[name] = pb.Product(name=name, sku=sku, title=line["fields"].get("title", ""))

    def GetOperation(self, request: Any, context: Any) -> Any:
        self.enter("GetOperation", context)
        return self.public(self.find(context, "operations", request.name))

    def ListOperations(self, request: Any, context: Any) -> Any:
        self.enter("ListOperations", context)
        items, token = self.page(request, self.operations)
        shown = [self.public(each) for each in items]
        return operations_pb2.ListOperationsResponse(operations=shown, next_page_token=token)

    def WaitOperation(self, request: Any, context: Any) -> Any:
        self.enter("WaitOperation", context)
        operation = self.find(context, "operations", request.name)
        time.sleep(min(0.02, request.timeout.ToTimedelta().total_seconds()))
        if self.news:
            operation.metadata.Pack(self.news.pop(0))
        self.polls_until_done -= 1
        if self.polls_until_done <= 0:
            operation.done = True
        return self.public(operation)

    def CancelOperation(self, request: Any, context: Any) -> Any:
        self.enter("CancelOperation", context)
        operation = self.find(context, "operations", request.name)
        operation.done = True
        operation.error.CopyFrom(make_status("CANCELLED", "CANCELLED", "cancelled by a user"))
        return operations_pb2.google_dot_protobuf_dot_empty__pb2.Empty()

    def DeleteOperation(self, request: Any, context: Any) -> Any:
        self.enter("DeleteOperation", context)
        self.find(context, "operations", request.name)
        del self.operations[request.name]
        return operations_pb2.google_dot_protobuf_dot_empty__pb2.Empty()


@contextmanager
def serving(server: MemoryServer, port: int = 0) -> Iterator[str]:
    """Serves on a free port (or `port`) of this machine; gives HOST:PORT."""
    grpc_server = grpc.server(ThreadPoolExecutor(8))
    register: list[Callable[[Any, Any], None]] = [
        catalogs_pb2_grpc.add_CatalogServiceServicer_to_server,
        search_pb2_grpc.add_SearchServiceServicer_to_server,
        operations_pb2_grpc.add_OperationsServicer_to_server,
        dead_letters_pb2_grpc.add_DeadLetterServiceServicer_to_server,
        models_pb2_grpc.add_ModelServiceServicer_to_server,
        evaluation_pb2_grpc.add_EvaluationServiceServicer_to_server,
    ]
    for add in register:
        add(server, grpc_server)
    bound = grpc_server.add_insecure_port(f"127.0.0.1:{port}")
    grpc_server.start()
    try:
        yield f"127.0.0.1:{bound}"
    finally:
        grpc_server.stop(None).wait()


def test_the_server_of_these_tests_implements_every_method_of_the_contract() -> None:
    for contract in MemoryServer.__bases__[5:]:
        methods = [name for name in vars(contract) if name[0].isupper()]
        assert methods
        assert all(getattr(MemoryServer, each) is not vars(contract)[each] for each in methods)
