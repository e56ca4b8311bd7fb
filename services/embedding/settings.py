"""Settings of the embedding worker."""

from enum import StrEnum
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from services.core.runtime.service_settings import BrokerSettings, ObjectSettings, WorkerSettings
from services.core.runtime.settings import Settings


class Queue(StrEnum):
    """What a worker embeds: the shards of imports, or the photos that users search with."""

    BULK = "bulk"
    QUERY = "query"


class ModelSettings(Settings):
    """How images are decoded and which model embeds them."""

    threads: int = Field(0, ge=0, le=256, description="threads of the model; 0: one a core")
    decoders: int = Field(0, ge=0, le=256, description="decoding processes; 0: one a core")
    decoder_memory: int = Field(
        400,
        ge=100,
        le=100_000,
        description="megabytes that images take together while decoded; larger ones go alone",
    )
    models_loaded: int = Field(
        4,
        ge=1,
        le=64,
        description="embedders kept loaded; beyond it those are dropped that were not used for "
        "longest, but none that a deployed model needs",
    )
    serving_interval: float = Field(
        1.0,
        ge=0.1,
        le=10,
        description="seconds between looks at which models are to be loaded for query photos",
    )
    backbone: str = Field(
        "", description="timm name of another default model than the built-in models/base"
    )
    weights: Path | None = Field(
        None, description="weights of `backbone`: safetensors, or a state dict without code"
    )

    @model_validator(mode="after")
    def _weights_belong_to_a_backbone(self) -> Self:
        if bool(self.backbone) != (self.weights is not None):
            raise ValueError("SHELFLENS_BACKBONE and SHELFLENS_WEIGHTS go together: set both")
        return self


class EmbeddingSettings(WorkerSettings, BrokerSettings, ObjectSettings, ModelSettings):
    """Of `python -m services.embedding`. On a GPU, one worker for each."""

    device: str = Field("cpu", pattern=r"^(cpu|cuda(:\d+)?)$", description="cpu, cuda or cuda:N")
    precision: str = Field(
        "",
        pattern="^(|bf16|fp32)$",
        description="precision of the default model; empty: the fastest here. The same for all "
        "workers of a cluster",
    )
    batch_size: int = Field(
        8, ge=1, le=4096, description="images in a forward pass of imports; a GPU wants 64 or more"
    )
    query_threads: int = Field(
        16, ge=1, le=1024, description="query photos in hand at a time in one worker"
    )
    query_batch_size: int = Field(
        16, ge=1, le=1024, description="query photos in one forward pass at most"
    )
    query_window_ms: float = Field(
        0.0,
        ge=0,
        le=1000,
        description="how long a query photo may wait for others to share its forward pass",
    )
    model_cache: Path | None = Field(
        None, description="directory for weights from the object store; none: a temporary one"
    )
