"""The models that this process has loaded, by digest."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np

from services.core.domain.errors import FailedPrecondition, NotFound
from services.core.domain.model_spec import ModelSpec
from services.embedding.forward_gate import Batch, Embedded, Forward, ForwardGate
from services.embedding.steady_forward import SteadyForward
from services.imaging.resizing import PixelRecipe, Pixels
from services.vision.embedder import ImageEmbedder


@dataclass(frozen=True, slots=True)
class HostedModel:
    """A loaded model behind the gate that all models of the process share."""

    spec: ModelSpec
    recipe: PixelRecipe
    forward: Forward
    gate: ForwardGate

    def embed_bulk(self, pixels: Batch) -> "Future[Embedded]":
        """(embeddings [n, d], norms [n]) to come of pixels uint8 [n, crop, crop, 3]."""
        return self.gate.submit(self.forward, pixels, urgent=False)

    def embed_query(self, pixels: Pixels) -> "Future[Embedded]":
        """The same for one photo uint8 [crop, crop, 3], before bulk work: n is 1."""
        return self.gate.submit(self.forward, pixels[np.newaxis], urgent=True)


class ModelHost:
    """Loads models with `load` and hands them out by digest. Safe to call from many threads.

    A model that is asked for and not loaded is loaded if `find` has its spec; `find` raises
    NotFound for a digest that it does not know.
    """

    def __init__(
        self,
        load: Callable[[ModelSpec], ImageEmbedder],
        gate: ForwardGate,
        find: Callable[[str], ModelSpec] | None = None,
    ) -> None:
        self._load = load
        self._gate = gate
        self._find = find
        self._models: dict[str, HostedModel] = {}
        self._loading = threading.Lock()

    def load(self, spec: ModelSpec) -> HostedModel:
        """Loads the model unless it is there, and warms it up. Raises what `load` raises."""
        with self._loading:
            if (found := self._models.get(spec.digest)) is not None:
                return found
            recipe = PixelRecipe(spec.resize, spec.crop, spec.interpolation)
            model = HostedModel(spec, recipe, SteadyForward(self._load(spec).embed), self._gate)
            # The first pass is several times slower: oneDNN chooses its kernels.
            blank = np.zeros((recipe.crop, recipe.crop, 3), np.uint8)
            model.embed_query(blank).result()
            self._models[spec.digest] = model
            return model

    def embedder(self, digest: str) -> HostedModel:
        """Raises FailedPrecondition (MODEL_NOT_LOADED), and what finding and loading raise."""
        if (model := self._models.get(digest)) is not None:
            return model
        try:
            if self._find is not None:
                return self.load(self._find(digest))
        except NotFound:
            pass
        raise FailedPrecondition(
            f"model {digest[:12]} is not loaded in this worker",
            reason="MODEL_NOT_LOADED",
            metadata={"model_digest": digest},
        )

    @property
    def digests(self) -> tuple[str, ...]:
        """Digests of the loaded models."""
        return tuple(self._models)
