"""From protobuf messages to the values that users get."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from shelflens import values
from shelflens.faults import from_status
from shelflens.v1 import catalogs_pb2, dead_letters_pb2, search_pb2

_COUNTS = tuple(
    field.name
    for field in catalogs_pb2.ImportCounts.DESCRIPTOR.fields
    if field.name != "rejected_by_reason"
)


def catalog(message: catalogs_pb2.Catalog) -> values.Catalog:
    """A catalogue."""
    return values.Catalog(
        name=message.name,
        display_name=message.display_name,
        model=message.model,
        model_digest=message.model_digest,
        revision=message.revision,
        product_count=message.product_count,
        image_count=message.image_count,
        create_time=_time(message, "create_time"),
        update_time=_time(message, "update_time"),
        index_time=_time(message, "index_time"),
        embedding_dimension=message.embedding_dimension,
        external_embeddings=message.external_embeddings,
    )


def product(message: catalogs_pb2.Product) -> values.Product:
    """A product."""
    return values.Product(
        name=message.name,
        sku=message.sku,
        title=message.title,
        description=message.description,
        categories=tuple(message.categories),
        labels=tuple(message.labels),
        parent=message.parent,
        price=_optional(message, "price"),
        stock=_optional(message, "stock"),
        attributes=dict(message.attributes),
        image_count=message.image_count,
        revision=message.revision,
        update_time=_time(message, "update_time"),
    )


def image(message: catalogs_pb2.Image) -> values.Image:
    """An image; a state that this client does not know keeps its number."""
    known = catalogs_pb2.Image.State.values()
    named = message.state in known
    state = catalogs_pb2.Image.State.Name(message.state) if named else str(message.state)
    return values.Image(
        name=message.name,
        sha256=message.sha256,
        state=state.removeprefix("STATE_"),
        refusal=message.refusal,
        source=message.source,
        create_time=_time(message, "create_time"),
        embedding_only=message.embedding_only,
    )


def search_response(message: search_pb2.SearchProductsResponse) -> values.SearchResponse:
    """The answer to one photo."""
    return values.SearchResponse(
        results=tuple(_result(each) for each in message.results),
        model=message.model,
        model_digest=message.model_digest,
        index_time=_time(message, "index_time"),
        truncated=message.truncated,
        timings_ms={each.stage: each.milliseconds for each in message.timings},
    )


def _result(message: search_pb2.SearchResult) -> values.SearchResult:
    return values.SearchResult(
        product=message.product,
        sku=message.sku,
        title=message.title,
        category=message.category,
        score=message.score,
        image=message.image,
        hits=tuple(values.Hit(each.image, each.score) for each in message.hits),
        parent=message.parent,
        price=_optional(message, "price"),
        stock=_optional(message, "stock"),
    )


def embeddings(
    message: catalogs_pb2.ExportEmbeddingsResponse,
) -> Iterator[values.ImageEmbedding]:
    """The images of one message."""
    for each in message.embeddings:
        yield values.ImageEmbedding(each.image, each.sku, tuple(each.values), message.model_digest)


def dead_letter(message: dead_letters_pb2.DeadLetter) -> values.DeadLetter:
    """A message that no worker took."""
    return values.DeadLetter(
        name=message.name,
        queue=message.queue,
        routing_key=message.routing_key,
        task=message.task,
        operation=message.operation,
        reason=message.reason,
        detail=message.detail,
        content_type=message.content_type,
        headers=dict(message.headers),
        body=message.body,
        size_bytes=message.size_bytes,
        death_count=message.death_count,
        create_time=_time(message, "create_time"),
    )


def operation(message: Any) -> values.Operation:
    """A google.longrunning.Operation; metadata of a type unknown to this client is tolerated."""
    error = from_status(message.error) if message.HasField("error") else None
    kind = message.metadata.type_url.rpartition("/")[2]
    state = "RUNNING" if not message.done else "SUCCEEDED" if error is None else "FAILED"
    found: dict[str, Any] = {}
    if read := _METADATA.get(kind):
        kind, found = read(message.metadata)
    response = catalogs_pb2.ImportProductsResponse()
    if message.HasField("response") and message.response.Unpack(response):
        found["counts"] = _counts(response.counts)
        found["rejections"] = tuple(_rejection(each) for each in response.rejections)
        found["errors_uri"] = response.errors_uri
        found["prune"] = _prune(response.prune) if response.HasField("prune") else None
        found["stages"] = tuple(_stage(each) for each in response.stages)
        found["changes"] = tuple(
            values.ProductChange(each.sku, each.change, tuple(each.fields))
            for each in response.changes
        )
    erased = catalogs_pb2.EraseContentResponse()
    if message.HasField("response") and message.response.Unpack(erased):
        counts = (erased.image_count, erased.object_count, erased.shared_count)
        found["erased"] = values.Erasure(*counts)
    if error is not None and error.code == "CANCELLED":
        state = "CANCELLED"
    found["state"] = found.get("state") or state
    return values.Operation(name=message.name, kind=kind, done=message.done, error=error, **found)


def _import_metadata(packed: Any) -> tuple[str, dict[str, Any]]:
    message = catalogs_pb2.ImportProductsMetadata()
    packed.Unpack(message)
    return "import", {
        "state": message.state,
        "catalog": message.catalog,
        "display_name": message.display_name,
        "revision": message.revision,
        "total_rows": message.total_row_count,
        "counts": _counts(message.counts),
        "validate_only": message.validate_only,
        "create_time": _time(message, "create_time"),
        "update_time": _time(message, "update_time"),
    }


def _delete_metadata(packed: Any) -> tuple[str, dict[str, Any]]:
    message = catalogs_pb2.DeleteCatalogMetadata()
    packed.Unpack(message)
    found = {"catalog": message.catalog, "create_time": _time(message, "create_time")}
    return "delete_catalog", found


def _erase_metadata(packed: Any) -> tuple[str, dict[str, Any]]:
    message = catalogs_pb2.EraseContentMetadata()
    packed.Unpack(message)
    return "erase_content", {
        "catalog": message.catalog,
        "target": message.target,
        "create_time": _time(message, "create_time"),
    }


_METADATA: dict[str, Callable[[Any], tuple[str, dict[str, Any]]]] = {
    catalogs_pb2.ImportProductsMetadata.DESCRIPTOR.full_name: _import_metadata,
    catalogs_pb2.DeleteCatalogMetadata.DESCRIPTOR.full_name: _delete_metadata,
    catalogs_pb2.EraseContentMetadata.DESCRIPTOR.full_name: _erase_metadata,
}


def _counts(message: catalogs_pb2.ImportCounts) -> values.ImportCounts:
    numbers = {name: getattr(message, name) for name in _COUNTS}
    return values.ImportCounts(**numbers, rejected_by_reason=dict(message.rejected_by_reason))


def _prune(message: catalogs_pb2.PruneResult) -> values.PruneResult:
    return values.PruneResult(
        message.candidate_count,
        message.removed_count,
        message.spared_count,
        message.refusal,
        message.message,
    )


def _stage(message: catalogs_pb2.StageTime) -> values.StageTime:
    return values.StageTime(
        message.stage, message.task_count, message.item_count, message.busy_seconds
    )


def _rejection(message: catalogs_pb2.Rejection) -> values.Rejection:
    return values.Rejection(
        row=message.row,
        reason=message.reason,
        field=message.field,
        value=message.value,
        sku=message.sku,
        row_rejected=message.row_rejected,
    )


def _time(message: Message, field: str) -> datetime | None:
    if not message.HasField(field):
        return None
    stamp: Timestamp = getattr(message, field)
    return stamp.ToDatetime(tzinfo=UTC)


def _optional(message: Message, field: str) -> float | None:
    return getattr(message, field) if message.HasField(field) else None
