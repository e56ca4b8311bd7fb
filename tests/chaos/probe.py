"""Whether the cluster works again: a small import whose pictures can be found."""

import time
from pathlib import Path

from shelflens import Client
from shelflens.errors import ShelflensError
from tests.chaos.feeds import picture
from tests.e2e.shop import write_manifest

PROMISED_SECONDS = 60.0
_GIVE_UP_SECONDS = 90.0
_PRODUCTS = 3
_CALL_SECONDS = 10.0


class Probe:
    """Imports fresh products into a catalogue of its own and searches for them."""

    def __init__(self, folder: Path, target: str) -> None:
        self._folder = folder
        self._target = target
        self._number = 0

    def recovery(self) -> tuple[float, str]:
        """Seconds from now until a probe succeeds, and the last error before that.

        Infinite when none has succeeded after _GIVE_UP_SECONDS.
        """
        began, last = time.monotonic(), ""
        while (gone := time.monotonic() - began) < _GIVE_UP_SECONDS:
            try:
                self._try(_GIVE_UP_SECONDS - gone)
                return time.monotonic() - began, last
            except (ShelflensError, AssertionError) as error:
                last = f"{type(error).__name__}: {error}"
                time.sleep(0.2)
        return float("inf"), last

    def _try(self, seconds: float) -> None:
        self._number += 1
        folder = self._folder / f"probe-{self._number}"
        folder.mkdir(parents=True)
        rows, photos = [], []
        for number in range(_PRODUCTS):
            sku, file = f"P-{self._number}-{number}", f"{number}.jpg"
            photos.append((sku, picture(f"{self._folder}:{sku}")))
            (folder / file).write_bytes(photos[-1][1])
            rows.append({"sku": sku, "title": sku, "image": file})
        manifest = write_manifest(folder / "probe.csv", rows)
        with Client(self._target, timeout=min(_CALL_SECONDS, seconds)) as client:
            name = client.import_products("probe", manifest, wait=False).name
            operation = client.wait_operation(name, timeout=seconds).raise_for_error()
            assert operation.counts.rows_accepted == _PRODUCTS, operation.rejections
            for sku, photo in photos:
                results = client.search("probe", photo, top_k=1).results
                assert results, "nothing is found"
                assert results[0].sku == sku, f"{results[0].sku} is found for {sku}"
