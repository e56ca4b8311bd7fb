"""Embedders that need no weights, photos and shards, for tests of the embedding worker."""

import hashlib
import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import cast

import numpy as np
from PIL import Image

from services.core.adapters.file_objects import FileObjects
from services.core.domain.errors import NotFound
from services.core.domain.keys import image_key
from services.core.domain.model import Model
from services.core.domain.model_spec import ModelSpec
from services.core.domain.pixel_views import bytes_of, split_views
from services.core.messages import EmbedShard
from services.core.ports import Float32
from services.embedding.forward_gate import Batch, Embedded, ForwardGate
from services.embedding.model_host import ModelHost
from services.retrieval.linear import Linear
from services.vision.embedder import ImageEmbedder


def spec(name: str = "means", dim: int = 6, **fields: object) -> ModelSpec:
    """A small one; `name` tells it from others."""
    values: dict[str, object] = {
        "backbone": name,
        "weights_sha256": "ab" * 32,
        "embedding_dim": dim,
        "resize": 40,
        "crop": 32,
        "mean": (0.5, 0.5, 0.5),
        "std": (0.5, 0.5, 0.5),
        "precision": "fp32",
    }
    return ModelSpec(**(values | fields))  # type: ignore[arg-type]


class Means:
    """Embeds rows of pixels as the means of their parts, brought to length 1."""

    def __init__(self, made_for: ModelSpec) -> None:
        self.spec = made_for
        self.sizes: list[int] = []

    def embed(self, rows: Batch) -> Embedded:
        assert rows.shape[1:] == (bytes_of(self.spec.views),)
        self.sizes.append(len(rows))
        parts = np.array_split(rows, self.spec.embedding_dim, axis=1)
        means = np.stack([each.mean(1) for each in parts], axis=1).astype(np.float32) + 1
        norms = np.linalg.norm(means, axis=1)
        return means / norms[:, None], norms

    def maps(self, rows: Batch) -> Embedded:
        """Mean colours, above grey, of 64 squares of the largest view."""
        squares = split_views(rows, self.spec.views)[-1]
        side = squares.shape[1] // 8
        parts = squares[:, : 8 * side, : 8 * side].reshape(-1, 8, side, 8, side, 3)
        whole = np.tile(np.array([0, 0, 1, 1], np.float32), (len(rows), 1))
        return (parts.mean((2, 4), dtype=np.float32) - 128).clip(0), whole


@dataclass
class World:
    """A host of Means. `models` are those that can be found, `loads` what was loaded, in order."""

    host: ModelHost
    models: dict[str, Model]
    loaded: dict[str, Means] = field(default_factory=dict)
    loads: list[str] = field(default_factory=list)
    broken: dict[str, Exception] = field(default_factory=dict)


@contextmanager
def world(
    *models: Model | ModelSpec, most: int = 4, linears: Mapping[str, Linear] | None = None
) -> Iterator[World]:
    """Knows these models and all of their embedders."""
    known: dict[str, Model] = {}
    for each in models:
        model = Model.plain(each) if isinstance(each, ModelSpec) else each
        known[model.digest] = model
        known |= {embedder.digest: Model.plain(embedder) for embedder in model.embedders}

    def load(wanted: ModelSpec) -> ImageEmbedder:
        if (error := made.broken.get(wanted.digest)) is not None:
            raise error
        made.loads.append(wanted.digest)
        made.loaded[wanted.digest] = Means(wanted)
        return cast(ImageEmbedder, made.loaded[wanted.digest])

    def find(digest: str) -> Model:
        if digest not in known:
            raise NotFound(f"no model {digest[:12]}")
        return known[digest]

    gate = ForwardGate(1)
    made = World(ModelHost(load, gate, find, lambda _: linears or {}, most), known)
    try:
        yield made
    finally:
        gate.close()


def photo(seed: int, kind: str = "JPEG", size: tuple[int, int] = (320, 240)) -> bytes:
    coarse = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(coarse).resize(size).save(file, kind)
    return file.getvalue()


def stored(objects: FileObjects, *images: bytes) -> tuple[str, ...]:
    """Their hashes."""
    sha256s = tuple(hashlib.sha256(each).hexdigest() for each in images)
    for sha256, data in zip(sha256s, images, strict=True):
        objects.put(image_key(sha256), data)
    return sha256s


def shard(
    sha256s: tuple[str, ...], *embedders: str, wanted: tuple[tuple[int, ...], ...] = ()
) -> EmbedShard:
    """For these embedders (digests), whose files are `embeddings/0` and so on."""
    return EmbedShard(
        id="op-0",
        operation="op",
        revision=1,
        sequence=0,
        sha256s=sha256s,
        embedders=embedders,
        embeddings=tuple(f"embeddings/{number}" for number in range(len(embedders))),
        wanted=wanted,
    )


def linear(seed: int, dim_in: int, dim_out: int) -> Linear:
    rng = np.random.default_rng(seed)
    mean: Float32 = rng.normal(size=dim_in).astype(np.float32)
    return Linear(mean, rng.normal(size=(dim_in, dim_out)).astype(np.float32))
