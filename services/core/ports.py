"""What the services need from the outside world, as Protocols. Adapters are in core.adapters.

One contract suite per port (tests/contract) runs over every adapter. All are safe to call from
many threads. Unreachable servers raise Unavailable.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from services.core.domain.filters import SearchFilter
from services.core.domain.ranking import GroupBy
from services.core.messages import Message

Float32 = npt.NDArray[np.float32]


class Clock(Protocol):
    """Time, so that tests can move it."""

    def now(self) -> datetime:
        """The current time in UTC."""


class ObjectStore(Protocol):
    """Bytes under keys of [A-Za-z0-9._/-]; other keys raise InvalidArgument.

    A key is visible only with all its bytes. Writing a key again replaces it.
    """

    def put(self, key: str, data: bytes) -> None:
        """Stores `data`, durable when it returns (against a crash of the process)."""

    def put_stream(self, key: str, chunks: Iterable[bytes]) -> int:
        """Stores the concatenation of `chunks` in bounded memory; returns its length."""

    def get(self, key: str) -> bytes:
        """All bytes. Raises NotFound, and DataLoss where an image does not fit its hash."""

    def get_range(self, key: str, offset: int, length: int) -> bytes:
        """Bytes [offset, offset + length), fewer at the end. Raises NotFound."""

    def stream(self, key: str, offset: int = 0) -> Iterator[bytes]:
        """The bytes from `offset` on in pieces of at most 1 MiB. Raises NotFound."""

    def size(self, key: str) -> int | None:
        """Length in bytes, None when there is no such key."""

    def delete(self, key: str) -> None:
        """Removes the key; it may be gone already."""

    def keys(self, prefix: str) -> Iterator[str]:
        """All keys that start with `prefix`, in any order."""


@dataclass(frozen=True, slots=True)
class RawMessage:
    """A message as a broker holds it. `headers` and `properties` are JSON."""

    queue: str
    body: bytes
    content_type: str
    content_encoding: str
    headers: Mapping[str, Any]
    properties: Mapping[str, Any]


class TaskQueue(Protocol):
    """Publishes messages to the queues that they name."""

    def publish(self, message: Message) -> None:
        """Returns when the broker has the message. Raises Unavailable."""

    def republish(self, message: RawMessage) -> None:
        """Puts a message on its queue just as it is; returns when the broker has it.

        Raises InvalidArgument (UNKNOWN_QUEUE), Unavailable.
        """


@dataclass(frozen=True, slots=True)
class CollectionSpec:
    """A collection of the vector store. `distance`: cosine, euclidean or manhattan.

    One that is `shared` holds the points of many small catalogues, whose payloads name theirs
    in `catalog`. `quantization` ("none" or "int8") and `on_disk` (the vectors themselves) overrule
    the adapter's settings; None leaves the choice to them.
    """

    name: str
    dimension: int
    distance: str = "cosine"
    shared: bool = False
    quantization: str | None = None
    on_disk: bool | None = None


@dataclass(frozen=True, slots=True)
class Point:
    """One image in a collection. `vector` is float32 of shape [dimension].

    `payload` is JSON: product, sku, sha256 (text), parent (text, may be empty), categories
    (all prefixes), labels (lists of text), price, stock (numbers, absent when unknown),
    revision (int).
    """

    id: str
    vector: Float32
    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PayloadChange:
    """A new whole payload for some points; it carries its own `revision`."""

    ids: tuple[str, ...]
    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ScoredPoint:
    """A search hit: higher scores are nearer (cosine similarity, or negative distance).

    `payload` holds what grouping needs: product, parent and sha256. `vector` is float32
    [dimension] where it was asked for.
    """

    id: str
    score: float
    payload: Mapping[str, Any]
    vector: Float32 | None = None


@dataclass(frozen=True, slots=True)
class PointGroup:
    """The hits of one product or, `by` parent, of one parent; best first, at least one.

    `id` is the value that they share in their payload's field `by`.
    """

    by: GroupBy
    id: str
    hits: tuple[ScoredPoint, ...]


class VectorStore(Protocol):
    """Embeddings with payloads. The larger payload `revision` wins over every write order."""

    def ensure_collection(self, spec: CollectionSpec) -> None:
        """Makes the collection and its payload indexes when missing.

        Raises FailedPrecondition when it exists with another dimension or distance.
        """

    def drop_collection(self, name: str) -> None:
        """Removes the collection with its aliases; it may be gone already."""

    def drop_catalog(self, collection: str, catalog: str) -> None:
        """Removes a catalogue's points from a shared collection; they may be gone already."""

    def point_alias(self, alias: str, collection: str) -> None:
        """Gives the collection a second name, or moves that name here, at once.

        For tools beside Shelflens, whose own calls use the names of collections. Raises NotFound
        for an unknown collection, AlreadyExists (ALIAS_IS_A_COLLECTION).
        """

    def aliases(self) -> dict[str, str]:
        """Collection names by alias."""

    def upsert(self, collection: str, points: Sequence[Point]) -> None:
        """Writes points unless the store holds them with a larger revision.

        Returns when they are searchable. Raises NotFound for an unknown collection.
        """

    def set_payloads(self, collection: str, changes: Sequence[PayloadChange]) -> None:
        """Replaces payloads unless the stored revision is larger; unknown ids are skipped."""

    def delete(self, collection: str, ids: Sequence[str], revision: int) -> None:
        """Removes points whose stored revision is at most `revision`; others stay."""

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
        """The nearest points, best first, of one `catalog` in a shared collection. An unknown
        collection has none.

        `timeout` in seconds; raises DeadlineExceeded. InvalidArgument (DIMENSION_MISMATCH) when
        the vector has another length than the collection, (CATALOG_MISSING) when several
        catalogues share it and none is named.
        """

    def search_batch(
        self,
        collection: str,
        vectors: Sequence[Float32],
        *,
        limit: int,
        where: SearchFilter | None = None,
        catalog: str | None = None,
        score_threshold: float | None = None,
        timeout: float | None = None,
    ) -> list[list[ScoredPoint]]:
        """What `search` finds for each of the vectors, in their order. `timeout` is for all."""

    def search_groups(
        self,
        collection: str,
        vector: Float32,
        *,
        group_by: GroupBy,
        groups: int,
        per_group: int,
        where: SearchFilter | None = None,
        catalog: str | None = None,
        score_threshold: float | None = None,
        timeout: float | None = None,
    ) -> list[PointGroup]:
        """The groups with the nearest points, best first, with at most `per_group` hits each.

        A product without a parent is a group of its own, `by` product, in both modes. Otherwise
        as `search`.
        """

    def fetch(self, collection: str, ids: Sequence[str]) -> dict[str, Point]:
        """Stored points by id, those that exist, vectors included."""

    def count(self, collection: str, catalog: str | None = None) -> int:
        """Exact number of points, of one `catalog` where that is given; 0 for an unknown one."""


@dataclass(frozen=True, slots=True)
class QueryEmbedding:
    """A photo's embedding: float32 [embedding_dim]; `timings_ms` has decode and embed."""

    embedding: Float32
    norm: float
    timings_ms: Mapping[str, float]


class Embedder(Protocol):
    """Embeds query photos, exactly as stored images were embedded."""

    async def embed(
        self,
        photo: bytes,
        model_digest: str,
        timeout: float,  # noqa: ASYNC109 - what is left of a deadline
    ) -> QueryEmbedding:
        """`timeout` in seconds.

        Raises InvalidImage, FailedPrecondition (MODEL_NOT_LOADED), DeadlineExceeded.
        """

    async def explain(
        self,
        photo: bytes,
        sha256s: Sequence[str],
        model_digest: str,
        timeout: float,  # noqa: ASYNC109 - what is left of a deadline
    ) -> list[bytes]:
        """For each stored image, a PNG of it beside the photo with the regions that agree in both;
        empty bytes for an image that is missing or damaged.

        Raises as `embed`.
        """
