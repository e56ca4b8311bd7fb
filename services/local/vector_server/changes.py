"""Qdrant's write requests as operations of qdrant-edge."""

from collections.abc import Iterator

import qdrant_edge as edge

from services.core.adapters.qdrant_vectors import wire
from services.core.adapters.qdrant_vectors.stubs import q
from services.core.ports import CollectionSpec
from services.local.vector_server.conditions import edge_filter, point_id
from services.local.vector_server.journal import Change
from services.local.vector_server.refusals import bad_request

# An operation holds the GIL, and a query waits for it: 64 points of 1280 dimensions are 2 ms.
SLICE = 64

_FIELD_TYPES = {
    q.FieldType.FieldTypeKeyword: edge.PayloadSchemaType.Keyword,
    q.FieldType.FieldTypeInteger: edge.PayloadSchemaType.Integer,
    q.FieldType.FieldTypeFloat: edge.PayloadSchemaType.Float,
    q.FieldType.FieldTypeBool: edge.PayloadSchemaType.Bool,
}


def edge_operations(change: Change, spec: CollectionSpec) -> list[edge.UpdateOperation]:
    """Raises Refused (INVALID_ARGUMENT) before anything is applied."""
    if isinstance(change, q.CreateFieldIndexCollection):
        return [edge.UpdateOperation.create_field_index(change.field_name, _schema(change))]
    return [made for each in change.operations for made in _operations(each, spec)]


def touched_points(change: Change) -> int:
    """Upper bound of the points that a change puts into the unindexed segment."""
    if isinstance(change, q.CreateFieldIndexCollection):
        return 0
    touched = 0
    for operation in change.operations:
        touched += len(operation.upsert.points)
        if operation.HasField("overwrite_payload"):
            conditions = operation.overwrite_payload.points_selector.filter.must
            touched += max((len(each.has_id.has_id) for each in conditions), default=0)
    return touched


def _schema(
    change: q.CreateFieldIndexCollection,
) -> "edge.PayloadSchemaType | edge.KeywordIndexParams":
    kind = _FIELD_TYPES.get(change.field_type)
    if kind is None:
        raise bad_request(f"field type {change.field_type} is not served here")
    if not change.HasField("field_index_params"):
        return kind
    # Absent parameters are left out, not false as their fields would read.
    given = change.field_index_params.keyword_index_params.ListFields()
    names = {descriptor.name for descriptor, _ in given}
    if kind is not edge.PayloadSchemaType.Keyword or names != {"is_tenant"}:
        raise bad_request("parameters of indexes other than is_tenant are not served here")
    return edge.KeywordIndexParams(is_tenant=given[0][1])


def _operations(
    operation: q.PointsUpdateOperation, spec: CollectionSpec
) -> Iterator[edge.UpdateOperation]:
    match operation.WhichOneof("operation"):
        case "upsert":
            yield from _upserts(operation.upsert, spec)
        case "overwrite_payload":
            change = operation.overwrite_payload
            payload = wire.payload_from(change.payload)
            where = _selected(change.points_selector)
            yield edge.UpdateOperation.overwrite_payload_by_filter(where, payload)
        case "delete_points":
            where = _selected(operation.delete_points.points)
            yield edge.UpdateOperation.delete_points_by_filter(where)
        case other:
            raise bad_request(f"operation {other} is not served here")


def _upserts(
    upsert: q.PointsUpdateOperation.PointStructList, spec: CollectionSpec
) -> Iterator[edge.UpdateOperation]:
    condition = edge_filter(upsert.update_filter) if upsert.HasField("update_filter") else None
    points = [_point(each, spec) for each in upsert.points]
    for start in range(0, len(points), SLICE):
        yield edge.UpdateOperation.upsert_points(points[start : start + SLICE], condition)


def _point(point: q.PointStruct, spec: CollectionSpec) -> edge.Point:
    dense = point.vectors.vector.dense
    if len(dense.data) != spec.dimension:
        raise bad_request(
            f"Vector dimension error: expected dim: {spec.dimension}, got {len(dense.data)}"
        )
    vector = wire.vector_from(dense).tolist()
    return edge.Point(point_id(point.id), vector, wire.payload_from(point.payload))


def _selected(selector: q.PointsSelector) -> edge.Filter:
    if selector.HasField("filter"):
        return edge_filter(selector.filter)
    ids = {point_id(each) for each in selector.points.ids}
    return edge.Filter(must=[edge.HasIdCondition(ids)])
