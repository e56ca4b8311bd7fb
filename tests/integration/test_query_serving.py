"""A query worker as it is deployed: what it loads before its first photo, and whom it tells."""

import json
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from services.core.adapters.minio_objects import MinioObjects
from services.core.domain.keys import SERVING_KEY
from services.core.domain.model import LinearSpec, Member, Model
from services.core.messages import Message, ModelOffered, ModelsLoaded
from services.core.runtime.celery_app import make_app
from services.core.runtime.worker import register, start_worker
from services.embedding.model_store import ModelStore
from services.retrieval.linear import Linear
from services.retrieval.linear_store import LinearStore
from services.vision.models import builtin_model
from tests.contract.embedders import photo, queue_embedder
from tests.servers.rabbitmq import RabbitMq
from tests.servers.s3 import S3Server
from tests.servers.service import Service
from tests.waiting import eventually

pytestmark = [pytest.mark.servers, pytest.mark.timeout(240)]

SECONDS = 60.0
BASE = builtin_model("base")[0]


class Control:
    """Takes what is sent to the coordinator."""

    def __init__(self, broker: RabbitMq, prefix: str) -> None:
        self.offered = threading.Event()
        self.loaded: list[frozenset[str]] = []
        app = make_app(broker.url, [ModelsLoaded.QUEUE], prefix)
        handlers = {ModelsLoaded: self._take, ModelOffered: self._take}
        register(app, handlers, lambda report: None)
        self._worker = start_worker(app, [ModelsLoaded.QUEUE], 1, "control")

    def _take(self, message: Message) -> None:
        if isinstance(message, ModelsLoaded):
            self.loaded.append(frozenset(message.models))
        else:
            self.offered.set()

    def close(self) -> None:
        self._worker.stop(10.0)


@dataclass
class Scene:
    service: Service
    objects: MinioObjects
    control: Control
    broker: RabbitMq
    prefix: str

    def serve(self, *digests: str) -> None:
        self.objects.put(SERVING_KEY, json.dumps({"models": digests}).encode())

    def told(self, *digests: str) -> None:
        """Waits until the worker has said that it has exactly these."""
        wanted = frozenset(digests)
        eventually(lambda: self.control.loaded[-1:] == [wanted], SECONDS, "models are announced")


@pytest.fixture
def scene(rabbitmq: RabbitMq, s3_moto: S3Server, tmp_path: Path) -> Iterator[Scene]:
    address = replace(s3_moto.address, bucket=f"serving-{uuid.uuid4().hex[:8]}")
    objects, prefix = MinioObjects(address), f"{uuid.uuid4().hex[:8]}."
    objects.ensure_bucket()
    environment = {
        "SHELFLENS_BROKER_URL": rabbitmq.url,
        "SHELFLENS_BROKER_PREFIX": prefix,
        "SHELFLENS_S3_URL": address.endpoint,
        "SHELFLENS_S3_BUCKET": address.bucket,
        "SHELFLENS_S3_ACCESS_KEY": address.access_key,
        "SHELFLENS_S3_SECRET_KEY": address.secret_key,
        "SHELFLENS_HEARTBEAT_FILE": str(tmp_path / "heartbeat"),
        "SHELFLENS_MODELS_LOADED": "1",
        "SHELFLENS_SERVING_INTERVAL": "0.2",
    }
    service = Service(
        "embedding", ("--queue", "query"), environment, tmp_path / "heartbeat", tmp_path / "log"
    )
    control = Control(rabbitmq, prefix)
    yield Scene(service, objects, control, rabbitmq, prefix)
    service.kill()
    control.close()


def published_duo(objects: MinioObjects) -> Model:
    """The default model and a small view of the same backbone, compressed."""
    matrix = np.random.default_rng(2).normal(size=(1280, 16)).astype(np.float32)
    sha256 = LinearStore(objects).put(Linear(np.zeros(1280, np.float32), matrix))
    small = replace(BASE, resolutions=(64,))
    duo = Model((Member(BASE), Member(small, LinearSpec(sha256, 1280, 16))))
    ModelStore(objects, Path("unused")).publish(duo)
    return duo


async def test_a_query_worker_loads_and_announces_what_it_is_to_serve(scene: Scene) -> None:
    duo, unknown = published_duo(scene.objects), "f" * 64
    scene.serve(duo.digest, unknown)
    scene.service.start()
    scene.service.wait_ready(SECONDS)
    scene.told(duo.digest)
    assert set(scene.control.loaded) == {frozenset({duo.digest})}  # never without it
    assert scene.control.offered.is_set()
    embedder = queue_embedder(scene.broker.url, Path(scene.service.log).parent, scene.prefix)
    try:
        found = await embedder.embed(photo(1), duo.digest, SECONDS)
    finally:
        embedder.close()
    assert found.embedding.shape == (1296,)
    scene.serve(BASE.digest)
    scene.told(BASE.digest)
    assert unknown[:12] in scene.service.tail()
    assert scene.service.stop() == 0
