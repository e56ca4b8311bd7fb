"""Field masks of updates (AIP-134, AIP-203)."""

from google.api import field_behavior_pb2
from google.protobuf.descriptor_pb2 import FieldOptions
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from services.core.domain.errors import InvalidArgument

_NOT_WRITTEN = (field_behavior_pb2.OUTPUT_ONLY, field_behavior_pb2.IDENTIFIER)


def written_fields(message: Message, mask: FieldMask) -> set[str]:
    """Names of the fields of `message` that an update sets.

    An empty mask means those that are set; `*` all, but required ones only where they are set.
    What only the server writes is left out. Raises InvalidArgument (UNKNOWN_FIELD).
    """
    fields = message.DESCRIPTOR.fields_by_name
    for path in mask.paths:
        if path != "*" and path not in fields:
            raise InvalidArgument.field(
                "update_mask",
                f"'{path[:80]}' is not a field of {message.DESCRIPTOR.name}",
                reason="UNKNOWN_FIELD",
            )
    given = {field.name for field, _ in message.ListFields()}
    if "*" in mask.paths:
        optional = {
            name
            for name, field in fields.items()
            if field_behavior_pb2.REQUIRED not in _behaviours(field.GetOptions())
        }
        paths = given | optional
    else:
        paths = set(mask.paths) or given
    return {
        path for path in paths if not set(_NOT_WRITTEN) & _behaviours(fields[path].GetOptions())
    }


def _behaviours(options: FieldOptions) -> set[int]:
    return set(options.Extensions[field_behavior_pb2.field_behavior])
