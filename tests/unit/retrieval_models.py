"""Small models with linear parts, for tests."""

import hashlib

import numpy as np

from services.core.domain.model import LinearSpec, Member, Model
from services.core.domain.model_spec import ModelSpec
from services.retrieval.linear import Linear


def an_embedder(dimension: int, *, name: str = "tiny", normalised: bool = True) -> ModelSpec:
    return ModelSpec(
        backbone=name,
        weights_sha256="0" * 64,
        embedding_dim=dimension,
        resize=32,
        crop=32,
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        precision="fp32",
        normalised=normalised,
    )


def a_linear(input_dim: int, output_dim: int, seed: int = 0, scale: float = 1.0) -> Linear:
    random = np.random.default_rng(seed)
    return Linear(
        (0.1 * random.standard_normal(input_dim)).astype(np.float32),
        (scale * random.standard_normal((input_dim, output_dim))).astype(np.float32),
    )


def spec_of(linear: Linear, *, norms: bool = False) -> LinearSpec:
    sha256 = hashlib.sha256(linear.to_bytes()).hexdigest()
    return LinearSpec(sha256, linear.input_dim, linear.output_dim, norms)


def single(embedder: ModelSpec, linear: LinearSpec | None = None) -> Model:
    return Model((Member(embedder, linear),))
