"""Which models query workers are to keep loaded, and which they have."""

import json

import structlog

from services.core.domain.errors import ShelflensError
from services.core.domain.external_model import is_external
from services.core.domain.keys import SERVING_KEY
from services.core.messages import ModelsLoaded
from services.core.ports import Clock, ObjectStore
from services.core.record_ports import Records, RecordStore

_log = structlog.get_logger(__name__)


class ServingList:
    """Keeps the list in the object store as the deployments are, and notes what workers tell."""

    def __init__(self, records: RecordStore, objects: ObjectStore, clock: Clock) -> None:
        self._records = records
        self._objects = objects
        self._clock = clock
        self._written: list[str] | None = None
        self._external: dict[str, bool] = {}

    def write(self) -> None:
        """Writes the list if it has changed; a failure is logged, the next call tries again.

        Several coordinators may write: one that wrote an old list notices at its next call.
        """
        with self._records.begin() as tx:
            wanted = [each for each in tx.deployments.serving() if not self._is_external(tx, each)]
        if wanted == self._written:
            return
        try:
            self._objects.put(SERVING_KEY, json.dumps({"models": wanted}).encode())
        except ShelflensError as error:
            _log.warning("serving.unwritten", reason=error.reason, error=error.message)
            return
        self._written = wanted
        _log.info("serving.changed", models=wanted)

    def loaded(self, message: ModelsLoaded) -> None:
        """A query worker tells what it has loaded."""
        with self._records.begin(write=True) as tx:
            tx.deployments.note_worker(message.worker, message.models, self._clock.now())

    def _is_external(self, tx: Records, digest: str) -> bool:
        if digest not in self._external:
            self._external[digest] = is_external(tx.models.spec(digest))
        return self._external[digest]
