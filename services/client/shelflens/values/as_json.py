"""Values as JSON."""

import base64
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from typing import Any

from shelflens.errors import ShelflensError


def to_json(value: object) -> Any:
    """Any of the values above as what `json.dumps` takes."""
    if isinstance(value, ShelflensError):
        return {"code": value.code, "reason": value.reason, "message": value.message}
    if is_dataclass(value):
        return {each.name: to_json(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, Mapping):
        return {str(key): to_json(each) for key, each in value.items()}
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, tuple | list):
        return [to_json(each) for each in value]
    return value
