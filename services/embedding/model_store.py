"""Models in the object store, so that every worker can load whatever a catalogue is served by."""

import threading
from pathlib import Path

import structlog

from services.core.domain.errors import DataLoss, FailedPrecondition
from services.core.domain.keys import model_spec_key, model_weights_key
from services.core.domain.model_spec import ModelSpec
from services.core.ports import ObjectStore
from services.vision.embedder import ImageEmbedder
from services.vision.models import load_embedder
from services.vision.weights import LITE0_SHA256

_log = structlog.get_logger(__name__)
_PIECE = 1 << 20


class ModelStore:
    """Specs and weights under `models/<digest>/`. Weights are kept in the directory `cache`.

    Safe to call from many threads and processes: what is stored under a digest never changes.
    """

    def __init__(self, objects: ObjectStore, cache: Path, device: str = "cpu") -> None:
        self._objects = objects
        self._cache = cache
        self._device = device
        self._fetching = threading.Lock()

    def publish(self, spec: ModelSpec, weights: Path | None) -> None:
        """Stores what is missing of a model; `weights` is None where they are built in.

        Raises FailedPrecondition (WEIGHTS_NOT_SAFETENSORS), Unavailable.
        """
        if weights is not None:
            self._publish_weights(spec, weights)
        key = model_spec_key(spec.digest)
        if self._objects.size(key) is None:
            self._objects.put(key, spec.to_json().encode())  # last: who sees it finds the weights
            _log.info("model.published", digest=spec.digest, backbone=spec.backbone)

    def find(self, digest: str) -> ModelSpec:
        """Raises NotFound, DataLoss (MODEL_DAMAGED)."""
        spec = ModelSpec.from_json(self._objects.get(model_spec_key(digest)).decode())
        if spec.digest != digest:
            raise DataLoss(
                f"{model_spec_key(digest)} describes model {spec.digest[:12]}",
                reason="MODEL_DAMAGED",
            )
        return spec

    def load(self, spec: ModelSpec) -> ImageEmbedder:
        """The embedder of a model that was published. Raises NotFound, DataLoss and what
        vision.models.load_embedder raises."""
        if spec.weights_sha256 == LITE0_SHA256:
            return load_embedder(spec, device=self._device)
        return load_embedder(spec, self._fetched(spec), self._device)

    def _publish_weights(self, spec: ModelSpec, weights: Path) -> None:
        if weights.suffix != ".safetensors":
            raise FailedPrecondition(
                f"'{weights}' is no .safetensors file, and workers share no others: convert it "
                "with safetensors.torch.save_file(state_dict, FILE)",
                reason="WEIGHTS_NOT_SAFETENSORS",
            )
        key = model_weights_key(spec.digest)
        if self._objects.size(key) != weights.stat().st_size:
            with weights.open("rb") as file:
                self._objects.put_stream(key, iter(lambda: file.read(_PIECE), b""))

    def _fetched(self, spec: ModelSpec) -> Path:
        """The weights' file in the cache; load_embedder checks its digest."""
        target = self._cache / f"{spec.weights_sha256}.safetensors"
        with self._fetching:
            if not target.exists():
                self._cache.mkdir(parents=True, exist_ok=True)
                partial = target.with_suffix(".partial")
                with partial.open("wb") as file:
                    for piece in self._objects.stream(model_weights_key(spec.digest)):
                        file.write(piece)
                partial.replace(target)
        return target
