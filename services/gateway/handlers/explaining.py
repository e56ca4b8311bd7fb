"""Pictures of why results were found."""

import structlog

from services.core.domain.errors import InvalidImage, ShelflensError
from services.core.ports import Embedder, ObjectStore
from services.core.stored_images import read_image
from services.gateway.handlers.budgets import EXPLAIN, Course
from services.gateway.handlers.candidates import Ranked
from services.gateway.handlers.queries import Photo, Query, StoredImage
from services.gateway.handlers.threads import Threads, within

_SHARE = 0.9  # of the time that is left: the answer itself must still arrive
_log = structlog.get_logger(__name__)


class Explaining:
    """Asks for pictures of the first results of a page. An answer never fails for their sake."""

    def __init__(self, embedder: Embedder, objects: ObjectStore, threads: Threads) -> None:
        self._embedder = embedder
        self._objects = objects
        self._threads = threads

    async def explain(
        self, query: Query, ranked: Ranked, count: int, model_digest: str, course: Course
    ) -> tuple[tuple[bytes, ...], str]:
        """PNGs of the first results, empty bytes where there is none, and a warning or "".

        Raises InvalidImage for the photo.
        """
        sha256s = [found.group.best.sha256 for found in ranked.page[:count]]
        if not sha256s or not course.fits(EXPLAIN, len(sha256s)):
            return (), ""
        seconds = course.stopwatch.remaining() * _SHARE
        try:
            with course.taking(EXPLAIN, len(sha256s)):
                work = self._pictures(query, sha256s, model_digest, seconds)
                return await within(seconds, work), ""
        except ShelflensError as error:
            if isinstance(error, InvalidImage) and isinstance(query, Photo):
                raise
            _log.info("explaining.failed", reason=error.reason, error=error.message)
            return (), f"the results could not be explained: {error.message}"

    async def _pictures(
        self, query: Query, sha256s: list[str], model_digest: str, seconds: float
    ) -> tuple[bytes, ...]:
        photo = b""
        if isinstance(query, Photo):
            photo = query.data
        elif isinstance(query, StoredImage):
            photo = await self._threads.call(read_image, self._objects, query.sha256)
        return tuple(await self._embedder.explain(photo, sha256s, model_digest, seconds))
