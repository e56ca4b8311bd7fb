"""What it brings that query photos which wait at the same time share a forward pass."""

import os
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

import torch

from services.core.adapters.file_objects import FileObjects
from services.embedding.explaining import Explainer
from services.embedding.forward_gate import ForwardGate
from services.embedding.handlers import QueryEmbedder
from services.embedding.model_host import ModelHost
from services.imaging.decode_pool import DecodePool
from services.vision.embedder import ImageEmbedder
from services.vision.models import builtin_model
from tests.bench.catalogues import choose_catalog
from tests.bench.figures import Figure, Outcome, at_least
from tests.bench.quantiles import median

_CLIENTS = 16
_PHOTOS = 400
_WARM_UP = 64
_ROUNDS = 3
_TIMEOUT = 60.0
_BATCHES = (8, 16)


@dataclass(frozen=True, slots=True)
class Setting:
    """`lanes` passes side by side of `threads` threads each, at most `batch` photos in a pass."""

    lanes: int
    threads: int
    batch: int

    def __str__(self) -> str:
        return f"{self.lanes} x {self.threads} threads, {self.batch} a pass"


def micro_batching(data: Path | None) -> Iterator[Outcome]:
    """Photos a second of 16 clients that wait for each answer, the best setting of each kind.

    Every setting runs once a round, so that all meet the same load. The two with the best medians
    then run in turn once more, so that it is no advantage to have been tried with more settings.
    """
    photos = [path.read_bytes() for _, path in choose_catalog(data).queries(_PHOTOS)]
    embedder = builtin_model("base")[1]()
    every = list(_settings(len(os.sched_getaffinity(0))))
    rates = _medians(embedder, photos, every)
    single = max((each for each in every if each.batch == 1), key=rates.__getitem__)
    batched = max((each for each in every if each.batch > 1), key=rates.__getitem__)
    final = _medians(embedder, photos, (single, batched))
    gain = final[batched] / final[single]
    yield Figure(f"micro-batching, {_CLIENTS} clients: gain in photos", gain, "x", at_least(1.15))
    for setting, rate in (rates | final).items():
        yield Figure(f"query photos a second, {setting}", rate, "/s")


def _medians(
    embedder: ImageEmbedder, photos: Sequence[bytes], settings: Sequence[Setting]
) -> dict[Setting, float]:
    rates: dict[Setting, list[float]] = {setting: [] for setting in settings}
    for _ in range(_ROUNDS):
        for setting in settings:
            rates[setting].append(_rate(embedder, photos, setting))
    return {setting: median(found) for setting, found in rates.items()}


def _settings(cores: int) -> Iterator[Setting]:
    splits = sorted({(cores, 1), (1, cores), (max(1, cores // 2), 1), (max(1, cores // 2), 2)})
    for batch in (1, *_BATCHES):
        for lanes, threads in splits:
            yield Setting(lanes, threads, batch)


def _rate(embedder: ImageEmbedder, photos: Sequence[bytes], setting: Setting) -> float:
    gate = ForwardGate(
        setting.lanes,
        query_batch=setting.batch,
        prepare=lambda: torch.set_num_threads(setting.threads),
    )
    host = ModelHost(lambda _: embedder, gate)
    host.load(embedder.spec)
    with DecodePool(len(os.sched_getaffinity(0))) as pool:
        explainer = Explainer(FileObjects(Path("unused")), pool, host)
        queries = QueryEmbedder(pool, host, explainer)
        _ask(queries, embedder.spec.digest, photos, _WARM_UP)
        seconds = _ask(queries, embedder.spec.digest, photos, _PHOTOS)
    explainer.close()
    gate.close()
    return _PHOTOS / seconds


def _ask(queries: QueryEmbedder, digest: str, photos: Sequence[bytes], count: int) -> float:
    """Seconds that the clients take for `count` photos."""
    work = islice(cycle(photos), count)
    lock = threading.Lock()
    errors: list[BaseException] = []

    def client() -> None:
        while not errors:
            with lock:
                photo = next(work, None)
            if photo is None:
                return
            try:
                queries.embed_here(photo, digest, _TIMEOUT)
            except BaseException as error:  # raised again where it is seen
                errors.append(error)

    clients = [threading.Thread(target=client) for _ in range(_CLIENTS)]
    started = time.perf_counter()
    for each in clients:
        each.start()
    for each in clients:
        each.join()
    if errors:
        raise errors[0]
    return time.perf_counter() - started
