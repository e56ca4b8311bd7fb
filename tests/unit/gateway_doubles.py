"""What stands in for queues, workers and the vector storage in the tests of the gateway."""

import asyncio
import hashlib
import io
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from PIL import Image

from services.core.domain.errors import InvalidImage, ShelflensError, Unavailable
from services.core.domain.filters import SearchFilter
from services.core.domain.model_spec import ModelSpec
from services.core.messages import Message
from services.core.ports import (
    CollectionSpec,
    Float32,
    PayloadChange,
    Point,
    QueryEmbedding,
    RawMessage,
    ScoredPoint,
)

DIMENSION = 8


def spec_of(weights: str, **fields: Any) -> ModelSpec:
    """A plain embedder of DIMENSION values; `weights`: two hex digits."""
    values: dict[str, Any] = {
        "backbone": "tf_efficientnet_lite0",
        "weights_sha256": weights * 32,
        "embedding_dim": DIMENSION,
        "resize": 256,
        "crop": 224,
        "mean": (0.5, 0.5, 0.5),
        "std": (0.5, 0.5, 0.5),
        "precision": "fp32",
    }
    return ModelSpec(**values | fields)


BASE = spec_of("ab")
MODEL_DIGEST = BASE.digest


class SeededEmbedder:
    """Turns bytes into a vector that depends on nothing else, after `delay` seconds.

    Models in `meanwhile` first wait for what that is; one in `salts` sees other bytes. A picture
    that explains is the photo and the hash of the image.
    """

    def __init__(self) -> None:
        self.delay = 0.0
        self.digests: list[str] = []  # of the models that finished an embedding
        self.meanwhile: dict[str, Callable[[], Awaitable[object]]] = {}
        self.salts: dict[str, bytes] = {}
        self.explaining: ShelflensError | None = None  # what explaining fails with

    async def embed(self, photo: bytes, model_digest: str, timeout: float) -> QueryEmbedding:  # noqa: ASYNC109
        await asyncio.sleep(self.delay)
        if model_digest in self.meanwhile:
            await self.meanwhile[model_digest]()
        if not photo.startswith(b"\x89PNG"):
            raise InvalidImage("the photo is no picture")
        self.digests.append(model_digest)
        vector = embedding_of(photo + self.salts.get(model_digest, b""))
        return QueryEmbedding(vector, 1.0, {"decode": 0.1, "embed": 0.2})

    async def explain(
        self,
        photo: bytes,
        sha256s: Sequence[str],
        model_digest: str,
        timeout: float,  # noqa: ASYNC109
    ) -> list[bytes]:
        if self.explaining is not None:
            raise self.explaining
        await asyncio.sleep(self.delay)
        if not photo.startswith(b"\x89PNG"):
            raise InvalidImage("the photo is no picture")
        return [photo + each.encode() for each in sha256s]


def embedding_of(data: bytes) -> Float32:
    seed = int.from_bytes(hashlib.sha256(data).digest()[:8], "big")
    vector = np.random.default_rng(seed).normal(size=DIMENSION)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


class PlainVectors:
    """A VectorStore of dicts that compares with everything; filters by SKU and category only."""

    def __init__(self) -> None:
        self.points: dict[str, dict[str, Point]] = {}
        self.limits: list[int] = []
        self.with_vectors: list[bool] = []  # of every search

    def ensure_collection(self, spec: CollectionSpec) -> None:
        self.points.setdefault(spec.name, {})

    def drop_collection(self, name: str) -> None:
        self.points.pop(name, None)

    def drop_catalog(self, collection: str, catalog: str) -> None:
        stored = self.points.get(collection, {})
        for each in [each.id for each in stored.values() if _is_of(catalog, each)]:
            del stored[each]

    def upsert(self, collection: str, points: Sequence[Point]) -> None:
        self.points[collection].update({each.id: each for each in points})

    def set_payloads(self, collection: str, changes: Sequence[PayloadChange]) -> None:
        stored = self.points[collection]
        for change in changes:
            for each in change.ids:
                stored[each] = replace(stored[each], payload=change.payload)

    def delete(self, collection: str, ids: Sequence[str], revision: int) -> None:
        for each in ids:
            self.points[collection].pop(each, None)

    def search(
        self,
        collection: str,
        vector: Float32,
        *,
        limit: int,
        where: SearchFilter | None = None,
        catalog: str | None = None,
        score_threshold: float | None = None,
        timeout: float | None = None,
        with_vectors: bool = False,
    ) -> list[ScoredPoint]:
        self.limits.append(limit)
        self.with_vectors.append(with_vectors)
        scored = [
            ScoredPoint(
                each.id,
                float(each.vector @ vector),
                each.payload,
                each.vector if with_vectors else None,
            )
            for each in self.points.get(collection, {}).values()
            if (where is None or _matches(where, each)) and _is_of(catalog, each)
        ]
        near = [each for each in scored if score_threshold is None or each.score >= score_threshold]
        return sorted(near, key=lambda each: -each.score)[:limit]

    def fetch(self, collection: str, ids: Sequence[str]) -> dict[str, Point]:
        stored = self.points.get(collection, {})
        return {each: stored[each] for each in ids if each in stored}

    def count(self, collection: str, catalog: str | None = None) -> int:
        return sum(_is_of(catalog, each) for each in self.points.get(collection, {}).values())

    def _not_here(self, *_: Any, **__: Any) -> Any:
        raise AssertionError("the gateway does not need it")

    search_batch = search_groups = point_alias = aliases = _not_here


def _is_of(catalog: str | None, point: Point) -> bool:
    return catalog is None or point.payload.get("catalog") == catalog


def _matches(where: SearchFilter, point: Point) -> bool:
    payload = point.payload
    return (not where.skus or payload["sku"] in where.skus) and (
        not where.categories or bool(set(where.categories) & set(payload["categories"]))
    )


class Published:
    """A TaskQueue that keeps what it is given, or is down."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.republished: list[RawMessage] = []
        self.down = False

    def publish(self, message: Message) -> None:
        if self.down:
            raise Unavailable("the broker is down")
        self.messages.append(message)

    def republish(self, message: RawMessage) -> None:
        if self.down:
            raise Unavailable("the broker is down")
        self.republished.append(message)


def picture(number: int) -> bytes:
    """A small PNG that differs for every number."""
    colour = (number % 256, number // 256 % 256, 7)
    file = io.BytesIO()
    Image.new("RGB", (64, 64), colour).save(file, "PNG")
    return file.getvalue()
