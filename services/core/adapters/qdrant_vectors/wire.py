"""Vectors, payloads and ids as Qdrant's protobuf messages, both ways.

Written by hand because the pydantic layer of qdrant-client costs 60 us per vector of 1280 floats
and this way costs 2; see tests/bench for the whole path.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from services.core.adapters.qdrant_vectors.stubs import q
from services.core.domain.errors import InvalidArgument
from services.core.ports import Float32, Point

_PACKED_FLOATS = b"\x0a"  # field 1 of DenseVector, length-delimited: repeated float, packed
_KINDS = {str: "string_value", int: "integer_value", float: "double_value", bool: "bool_value"}


def dense_vector(vector: Float32) -> q.DenseVector:
    """The message for a float32 vector [d]: its bytes are the wire format, nothing is boxed."""
    data = np.ascontiguousarray(vector, dtype="<f4").tobytes()
    return q.DenseVector.FromString(_PACKED_FLOATS + _varint(len(data)) + data)


def vector_from(message: q.DenseVector | q.VectorOutput) -> Float32:
    """The float32 vector [d] of a message with packed `data`."""
    return np.array(message.data, dtype=np.float32)


def output_vector(vectors: q.VectorsOutput) -> Float32:
    """The unnamed vector of a stored point; servers before 1.16 fill the deprecated field."""
    vector = vectors.vector
    return vector_from(vector.dense if vector.HasField("dense") else vector)


def point_struct(point: Point) -> q.PointStruct:
    return q.PointStruct(
        id=q.PointId(uuid=point.id),
        vectors=q.Vectors(vector=q.Vector(dense=dense_vector(point.vector))),
        payload=payload_arguments(point.payload),
    )


def point_ids(ids: Iterable[str]) -> list[q.PointId]:
    return [q.PointId(uuid=each) for each in ids]


def payload_arguments(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Keyword arguments for a map<string, Value> field: protobuf builds it all in one call.

    Raises InvalidArgument for values that are not JSON.
    """
    return {key: _value_arguments(value) for key, value in payload.items()}


def payload_from(fields: Mapping[str, q.Value]) -> dict[str, Any]:
    return {key: _value_from(fields[key]) for key in fields}


def _value_arguments(value: Any) -> dict[str, Any]:
    kind = _KINDS.get(type(value))
    if kind is not None:
        return {kind: value}
    if value is None:
        return {"null_value": q.NullValue.NULL_VALUE}
    if isinstance(value, list | tuple):
        return {"list_value": {"values": [_value_arguments(each) for each in value]}}
    if isinstance(value, Mapping):
        return {"struct_value": {"fields": payload_arguments(value)}}
    raise InvalidArgument.field("payload", f"{type(value).__name__} is not JSON")


def _value_from(value: q.Value) -> Any:
    kind = value.WhichOneof("kind")
    match kind:
        case "list_value":
            return [_value_from(each) for each in value.list_value.values]
        case "struct_value":
            return payload_from(value.struct_value.fields)
        case "null_value" | None:
            return None
        case _:
            return getattr(value, kind)


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
