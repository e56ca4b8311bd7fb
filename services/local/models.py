"""The models of the local profile: registered in the records, loaded when they are needed."""

import json
from pathlib import Path

from services.core.domain.external_model import is_external
from services.core.domain.model_spec import ModelSpec
from services.core.ports import Clock
from services.core.record_ports import RecordStore
from services.embedding.forward_gate import ForwardGate
from services.embedding.model_host import ModelHost
from services.embedding.models import default_model, make_gate
from services.local.settings import LocalSettings
from services.vision.embedder import ImageEmbedder
from services.vision.models import load_embedder


def load_models(settings: LocalSettings, records: RecordStore, clock: Clock) -> "LoadedModels":
    """Registers the default model and loads every model that a catalogue is served by.

    Raises FailedPrecondition for a model whose weights are not here or whose precision this
    processor cannot run.
    """
    spec, weights = default_model(settings)
    with records.begin(write=True) as tx:
        tx.models.put("base", spec.digest, json.loads(spec.to_json()), clock.now())
        deployed = {tx.catalogs.deployment(c.id).model_digest for c in tx.catalogs.page("", 10_000)}
        stored = [tx.models.spec(digest) for digest in sorted(deployed)]
    specs = [ModelSpec.from_json(json.dumps(each)) for each in stored if not is_external(each)]
    loaded = LoadedModels(make_gate(settings), {spec.digest: weights})
    for each in (spec, *specs):
        loaded.host.load(each)
    return loaded


class LoadedModels:
    """The host of this process's models, and the gate that their forward passes go through."""

    def __init__(self, gate: ForwardGate, weights: dict[str, Path | None]) -> None:
        self._gate = gate
        self._weights = weights
        self.host = ModelHost(self._load, gate)

    def close(self) -> None:
        """Waits for the passes under way."""
        self._gate.close()

    def _load(self, spec: ModelSpec) -> ImageEmbedder:
        return load_embedder(spec, self._weights.get(spec.digest))
