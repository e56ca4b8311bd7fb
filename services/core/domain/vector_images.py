"""Images that are an embedding and nothing else: their id is the hash of its values."""

import hashlib

_SOURCE = "embedding:"


def vector_sha256(values: bytes) -> str:
    """The id of such an image; `values` are float32, little-endian, as they are stored."""
    return hashlib.sha256(values).hexdigest()


def vector_source(sha256: str) -> str:
    """What the records keep as its source."""
    return f"{_SOURCE}{sha256}"


def is_vector(sha256: str, source: str) -> bool:
    """Whether an image of the records has no picture."""
    return source == vector_source(sha256)
