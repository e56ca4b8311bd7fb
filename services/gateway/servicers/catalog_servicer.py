"""CatalogService."""

# ruff: noqa: N802 - the methods are named in the proto.

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from google.longrunning import operations_pb2
from google.protobuf.message import Message

from services.core.domain import names
from services.core.domain.errors import NotFound
from services.gateway.handlers.catalogs import Catalogs
from services.gateway.handlers.contents import Contents, Piece
from services.gateway.handlers.erasing import Erasing
from services.gateway.handlers.exports import Exports
from services.gateway.handlers.images import Images
from services.gateway.handlers.imports import Imports
from services.gateway.handlers.products import Products
from services.gateway.handlers.reports import Reports
from services.gateway.servicers import conversions as convert
from services.gateway.servicers.deadlines import Context
from services.gateway.servicers.masks import written_fields
from services.gateway.servicers.operation_conversions import operation_message, read_rules
from services.gateway.servicers.pagination import Page, read_page
from services.gateway.servicers.repeats import once
from services.gateway.servicers.streams import joined, opened
from services.gateway.settings import GatewayLimits
from shelflens.v1 import catalogs_pb2 as pb
from shelflens.v1 import catalogs_pb2_grpc

CATALOG = "catalogs/*"
PRODUCT = "catalogs/*/products/*"
IMAGE = "catalogs/*/products/*/images/*"
MANIFEST = "catalogs/*/manifests/*"
OPERATION = "operations/*"


@dataclass(frozen=True, slots=True)
class UseCases:
    """What the service does, apart from its protocol."""

    catalogs: Catalogs
    products: Products
    images: Images
    contents: Contents
    imports: Imports
    reports: Reports
    erasing: Erasing
    exports: Exports


