"""The linear parts of models in the object store."""

import hashlib
from collections.abc import Mapping
from functools import lru_cache

from services.core.domain.keys import linear_key
from services.core.domain.model import LinearSpec, Model
from services.core.ports import ObjectStore
from services.retrieval.linear import Linear


class LinearStore:
    """Reads and writes linear parts; the last `most` that were read stay in memory.

    Safe to call from many threads.
    """

    def __init__(self, objects: ObjectStore, most: int = 16) -> None:
        self._objects = objects
        self._kept = lru_cache(maxsize=most)(self._read)

    def of(self, model: Model) -> Mapping[str, Linear]:
        """Every linear part of the model, by SHA-256.

        Raises NotFound where one is missing, DataLoss (LINEAR_DAMAGED).
        """
        return {each.sha256: self._kept(each) for each in model.linears}

    def put(self, linear: Linear) -> str:
        """Stores it durably; returns its SHA-256. Storing it again changes nothing."""
        data = linear.to_bytes()
        sha256 = hashlib.sha256(data).hexdigest()
        self._objects.put(linear_key(sha256), data)
        return sha256

    def _read(self, spec: LinearSpec) -> Linear:
        return Linear.from_bytes(self._objects.get(linear_key(spec.sha256)), spec)
