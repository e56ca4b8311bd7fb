"""Keeps loaded what query photos are embedded with now or soon, and says so."""

import json
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack

import structlog

from services.core.domain.errors import NotFound, ShelflensError, Unavailable
from services.core.domain.keys import SERVING_KEY
from services.core.domain.names import check_digest
from services.core.messages import ModelsLoaded
from services.core.ports import ObjectStore, TaskQueue
from services.embedding.model_host import ModelHost

_ANNOUNCE_SECONDS = 10.0
_COMPLAIN_SECONDS = 60.0
_log = structlog.get_logger(__name__)


class Serving:
    """Reads every `interval` seconds which models are deployed or about to be, loads those that
    are missing, and lets go of the others. The coordinator deploys a model once all live workers
    have announced it.

    `worker` is this process's name. What fails is logged once a minute and tried again.
    """

    def __init__(
        self,
        objects: ObjectStore,
        models: ModelHost,
        queue: TaskQueue,
        worker: str,
        interval: float = 2.0,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._objects = objects
        self._models = models
        self._queue = queue
        self._worker = worker
        self._interval = interval
        self._clock = clock
        self._held: dict[str, ExitStack] = {}  # a model in use is not dropped
        self._announced: tuple[tuple[str, ...], float] | None = None  # what, and when
        self._complained: dict[str, float] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="serving", daemon=True)

    def start(self) -> None:
        """Returns when everything was tried once; goes on in a thread.

        Raises Unavailable (object store): nothing was started then.
        """
        try:
            self._hold(self._wanted())
        except Unavailable:
            raise
        except Exception as error:  # a damaged list must not keep photos from being embedded
            self._complain("", "serving.unreadable", error)
        self._thread.start()

    def close(self) -> None:
        """Lets go of the models."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        for each in self._held.values():
            each.close()
        self._held.clear()

    def look(self) -> None:
        """What the thread does every time."""
        try:
            self._hold(self._wanted())
        except Exception as error:  # the thread must live on
            self._complain("", "serving.unreadable", error)
        self._announce()

    def _run(self) -> None:
        self._announce()
        while not self._stop.wait(self._interval):
            self.look()

    def _wanted(self) -> list[str]:
        try:
            listed = json.loads(self._objects.get(SERVING_KEY))["models"]
        except NotFound:
            return []
        return [check_digest(each, "models") for each in listed]

    def _hold(self, wanted: list[str]) -> None:
        for digest in self._held.keys() - set(wanted):
            self._held.pop(digest).close()
        for digest in wanted:
            if digest not in self._held and not self._stop.is_set():
                self._load(digest)

    def _load(self, digest: str) -> None:
        with ExitStack() as held:
            try:
                held.enter_context(self._models.model(digest))
            except Exception as error:  # one model must not keep the others away
                self._complain(digest, "serving.not_loaded", error)
                return
            self._held[digest] = held.pop_all()
        self._complained.pop(digest, None)
        _log.info("serving.loaded", model=digest)

    def _announce(self) -> None:
        loaded, now = tuple(sorted(self._held)), self._clock()
        if self._announced is not None:
            before, then = self._announced
            if before == loaded and now - then < _ANNOUNCE_SECONDS:
                return
        message = ModelsLoaded(
            id=self._worker, operation="", revision=0, worker=self._worker, models=loaded
        )
        try:
            self._queue.publish(message)
            self._announced = loaded, now
        except ShelflensError as error:  # the next look tries again
            self._complain("announcing", "serving.not_announced", error)

    def _complain(self, about: str, event: str, error: Exception) -> None:
        now = self._clock()
        last = self._complained.get(about)
        if last is None or now - last >= _COMPLAIN_SECONDS:
            self._complained[about] = now
            _log.warning(event, model=about, error=str(error), exc_info=_unforeseen(error))


def _unforeseen(error: Exception) -> Exception | None:
    return None if isinstance(error, ShelflensError) else error
