"""Images of products, and the bytes that go ahead of an import."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from shelflens import convert, values
from shelflens.calls.call import PIECE, Call, Pages, new_request_id
from shelflens.images import read_upload
from shelflens.importing.options import Rules
from shelflens.names import catalog_name, image_name, model_name, product_name
from shelflens.v1 import catalogs_pb2

Photo = bytes | str | Path
_UPLOAD_S = 600.0


def upload_image(product: str, photo: Photo) -> Call[values.Image]:
    """Adds one image, given as bytes or as a path, to a product.

    It can be found once its state is SEARCHABLE, normally within two seconds.
    """
    data = read_upload(photo)
    first = catalogs_pb2.UploadImageRequest(
        parent=product_name(product), request_id=new_request_id(), data=data[:PIECE]
    )
    rest = [
        catalogs_pb2.UploadImageRequest(data=data[start : start + PIECE])
        for start in range(PIECE, len(data), PIECE)
    ]
    return Call("catalogs", "UploadImage", [first, *rest], convert.image, _UPLOAD_S)


def get_image(image: str) -> Call[values.Image]:
    """Reads one image's record."""
    request = catalogs_pb2.GetImageRequest(name=image_name(image))
    return Call("catalogs", "GetImage", request, convert.image)


def list_images(product: str, *, page_size: int = 0) -> Pages[values.Image]:
    """All images of a product, in the order of their ids."""
    request = catalogs_pb2.ListImagesRequest(parent=product_name(product), page_size=page_size)
    return Pages("catalogs", "ListImages", request, "images", convert.image)


def delete_image(image: str) -> Call[int]:
    """Deletes one image. Returns the catalogue's revision after that."""
    request = catalogs_pb2.DeleteImageRequest(name=image_name(image), request_id=new_request_id())
    return Call("catalogs", "DeleteImage", request, _revision)


def download_request(image: str) -> catalogs_pb2.DownloadImageRequest:
    """The request for the stored bytes of one image."""
    return catalogs_pb2.DownloadImageRequest(name=image_name(image))


def find_missing_contents(catalog: str, sha256s: Sequence[str]) -> Call[frozenset[str]]:
    """Which of at most 1,000 hashes the server does not store yet."""
    request = catalogs_pb2.FindMissingContentsRequest(parent=catalog_name(catalog), sha256s=sha256s)
    return Call(
        "catalogs",
        "FindMissingContents",
        request,
        _missing,
    )


def upload_contents(
    messages: Iterable[catalogs_pb2.UploadContentsRequest],
) -> Call[catalogs_pb2.UploadContentsResponse]:
    """Stores many images under their hashes on one stream."""
    return Call("catalogs", "UploadContents", messages, _itself, _UPLOAD_S)


def upload_manifest(
    messages: Iterable[catalogs_pb2.UploadManifestRequest],
) -> Call[catalogs_pb2.Manifest]:
    """Stores a manifest for `import_manifest`."""
    return Call("catalogs", "UploadManifest", messages, _itself, _UPLOAD_S)


def import_manifest(
    catalog: str,
    manifest: str,
    *,
    display_name: str = "",
    rules: Rules | None = None,
    row_count: int = 0,
) -> Call[values.Operation]:
    """Starts the import of a stored manifest of `row_count` rows (0: unknown).

    `import_products` does all of it at once.
    """
    rules = rules or Rules()
    request = catalogs_pb2.ImportProductsRequest(
        parent=catalog_name(catalog),
        manifest=manifest,
        display_name=display_name[:200],
        request_id=new_request_id(),
        prune=rules.prune,
        max_removals=rules.max_removals,
        validate_only=rules.validate_only,
        max_errors=rules.max_errors,
        fold_duplicates=rules.fold_duplicates,
        row_count=row_count,
        by_reference=rules.by_reference,
        embeddings_model=model_name(rules.embeddings_model) if rules.embeddings_model else "",
    )
    return Call("catalogs", "ImportProducts", request, convert.operation)


def _missing(answer: catalogs_pb2.FindMissingContentsResponse) -> frozenset[str]:
    return frozenset(answer.missing_sha256s)


T = TypeVar("T")


def _itself(answer: T) -> T:
    return answer


def _revision(answer: catalogs_pb2.DeleteImageResponse) -> int:
    return answer.revision
