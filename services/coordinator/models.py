"""Models that embedding workers offer become known to the records."""

import structlog

from services.core.domain.errors import NotFound
from services.core.domain.model_spec import ModelSpec
from services.core.messages import ModelOffered
from services.core.ports import Clock
from services.core.record_ports import Records, RecordStore

_log = structlog.get_logger(__name__)


class OfferedModels:
    """Registers models, each once."""

    def __init__(self, records: RecordStore, clock: Clock) -> None:
        self._records = records
        self._clock = clock

    def offered(self, message: ModelOffered) -> None:
        """New catalogues are served by the newest model of a name; others keep theirs.

        Raises InvalidArgument (INVALID_MODEL_SPEC).
        """
        spec = ModelSpec.from_json(message.spec)
        with self._records.begin(write=True) as tx:
            known = tx.models.named(message.name)
            if known is None or not _is_known(tx, spec.digest):
                tx.models.put(message.name, spec.digest, spec.to_dict(), self._clock.now())
                _log.info("model.registered", name=message.name, digest=spec.digest)


def _is_known(tx: Records, digest: str) -> bool:
    try:
        tx.models.spec(digest)
    except NotFound:
        return False
    return True
