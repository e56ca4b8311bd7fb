"""Qdrant's filters and point ids as those of qdrant-edge.

Quoted annotations are names that only the stubs of qdrant-edge have.
"""

import uuid
from collections.abc import Iterable

import qdrant_edge as edge

from services.core.adapters.qdrant_vectors.stubs import q
from services.local.vector_server.refusals import bad_request


def point_id(message: q.PointId) -> "edge.PointId":
    if message.WhichOneof("point_id_options") == "num":
        return int(message.num)
    try:
        return uuid.UUID(message.uuid)
    except ValueError:
        raise bad_request(f"Unable to parse UUID: {message.uuid[:80]}") from None


def id_message(point: "edge.PointId") -> q.PointId:
    return q.PointId(num=point) if isinstance(point, int) else q.PointId(uuid=str(point))


def edge_filter(message: q.Filter) -> edge.Filter:
    """Raises Refused (INVALID_ARGUMENT) for conditions that the adapter does not use."""
    if message.HasField("min_should"):
        raise bad_request("min_should is not served here")
    return edge.Filter(
        must=_conditions(message.must),
        should=_conditions(message.should),
        must_not=_conditions(message.must_not),
    )


def _conditions(messages: Iterable[q.Condition]) -> "list[edge.ConditionType] | None":
    return [_condition(each) for each in messages] or None


def _condition(message: q.Condition) -> "edge.ConditionType":
    match message.WhichOneof("condition_one_of"):
        case "field":
            return _field(message.field)
        case "has_id":
            return edge.HasIdCondition({point_id(each) for each in message.has_id.has_id})
        case "filter":
            return edge_filter(message.filter)
        case "is_empty":
            return edge.IsEmptyCondition(message.is_empty.key)
        case other:
            raise bad_request(f"condition {other} is not served here")


def _field(message: q.FieldCondition) -> edge.FieldCondition:
    if message.HasField("range"):
        # Absent ends are left out, not 0 as their fields would read.
        limits = {descriptor.name: value for descriptor, value in message.range.ListFields()}
        return edge.FieldCondition(message.key, range=edge.RangeFloat(**limits))
    if not message.HasField("match"):
        raise bad_request(f"the condition on {message.key} is not served here")
    return edge.FieldCondition(message.key, match=_match(message.match))


def _match(message: q.Match) -> "edge.MatchType":
    match message.WhichOneof("match_value"):
        case "keyword":
            return edge.MatchValue(message.keyword)
        case "integer":
            return edge.MatchValue(message.integer)
        case "boolean":
            return edge.MatchValue(message.boolean)
        case "keywords":
            return edge.MatchAny(list(message.keywords.strings))
        case "integers":
            return edge.MatchAny(list(message.integers.integers))
        case other:
            raise bad_request(f"match {other} is not served here")
