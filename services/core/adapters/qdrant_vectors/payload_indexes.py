"""Which fields of payloads are indexed, and how."""

from collections.abc import Iterable

from services.core.adapters.qdrant_vectors.stubs import q

CATALOG = "catalog"  # of points in a shared collection
PAYLOAD_INDEXES = {
    "product": q.FieldType.FieldTypeKeyword,
    "sku": q.FieldType.FieldTypeKeyword,
    "parent": q.FieldType.FieldTypeKeyword,
    "categories": q.FieldType.FieldTypeKeyword,
    "labels": q.FieldType.FieldTypeKeyword,
    "sha256": q.FieldType.FieldTypeKeyword,
    "price": q.FieldType.FieldTypeFloat,
    "stock": q.FieldType.FieldTypeFloat,
    "revision": q.FieldType.FieldTypeInteger,
}
# Servers keep the points of a tenant together on disk.
_TENANT = q.PayloadIndexParams(keyword_index_params=q.KeywordIndexParams(is_tenant=True))


def missing_indexes(
    collection: str, present: Iterable[str], *, shared: bool
) -> list[q.CreateFieldIndexCollection]:
    """The calls that make the indexes which are not `present`; a shared one indexes CATALOG too."""
    fields = PAYLOAD_INDEXES | ({CATALOG: q.FieldType.FieldTypeKeyword} if shared else {})
    return [
        q.CreateFieldIndexCollection(
            collection_name=collection,
            field_name=field,
            field_type=kind,
            field_index_params=_TENANT if field == CATALOG else None,
            wait=True,
        )
        for field, kind in fields.items()
        if field not in set(present)
    ]


def is_shared(info: q.CollectionInfo) -> bool:
    """Whether the points of several catalogues lie in the collection."""
    schema = info.payload_schema
    return CATALOG in schema and schema[CATALOG].params.keyword_index_params.is_tenant
