"""A whole import against the bare loop over the same files, in turns."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tests.bench.bare_loop import BareLoop, Setting
from tests.bench.catalogues import BenchCatalog, choose_catalog
from tests.bench.figures import Figure, Outcome, at_least
from tests.bench.import_costs import (
    UploadClock,
    itemised,
    own_processor_seconds,
    processor_seconds,
)
from tests.bench.quantiles import median
from tests.bench.servers import CATALOG, fresh_server, warm_up

_IMAGES = 2_000
_ROUNDS = 3
_TRIED = 400
# The bare loop takes the best of these: neighbours of what was best on two cores.
_SETTINGS = (Setting(2, 2, 8), Setting(1, 2, 8), Setting(2, 2, 16), Setting(2, 1, 8))


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Imported:
    images_per_second: float
    processor: dict[str, float]
    costs: tuple[Figure, ...]


@dataclass(frozen=True, slots=True)
class Bare:
    """The bare loop at its best setting: images and seconds of processor time of every round."""

    setting: Setting
    rates: list[float]
    spent: list[float]

    def figures(self) -> Iterator[Figure]:
        best = median(self.rates)
        yield Figure(f"bare loop, {self.setting}", best, "images/s")
        spread = (max(self.rates) - min(self.rates)) / best
        yield Figure("bare loop, (fastest - slowest) / median", spread)
        yield Figure("bare loop: processor time", median(self.spent), "s")


def in_turns(
    catalog: BenchCatalog, importing: Callable[[BenchCatalog, int], T]
) -> tuple[list[T], Bare]:
    """`importing(catalog, images)` and the bare loop over the same files, a few times each."""
    files = catalog.product_images(_IMAGES)
    loop = BareLoop()
    tried = {each: loop.images_per_second(files[:_TRIED], each) for each in _SETTINGS}
    bare = Bare(max(tried, key=lambda each: tried[each]), [], [])
    imports = []
    for _ in range(_ROUNDS):
        imports.append(importing(catalog, len(files)))
        before = own_processor_seconds()
        bare.rates.append(loop.images_per_second(files, bare.setting))
        bare.spent.append(own_processor_seconds() - before)
    return imports, bare


def import_ratio(data: Path | None) -> Iterator[Outcome]:
    """Images per second of import_products over those of the bare loop at its best setting."""
    imports, bare = in_turns(choose_catalog(data), _import)
    ours = sorted(imports, key=lambda each: each.images_per_second)[len(imports) // 2]
    ratio = ours.images_per_second / median(bare.rates)
    yield Figure("import over bare loop", ratio, "", at_least(0.85))
    yield Figure("import", ours.images_per_second, "images/s")
    yield from bare.figures()
    yield from ours.costs
    for role, seconds in ours.processor.items():
        yield Figure(f"import: processor time of the {role}", seconds, "s")


def _import(catalog: BenchCatalog, images: int) -> _Imported:
    """Into an empty server, because nothing is embedded twice."""
    with fresh_server("--log-level", "DEBUG") as server, server.client() as client:
        warm_up(server, client, catalog)
        manifest = catalog.head(server.data.with_name("import.csv"), images)
        before, upload = processor_seconds(server), UploadClock()
        started = time.perf_counter()
        operation = client.import_products(
            CATALOG, manifest, root=catalog.root, on_progress=upload
        ).raise_for_error()
        wall = time.perf_counter() - started
        after = processor_seconds(server)
        spent = {role: after[role] - before[role] for role in after}
        costs = tuple(itemised(server, operation.name, upload.seconds, wall))
        rate = operation.counts.images_embedded / wall
        return _Imported(rate, spent, costs)