class CatalogServicer(catalogs_pb2_grpc.CatalogServiceServicer):
    """Catalogues, products, images, uploads and imports."""

    def __init__(self, use_cases: UseCases, limits: GatewayLimits) -> None:
        self._catalogs = use_cases.catalogs
        self._products = use_cases.products
        self._images = use_cases.images
        self._contents = use_cases.contents
        self._imports = use_cases.imports
        self._reports = use_cases.reports
        self._erasing = use_cases.erasing
        self._exports = use_cases.exports
        self._limits = limits
        # Each holds a few images in memory, however many clients there are.
        self._uploads = asyncio.Semaphore(limits.uploads)

    async def CreateCatalog(self, request: pb.CreateCatalogRequest, context: Context) -> pb.Catalog:
        call = once(request, request.request_id, pb.Catalog, convert.catalog_message)
        model = convert.created_model(request)
        label, days = request.catalog.display_name, request.catalog.feedback_photo_days
        return await self._catalogs.create(request.catalog_id, label, model, call, days)

    async def GetCatalog(self, request: pb.GetCatalogRequest, context: Context) -> pb.Catalog:
        return convert.catalog_message(
            await self._catalogs.get(*names.parse(request.name, CATALOG))
        )

    async def ListCatalogs(
        self, request: pb.ListCatalogsRequest, context: Context
    ) -> pb.ListCatalogsResponse:
        page = self._page(request, request.page_size, request.page_token)
        found = await self._catalogs.page(page.after, page.size + 1)
        shown, token = page.split(found, lambda each: each.id)
        return pb.ListCatalogsResponse(
            catalogs=map(convert.catalog_message, shown), next_page_token=token
        )

    async def UpdateCatalog(self, request: pb.UpdateCatalogRequest, context: Context) -> pb.Catalog:
        (catalog,) = names.parse(request.catalog.name, CATALOG, "catalog.name")
        fields = written_fields(request.catalog, request.update_mask)
        label = request.catalog.display_name if "display_name" in fields else None
        model = convert.model_id(request.catalog.model) if "model" in fields else None
        days = request.catalog.feedback_photo_days if "feedback_photo_days" in fields else None
        found = await self._catalogs.update(catalog, label, model or None, days)
        return convert.catalog_message(found)

    async def DeleteCatalog(
        self, request: pb.DeleteCatalogRequest, context: Context
    ) -> operations_pb2.Operation:
        (catalog,) = names.parse(request.name, CATALOG)
        call = once(request, request.request_id, operations_pb2.Operation, operation_message)
        return await self._catalogs.delete(catalog, request.force, call)

    async def CreateProduct(self, request: pb.CreateProductRequest, context: Context) -> pb.Product:
        (catalog,) = names.parse(request.parent, CATALOG, "parent")
        call = once(request, request.request_id, pb.Product, convert.product_message)
        return await self._products.create(catalog, convert.product_fields(request.product), call)

    async def GetProduct(self, request: pb.GetProductRequest, context: Context) -> pb.Product:
        return convert.product_message(
            await self._products.get(*names.parse(request.name, PRODUCT))
        )

    async def ListProducts(
        self, request: pb.ListProductsRequest, context: Context
    ) -> pb.ListProductsResponse:
        (catalog,) = names.parse(request.parent, CATALOG, "parent")
        page = self._page(request, request.page_size, request.page_token)
        found = await self._products.page(catalog, page.after, page.size + 1)
        shown, token = page.split(found, lambda each: each.id)
        return pb.ListProductsResponse(
            products=map(convert.product_message, shown), next_page_token=token
        )

    async def UpdateProduct(self, request: pb.UpdateProductRequest, context: Context) -> pb.Product:
        catalog, product = names.parse(request.product.name, PRODUCT, "product.name")
        values = convert.product_values(request.product)
        fields = written_fields(request.product, request.update_mask)
        changes = {name: values[name] for name in fields}
        return convert.product_message(await self._products.update(catalog, product, changes))

    async def DeleteProduct(
        self, request: pb.DeleteProductRequest, context: Context
    ) -> pb.DeleteProductResponse:
        catalog, product = names.parse(request.name, PRODUCT)
        kind = pb.DeleteProductResponse
        call = once(request, request.request_id, kind, convert.product_deleted)
        return await self._products.delete(catalog, product, call)

    async def GetImage(self, request: pb.GetImageRequest, context: Context) -> pb.Image:
        return convert.image_message(await self._images.get(*names.parse(request.name, IMAGE)))

    async def ListImages(
        self, request: pb.ListImagesRequest, context: Context
    ) -> pb.ListImagesResponse:
        catalog, product = names.parse(request.parent, PRODUCT, "parent")
        page = self._page(request, request.page_size, request.page_token)
        found = await self._images.page(catalog, product, page.after, page.size + 1)
        shown, token = page.split(found, lambda each: each.sha256)
        return pb.ListImagesResponse(
            images=map(convert.image_message, shown), next_page_token=token
        )

    async def DeleteImage(
        self, request: pb.DeleteImageRequest, context: Context
    ) -> pb.DeleteImageResponse:
        catalog, product, sha256 = names.parse(request.name, IMAGE)
        kind = pb.DeleteImageResponse
        call = once(request, request.request_id, kind, convert.image_deleted)
        return await self._images.delete(catalog, product, sha256, call)

    async def UploadImage(
        self, request_iterator: AsyncIterator[pb.UploadImageRequest], context: Context
    ) -> pb.Image:
        first, requests = await opened(request_iterator)
        catalog, product = names.parse(first.parent, PRODUCT, "parent")
        chunks = (each.data async for each in requests)
        async with self._uploads:
            data = await joined(chunks, self._limits.image.max_bytes)
            # The hash stands for the bytes: repeats may cut them into other pieces.
            whole = pb.UploadImageRequest(parent=first.parent, data=hashlib.sha256(data).digest())
            call = once(whole, first.request_id, pb.Image, convert.image_message)
            return await self._images.upload(catalog, product, data, call)

    async def DownloadImage(
        self, request: pb.DownloadImageRequest, context: Context
    ) -> AsyncIterator[pb.DownloadImageResponse]:
        async for piece in self._images.download(*names.parse(request.name, IMAGE)):
            yield pb.DownloadImageResponse(data=piece)

    async def FindMissingContents(
        self, request: pb.FindMissingContentsRequest, context: Context
    ) -> pb.FindMissingContentsResponse:
        (catalog,) = names.parse(request.parent, CATALOG, "parent")
        missing = await self._contents.missing(catalog, request.sha256s)
        return pb.FindMissingContentsResponse(missing_sha256s=missing)

    async def UploadContents(
        self, request_iterator: AsyncIterator[pb.UploadContentsRequest], context: Context
    ) -> pb.UploadContentsResponse:
        first, requests = await opened(request_iterator)
        (catalog,) = names.parse(first.parent, CATALOG, "parent")
        pieces = (Piece(each.sha256, each.data, each.last) async for each in requests)
        async with self._uploads:
            return convert.stored_message(await self._contents.store(catalog, pieces))

    async def UploadManifest(
        self, request_iterator: AsyncIterator[pb.UploadManifestRequest], context: Context
    ) -> pb.Manifest:
        first, requests = await opened(request_iterator)
        (catalog,) = names.parse(first.parent, CATALOG, "parent")
        chunks = (each.data async for each in requests)
        return convert.manifest_message(await self._imports.upload_manifest(catalog, chunks))

    async def ImportProducts(
        self, request: pb.ImportProductsRequest, context: Context
    ) -> operations_pb2.Operation:
        (catalog,) = names.parse(request.parent, CATALOG, "parent")
        owner, manifest = names.parse(request.manifest, MANIFEST, "manifest")
        if owner != catalog:
            raise NotFound(
                f"{request.manifest} is not of {request.parent}", reason="MANIFEST_NOT_FOUND"
            )
        call = once(request, request.request_id, operations_pb2.Operation, operation_message)
        rules = read_rules(request)
        return await self._imports.start(catalog, manifest, request.display_name, rules, call)

    async def DownloadImportErrors(
        self, request: pb.DownloadImportErrorsRequest, context: Context
    ) -> AsyncIterator[pb.DownloadImportErrorsResponse]:
        async for piece in self._reports.download(*names.parse(request.name, OPERATION)):
            yield pb.DownloadImportErrorsResponse(data=piece)

    async def EraseContent(
        self, request: pb.EraseContentRequest, context: Context
    ) -> operations_pb2.Operation:
        catalog, product, sha256 = convert.erased_ids(request.name)
        call = once(request, request.request_id, operations_pb2.Operation, operation_message)
        return await self._erasing.erase(catalog, product, sha256, call)

    async def ExportEmbeddings(
        self, request: pb.ExportEmbeddingsRequest, context: Context
    ) -> AsyncIterator[pb.ExportEmbeddingsResponse]:
        deployment = await self._exports.deployment(*names.parse(request.parent, CATALOG, "parent"))
        # Alone, so that an empty catalogue has a model too.
        yield pb.ExportEmbeddingsResponse(model_digest=deployment.model_digest)
        async for exported in self._exports.pieces(deployment):
            yield convert.exported_message(deployment, exported)

    def _page(self, request: Message, size: int, token: str) -> Page:
        limits = self._limits
        return read_page(request, size, token, limits.page_size, limits.max_page_size)
