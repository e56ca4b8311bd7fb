"""The use case of making an embedder: its weights are fetched, checked and stored."""

import tempfile
from pathlib import Path

from services.core.domain.errors import InvalidArgument
from services.core.domain.keys import UPLOADED_WEIGHTS, uploaded_weights_key
from services.core.domain.model import Model
from services.core.domain.recipes import EmbedderRecipe
from services.core.messages import PrepareModel
from services.core.outcomes import ModelPrepared
from services.core.ports import ObjectStore
from services.embedding.model_store import ModelStore
from services.vision.preparing import prepare


class ModelPreparer:
    """Makes embedders and publishes them. What was uploaded stays: it belongs to the sender."""

    def __init__(self, objects: ObjectStore, models: ModelStore, device: str = "cpu") -> None:
        self._objects = objects
        self._models = models
        self._device = device

    def prepare_model(self, message: PrepareModel) -> ModelPrepared:
        """A repeat stores the same again.

        Raises InvalidArgument (INVALID_MODEL_SPEC, BAD_MESSAGE), NotFound (the uploaded file),
        Unavailable, and what vision.preparing.prepare raises.
        """
        recipe = EmbedderRecipe.from_json(message.recipe)
        with tempfile.TemporaryDirectory(prefix="shelflens-prepare-") as name:
            folder = Path(name)
            uploaded = self._fetched(message.weights, folder) if message.weights else None
            made = prepare(recipe, uploaded, folder, self._device)
            weights = {} if made.weights is None else {made.spec.weights_sha256: made.weights}
            self._models.publish(Model.plain(made.spec), weights)
        return ModelPrepared(spec=made.spec.to_json(), notes=tuple(made.notes))

    def _fetched(self, key: str, folder: Path) -> Path:
        """The uploaded file. Its name is ours."""
        upload = key.removeprefix(UPLOADED_WEIGHTS)
        if key == upload or key != uploaded_weights_key(upload):
            raise InvalidArgument(f"'{key[:80]}' names no uploaded weights", reason="BAD_MESSAGE")
        target = folder / "uploaded"
        with target.open("wb") as file:
            for piece in self._objects.stream(key):
                file.write(piece)
        return target
