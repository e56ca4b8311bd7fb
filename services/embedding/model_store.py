"""Models in the object store, so that every worker can load whatever a catalogue is served by."""

import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path

import structlog

from services.core.domain.errors import DataLoss, FailedPrecondition, InvalidArgument, NotFound
from services.core.domain.keys import linear_key, model_spec_key, weights_key
from services.core.domain.model import Model
from services.core.domain.model_spec import ModelSpec
from services.core.ports import ObjectStore
from services.vision.builtin_weights import is_builtin
from services.vision.embedder import ImageEmbedder
from services.vision.models import load_embedder

_log = structlog.get_logger(__name__)
_PIECE = 1 << 20


class ModelStore:
    """Models and each of their embedders under `models/<digest>/`, weights under their own digest.
    Weights are kept in the directory `cache`.

    Safe to call from many threads and processes: what is stored under a digest never changes.
    """

    def __init__(self, objects: ObjectStore, cache: Path, device: str = "cpu") -> None:
        self._objects = objects
        self._cache = cache
        self._device = device
        self._fetching = threading.Lock()

    def publish(self, model: Model, weights: Mapping[str, Path] | None = None) -> None:
        """Stores what is missing of a model and its embedders. `weights` are files by SHA-256, of
        those that are neither built in nor stored.

        Raises FailedPrecondition (WEIGHTS_NOT_SAFETENSORS), NotFound (WEIGHTS_NOT_FOUND,
        LINEAR_NOT_FOUND), Unavailable.
        """
        for each in model.linears:
            if self._objects.size(linear_key(each.sha256)) is None:
                raise NotFound(
                    f"linear part {each.sha256[:12]} of the model is not stored: fit it again",
                    reason="LINEAR_NOT_FOUND",
                )
        for sha256, file in (weights or {}).items():
            self._publish_weights(sha256, file)
        for spec in model.embedders:
            if not self._has_weights(spec.weights_sha256):
                raise _no_weights(spec)
        # What a model consists of goes first: who sees the model finds its parts.
        for part in (*map(Model.plain, model.embedders), model):
            key = model_spec_key(part.digest)
            if self._objects.size(key) is None:
                self._objects.put(key, part.to_json().encode())
                backbones = [each.backbone for each in part.embedders]
                _log.info("model.published", digest=part.digest, backbones=backbones)

    def find(self, digest: str) -> Model:
        """The model with that digest; of an embedder the plain model.

        Raises NotFound, DataLoss (MODEL_DAMAGED).
        """
        key = model_spec_key(digest)
        try:
            model = Model.from_json(self._objects.get(key).decode(errors="replace"))
        except InvalidArgument as error:
            raise DataLoss(f"{key} is damaged: {error}", reason="MODEL_DAMAGED") from error
        if model.digest != digest:
            raise DataLoss(f"{key} describes model {model.digest[:12]}", reason="MODEL_DAMAGED")
        return model

    def load(self, spec: ModelSpec) -> ImageEmbedder:
        """The embedder of a model that was published.

        Raises NotFound (WEIGHTS_NOT_FOUND), and what vision.models.load_embedder raises.
        """
        if is_builtin(spec.weights_sha256):
            return load_embedder(spec, device=self._device)
        if not self._has_weights(spec.weights_sha256):
            raise _no_weights(spec)
        weights = self._fetched(spec.weights_sha256)
        try:
            return load_embedder(spec, weights, self._device)
        except DataLoss:
            weights.unlink(missing_ok=True)  # the next attempt fetches them anew
            raise

    def _has_weights(self, sha256: str) -> bool:
        return is_builtin(sha256) or self._objects.size(weights_key(sha256)) is not None

    def _publish_weights(self, sha256: str, weights: Path) -> None:
        if weights.suffix != ".safetensors":
            raise FailedPrecondition(
                f"'{weights}' is no .safetensors file, and workers share no others: convert it "
                "with safetensors.torch.save_file(state_dict, FILE)",
                reason="WEIGHTS_NOT_SAFETENSORS",
            )
        key = weights_key(sha256)
        if self._objects.size(key) != weights.stat().st_size:
            with weights.open("rb") as file:
                self._objects.put_stream(key, iter(lambda: file.read(_PIECE), b""))

    def _fetched(self, sha256: str) -> Path:
        """The file of weights in the cache; load_embedder checks its digest."""
        target = self._cache / f"{sha256}.safetensors"
        with self._fetching:
            if target.exists():
                return target
            self._cache.mkdir(parents=True, exist_ok=True)
            # Other processes may share the directory.
            descriptor, name = tempfile.mkstemp(".partial", dir=self._cache)
            partial = Path(name)
            try:
                with open(descriptor, "wb") as file:
                    for piece in self._objects.stream(weights_key(sha256)):
                        file.write(piece)
                partial.replace(target)
            finally:
                partial.unlink(missing_ok=True)
        return target


def _no_weights(spec: ModelSpec) -> NotFound:
    return NotFound(
        f"weights {spec.weights_sha256[:12]} of '{spec.backbone}' are neither built in nor stored: "
        "make the model again",
        reason="WEIGHTS_NOT_FOUND",
    )
