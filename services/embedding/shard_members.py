"""A shard of images on its way through several embedders, a file of embeddings for each."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np

from services.core.domain.errors import InvalidArgument
from services.core.domain.near_duplicates import THUMBNAIL
from services.core.messages import EmbedShard
from services.core.shard_files import Embeddings
from services.embedding.forward_gate import Embedded
from services.embedding.model_host import HostedEmbedder
from services.imaging.resizing import Pixels


@dataclass(slots=True)
class ShardMember:
    """What one embedder has to embed of a shard, and what it has embedded."""

    embedder: HostedEmbedder
    wanted: frozenset[str]
    sha256s: list[str] = field(default_factory=list)
    thumbnails: list[Pixels] = field(default_factory=list)
    waiting: list[Pixels] = field(default_factory=list)  # for a full batch
    embedded: list[Embedded] = field(default_factory=list)

    def rows(self) -> Embeddings:
        """All that was embedded, in order."""
        dimension = self.embedder.spec.embedding_dim
        none = np.empty((0, dimension), np.float32), np.empty(0, np.float32)
        embeddings, norms = zip(none, *self.embedded, strict=True)
        thumbnails = np.array(self.thumbnails, np.uint8).reshape(-1, THUMBNAIL, THUMBNAIL, 3)
        return Embeddings(
            tuple(self.sha256s), np.concatenate(embeddings), np.concatenate(norms), thumbnails
        )


class ShardPasses:
    """Gathers rows of pixels into full batches for each member and puts them through the gate.

    As many passes are under way as there are lanes. Use `close` when done, also after an error.
    """

    def __init__(self, members: Sequence[ShardMember], batch: int) -> None:
        self._members = members
        self._batch = batch
        self._under_way: deque[tuple[ShardMember, Future[Embedded]]] = deque()

    def add(self, member: ShardMember, row: Pixels) -> None:
        """Takes uint8 [bytes_of(spec.views)]; waits while enough passes are under way."""
        member.waiting.append(row)
        if len(member.waiting) == self._batch:
            self._submit(member)

    def finish(self) -> None:
        """Embeds what is left, and waits for all."""
        for member in self._members:
            if member.waiting:
                self._submit(member)
        while self._under_way:
            self._settle()

    def close(self) -> None:
        """Drops what has not begun."""
        for _, result in self._under_way:
            result.cancel()

    def _submit(self, member: ShardMember) -> None:
        result = member.embedder.submit(np.stack(member.waiting))
        member.waiting.clear()
        self._under_way.append((member, result))
        if len(self._under_way) > member.embedder.gate.lanes:
            self._settle()

    def _settle(self) -> None:
        member, result = self._under_way[0]
        member.embedded.append(result.result())
        self._under_way.popleft()


def wanted_by(message: EmbedShard) -> tuple[frozenset[str], ...]:
    """The images of the message that each of its embedders is to embed.

    Raises InvalidArgument (BAD_MESSAGE) where its fields do not fit together.
    """
    count = len(message.embedders)
    wanted = message.wanted or ((),) * count
    if not count or not count == len(message.embeddings) == len(wanted):
        raise _bad(message, f"{count} embedders, {len(message.embeddings)} files, {len(wanted)}")
    return tuple(frozenset(_places(message, each)) for each in wanted)


def _places(message: EmbedShard, places: Sequence[int]) -> Iterator[str]:
    for place in places or range(len(message.sha256s)):
        if not 0 <= place < len(message.sha256s):
            raise _bad(message, f"there is no image {place}")
        yield message.sha256s[place]


def _bad(message: EmbedShard, problem: str) -> InvalidArgument:
    return InvalidArgument(f"{message.TASK}: {problem}", reason="BAD_MESSAGE")
