"""The embedders that this process has loaded, and the models that are made of them."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import numpy as np

from services.core.domain.errors import FailedPrecondition, NotFound
from services.core.domain.model import Model
from services.core.domain.model_spec import ModelSpec
from services.core.ports import Float32
from services.embedding.forward_gate import Batch, Embedded, Forward, ForwardGate
from services.embedding.shared_pixels import SharedPixels
from services.embedding.steady_forward import SteadyForward
from services.imaging.resizing import Pixels
from services.retrieval.composing import compose
from services.retrieval.linear import Linear
from services.vision.embedder import ImageEmbedder

_MOST_FOUND = 256  # models whose parts are remembered


@dataclass(slots=True, eq=False)
class HostedEmbedder:
    """A loaded embedder behind the gate that all of the process share. `maps` gives feature maps
    instead of embeddings."""

    spec: ModelSpec
    forward: Forward
    maps: Forward
    gate: ForwardGate
    users: int = 1

    def submit(self, rows: Batch, *, urgent: bool = False) -> "Future[Embedded]":
        """(embeddings [n, d], norms [n]) to come of pixels uint8 [n, bytes_of(spec.views)].

        Query photos are `urgent`: they go before bulk work.
        """
        return self.gate.submit(self.forward, rows, urgent=urgent)

    def submit_maps(self, rows: Batch) -> "Future[Embedded]":
        """(maps [n, h, w, c], boxes [n, 4]) to come, see ImageEmbedder.maps; queries go before."""
        return self.gate.submit(self.maps, rows, urgent=False)


@dataclass(frozen=True, slots=True)
class ModelParts:
    """What a model consists of: its embedders by digest, and the digest of each member's."""

    model: Model
    specs: Mapping[str, ModelSpec]
    digests: tuple[str, ...]
    pixels: SharedPixels


@dataclass(frozen=True, slots=True)
class HostedModel:
    """A model whose embedders are loaded."""

    parts: ModelParts
    embedders: Mapping[str, HostedEmbedder]
    linears: Mapping[str, Linear]

    @property
    def pixels(self) -> SharedPixels:
        return self.parts.pixels

    def submit(self, row: Pixels) -> "list[Future[Embedded]]":
        """A pass for each member, under way at once; `row` is of `pixels.recipe`."""
        passes = {
            digest: embedder.submit(self.pixels.part(row, number)[np.newaxis], urgent=True)
            for number, (digest, embedder) in enumerate(self.embedders.items())
        }
        return [passes[digest] for digest in self.parts.digests]

    def compose(self, embedded: Sequence[Embedded]) -> tuple[Float32, float]:
        """The photo's embedding, float32 [embedding_dim], and the norm of the first member's."""
        vectors = compose(self.parts.model, embedded, self.linears)
        return vectors[0], float(embedded[0][1][0])


