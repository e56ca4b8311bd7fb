"""Customers who search all the time, with pictures of the catalogue whose answer is known."""

import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from shelflens import Client

LEAST = 0.999  # of a picture with itself, when photo and collection are of one model


class Searches:
    """Searches `catalog` without a pause in a thread of its own until the with block ends.

    `answers` counts answers by the digest of the model that they name; `failures` are errors and
    answers that a model and a collection which do not belong together would give.
    """

    def __init__(
        self, connect: Callable[[], Client], catalog: str, pictures: list[tuple[Path, str]]
    ) -> None:
        self.answers: Counter[str] = Counter()
        self.failures: list[str] = []
        self._arguments = (connect, catalog, pictures)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        connect, catalog, pictures = self._arguments
        with connect() as client:
            number = 0
            while not self._ended.is_set():
                picture, sku = pictures[number % len(pictures)]
                number += 1
                try:
                    found = client.search(catalog, picture, top_k=3)
                except Exception as error:
                    self.failures.append(repr(error))
                    continue
                self.answers[found.model_digest] += 1
                # Several products may be pictured alike: the best score tells, not the name.
                if not found.results or found.results[0].score < LEAST:
                    self.failures.append(f"{sku}: {found.results[:1]}")
