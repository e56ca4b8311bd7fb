"""Every adapter of the Embedder port: photos embedded in this process, and by a worker."""

import io
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from PIL import Image

from services.core.adapters.file_objects import FileObjects
from services.core.adapters.query_embedder import QueueEmbedder
from services.core.domain.model import LinearSpec, Member, Model
from services.core.domain.model_spec import ModelSpec
from services.core.messages import EmbedQuery
from services.core.runtime.declaring import kombu_queue
from services.core.runtime.topology import topology
from services.embedding.explaining import Explainer
from services.embedding.forward_gate import ForwardGate
from services.embedding.handlers import QueryEmbedder
from services.embedding.model_host import ModelHost
from services.embedding.model_store import ModelStore
from services.imaging.decode_pool import DecodePool
from services.retrieval.linear import Linear
from services.retrieval.linear_store import LinearStore
from services.vision.backbone import make_backbone
from services.vision.models import describe_local, load_embedder
from tests.servers.query_worker import start_query_worker

_SMALL = "test_efficientnet.r160_in1k"  # timm's own, 0.4 million parameters


@dataclass(frozen=True, slots=True)
class SmallModel:
    """A model with random weights in a file."""

    spec: ModelSpec
    weights: Path


def small_model(folder: Path) -> SmallModel:
    """The same in every run."""
    torch.manual_seed(4)
    weights = folder / "small.safetensors"
    safetensors.torch.save_file(make_backbone(_SMALL).state_dict(), weights)
    return SmallModel(describe_local(_SMALL, weights), weights)


def publish_duo(model: SmallModel, objects: FileObjects) -> Model:
    """A model of two members, of which the second reads other squares, both compressed."""
    other = replace(model.spec, resolutions=(96, 128), fit="pad", flip=True)
    dim, rng = model.spec.embedding_dim, np.random.default_rng(6)
    members = []
    for embedder, kept in ((model.spec, 20), (other, 30)):
        matrix = rng.normal(size=(dim, kept)).astype(np.float32)
        sha256 = LinearStore(objects).put(Linear(np.zeros(dim, np.float32), matrix))
        members.append(Member(embedder, LinearSpec(sha256, dim, kept)))
    duo = Model(tuple(members))
    weights = {model.spec.weights_sha256: model.weights}
    ModelStore(objects, model.weights.parent).publish(duo, weights)
    return duo


@contextmanager
def embedder_here(model: SmallModel, objects: FileObjects | None = None) -> Iterator[QueryEmbedder]:
    """One that decodes and embeds in this process. Other models are found in `objects`."""
    gate = ForwardGate(1, prepare=lambda: torch.set_num_threads(1))
    linears = LinearStore(objects).of if objects else lambda _: {}
    find = ModelStore(objects, model.weights.parent).find if objects else None
    host = ModelHost(lambda spec: load_embedder(spec, model.weights), gate, find, linears)
    host.load(model.spec)
    with DecodePool(1) as pool:
        explainer = Explainer(objects or FileObjects(model.weights.parent), pool, host)
        yield QueryEmbedder(pool, host, explainer)
        explainer.close()
    gate.close()


def queue_embedder(url: str, objects: Path, prefix: str = "", **options: float) -> QueueEmbedder:
    """The gateway's end of the queue."""
    table = topology(prefix)
    queue = kombu_queue(table.routes[EmbedQuery.QUEUE], table)
    return QueueEmbedder(url, queue, FileObjects(objects), **options)  # type: ignore[arg-type]


@contextmanager
def embedder_behind_queue(model: SmallModel, url: str, objects: Path) -> Iterator[QueueEmbedder]:
    """One with a worker process of its own, on a queue of its own."""
    prefix = f"{uuid.uuid4().hex[:8]}."
    worker = start_query_worker(url, objects, model.spec, model.weights, "--prefix", prefix)
    embedder = queue_embedder(url, objects, prefix)
    yield embedder
    embedder.close()
    worker.stop()


def photo(seed: int, side: int = 320) -> bytes:
    """A JPEG; large ones of `side` 2,000 and more do not fit into a message."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (side // 4, side // 3, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(coarse).resize((side, side * 3 // 4)).save(file, "JPEG", quality=95)
    return file.getvalue()