class ModelHost:
    """Loads embedders with `load` and hands them out by digest, alone or as models.

    What is asked for and not loaded is loaded if `find` knows its digest (else it raises NotFound).
    Of more than `most` embedders, those that were not used for longest are dropped, but none in
    use. `linears` gives the linear parts of a model. Safe to call from many threads.
    """

    def __init__(
        self,
        load: Callable[[ModelSpec], ImageEmbedder],
        gate: ForwardGate,
        find: Callable[[str], Model] | None = None,
        linears: Callable[[Model], Mapping[str, Linear]] = lambda _: {},
        most: int = 4,
    ) -> None:
        self._load = load
        self._gate = gate
        self._find = find
        self._linears = linears
        self._most = most
        self._given: dict[str, ModelParts] = {}
        self._found: dict[str, ModelParts] = {}
        self._embedders: OrderedDict[str, HostedEmbedder] = OrderedDict()  # last used, last
        self._changing = threading.Lock()
        self._loading = threading.Lock()

    def load(self, spec: ModelSpec) -> None:
        """Loads an embedder unless it is there. Raises what `load` raises."""
        self._given[spec.digest] = _parts(Model.plain(spec))
        with self.model(spec.digest):
            pass

    @contextmanager
    def model(self, digest: str) -> Iterator[HostedModel]:
        """A model, whose embedders stay loaded until the with block ends.

        Raises FailedPrecondition (MODEL_NOT_LOADED, PIXELS_UNSUPPORTED), and what finding and
        loading raise.
        """
        parts = self._known(digest)
        with self._leased(parts.specs) as embedders:
            yield HostedModel(parts, embedders, self._linears(parts.model))

    @contextmanager
    def embedders(self, digests: Sequence[str]) -> Iterator[tuple[HostedEmbedder, ...]]:
        """Embedders in the order of `digests`, otherwise as `model`.

        Also raises FailedPrecondition (NOT_AN_EMBEDDER) for the digest of a composed model.
        """
        specs = {digest: self._embedder_spec(digest) for digest in digests}
        with self._leased(specs) as embedders:
            yield tuple(embedders[digest] for digest in digests)

    def is_loaded(self, digest: str) -> bool:
        """Whether `model` would neither find nor load anything. Never waits."""
        parts = self._given.get(digest) or self._found.get(digest)
        return parts is not None and parts.specs.keys() <= self._embedders.keys()

    @property
    def digests(self) -> tuple[str, ...]:
        """Digests of the loaded embedders."""
        with self._changing:
            return tuple(self._embedders)

    @contextmanager
    def _leased(self, specs: Mapping[str, ModelSpec]) -> Iterator[dict[str, HostedEmbedder]]:
        with ExitStack() as leases:
            leased: dict[str, HostedEmbedder] = {}
            for digest, spec in specs.items():
                leased[digest] = self._loaded(digest) or self._load_now(digest, spec)
                leases.callback(self._release, leased[digest])
            yield leased

    def _loaded(self, digest: str) -> HostedEmbedder | None:
        with self._changing:
            if (found := self._embedders.get(digest)) is not None:
                found.users += 1
                self._embedders.move_to_end(digest)
            return found

    def _load_now(self, digest: str, spec: ModelSpec) -> HostedEmbedder:
        with self._loading:
            if (found := self._loaded(digest)) is not None:
                return found
            recipe = SharedPixels([spec]).recipe  # before anything is dropped or fetched
            with self._changing:
                self._drop_unused(self._most - 1)
            try:
                loaded = self._load(spec)
            except NotFound as error:  # its weights
                raise _not_loaded(digest, f": {error.message}") from error
            forward, maps = SteadyForward(loaded.embed), SteadyForward(loaded.maps)
            made = HostedEmbedder(spec, forward, maps, self._gate)
            # The first pass is several times slower: oneDNN chooses its kernels.
            made.submit(np.zeros((1, recipe.row_bytes), np.uint8), urgent=True).result()
            with self._changing:
                self._embedders[digest] = made
            return made

    def _release(self, embedder: HostedEmbedder) -> None:
        with self._changing:
            embedder.users -= 1
            self._drop_unused(self._most)

    def _drop_unused(self, most: int) -> None:
        unused = [digest for digest, each in self._embedders.items() if not each.users]
        for digest in unused[: max(0, len(self._embedders) - most)]:
            del self._embedders[digest]

    def _embedder_spec(self, digest: str) -> ModelSpec:
        parts = self._known(digest)
        if not parts.model.is_plain:
            raise FailedPrecondition(
                f"model {digest[:12]} is composed: images are embedded by each of its embedders",
                reason="NOT_AN_EMBEDDER",
                metadata={"model_digest": digest},
            )
        return parts.specs[digest]

    def _known(self, digest: str) -> ModelParts:
        parts = self._given.get(digest) or self._found.get(digest)
        if parts is None:
            if self._find is None:
                raise _not_loaded(digest)
            try:
                parts = _parts(self._find(digest))
            except NotFound as error:
                raise _not_loaded(digest) from error
            with self._changing:
                while len(self._found) >= _MOST_FOUND:
                    del self._found[next(iter(self._found))]
                self._found[digest] = parts
        return parts


def _parts(model: Model) -> ModelParts:
    digests = tuple(each.digest for each in model.embedders)
    specs = dict(zip(digests, model.embedders, strict=True))
    return ModelParts(model, specs, digests, SharedPixels(tuple(specs.values())))


def _not_loaded(digest: str, why: str = "") -> FailedPrecondition:
    return FailedPrecondition(
        f"model {digest[:12]} is not loaded in this worker{why}",
        reason="MODEL_NOT_LOADED",
        metadata={"model_digest": digest},
    )
