# ruff: noqa: N802 - the methods are named by the contract
"""How the tests' server reports errors, erases and exports."""

import csv
import io
from collections.abc import Iterator
from typing import Any

from shelflens.v1 import catalogs_pb2 as pb
from tests.unit.test_client_server_state import ServerState

DIGEST = "d" * 64
_PIECE = 100  # bytes: cells are cut


class ContentMethods(ServerState):
    """`extra_rejections` are in the CSV beyond those of the operation's response."""

    def __init__(self) -> None:
        super().__init__()
        self.extra_rejections: list[tuple[int, str, str, str, str, bool]] = []

    def DownloadImportErrors(self, request: Any, context: Any) -> Iterator[Any]:
        self.enter("DownloadImportErrors", context)
        operation = self.find(context, "operations", request.name)
        response = pb.ImportProductsResponse()
        if not operation.response.Unpack(response):
            self.fail(context, "INVALID_ARGUMENT", "NOT_AN_IMPORT", "it is no import")
        text = io.StringIO()
        lines = csv.writer(text)
        lines.writerow(("row", "sku", "reason", "field", "value", "row_rejected"))
        for each in response.rejections:
            lines.writerow(
                (each.row, each.sku, each.reason, each.field, each.value, each.row_rejected)
            )
        lines.writerows(self.extra_rejections)
        data = text.getvalue().encode()
        for start in range(0, len(data), _PIECE):
            yield pb.DownloadImportErrorsResponse(data=data[start : start + _PIECE])

    def EraseContent(self, request: pb.EraseContentRequest, context: Any) -> Any:
        self.enter("EraseContent", context, request)
        kind = "images" if "/images/" in request.name else "products"
        self.find(context, kind, request.name)
        del getattr(self, kind)[request.name]
        catalog = "/".join(request.name.split("/")[:2])
        operation = self.start(pb.EraseContentMetadata(catalog=catalog, target=request.name))
        operation.response.Pack(
            pb.EraseContentResponse(image_count=1, object_count=2, shared_count=3)
        )
        return self.public(operation)

    def ExportEmbeddings(self, request: pb.ExportEmbeddingsRequest, context: Any) -> Iterator[Any]:
        self.enter("ExportEmbeddings", context)
        self.find(context, "catalogs", request.parent)
        yield pb.ExportEmbeddingsResponse(model_digest=DIGEST)
        for at, (name, product) in enumerate(sorted(self.products.items())):
            image = pb.ImageEmbedding(
                image=f"{name}/images/{'a' * 64}", sku=product.sku, values=[at, 0.1, -1]
            )
            yield pb.ExportEmbeddingsResponse(model_digest=DIGEST, embeddings=[image])
