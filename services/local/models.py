"""The models of the local profile: registered in the records, loaded when they are needed."""

from services.core.domain.model import Model
from services.core.domain.model_spec import ModelSpec
from services.core.ports import Clock, ObjectStore
from services.core.record_ports import RecordStore
from services.embedding.forward_gate import ForwardGate
from services.embedding.model_host import ModelHost
from services.embedding.model_store import ModelStore
from services.embedding.models import make_gate, offered_models
from services.local.data_directory import DataDirectory
from services.local.settings import LocalSettings
from services.retrieval.linear_store import LinearStore
from services.vision.embedder import ImageEmbedder
from services.vision.models import load_embedder


class LoadedModels:
    """The host of this process's models, where they are stored, and the gate that their forward
    passes go through.

    Registers and loads the default model. Raises FailedPrecondition for one whose weights are not
    here or whose precision this processor cannot run.
    """

    def __init__(
        self,
        settings: LocalSettings,
        data: DataDirectory,
        records: RecordStore,
        objects: ObjectStore,
        clock: Clock,
    ) -> None:
        self.store = ModelStore(objects, data.models)
        offered = offered_models(settings)
        self._files = {spec.weights_sha256: file for _, spec, file in offered if file is not None}
        self._gate: ForwardGate = make_gate(settings)
        self.host = ModelHost(
            self._load,
            self._gate,
            self.store.find,
            LinearStore(objects).of,
            settings.models_loaded,
        )
        self.host.load(offered[0][1])
        for _, spec, file in offered:
            if file is None or file.suffix == ".safetensors":
                files = {} if file is None else {spec.weights_sha256: file}
                self.store.publish(Model.plain(spec), files)
        with records.begin(write=True) as tx:
            for name, spec, _ in offered:
                tx.models.put(name, spec.digest, spec.to_dict(), clock.now())

    def close(self) -> None:
        """Waits for the passes under way."""
        self._gate.close()

    def _load(self, spec: ModelSpec) -> ImageEmbedder:
        file = self._files.get(spec.weights_sha256)
        return self.store.load(spec) if file is None else load_embedder(spec, file)
