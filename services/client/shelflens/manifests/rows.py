"""A row of a manifest as it was read, whatever the format."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

MAX_CELL = 1 << 20  # characters or bytes of one value
MAX_LINE = 16 << 20  # characters of one line of text
_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a row could not be read: UPPER_SNAKE reason, column, and what was found there.

    `known` are the columns that could be read all the same: they may tell the row's SKU.
    """

    reason: str
    field: str = ""
    value: str = ""
    known: Mapping[str, object] = dataclasses.field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", self.value[:_SHOWN])


@dataclass(frozen=True, slots=True)
class SourceRow:
    """Row number `row` of a manifest, counted from 1.

    `fields` has the fields that the manifest has a column for: texts for sku, title, description,
    parent, price and stock, lists of texts for categories and labels, a dict of texts for
    attributes. `images` are references, or None where the manifest has no image column. A row
    with a `problem` could not be read; its fields are incomplete. `embedding` is float32,
    little-endian, where the row brings one.
    """

    row: int
    fields: dict[str, object] = dataclasses.field(default_factory=dict)
    images: list[str] | None = None
    problem: Problem | None = None
    embedding: bytes | None = None

    def text_length(self) -> int:
        """About how many characters it holds."""
        texts = (*self.fields.values(), *(self.images or ()))
        length = sum(len(each) if isinstance(each, str) else len(str(each)) for each in texts)
        return length + len(self.embedding or b"") * 4 // 3


class Rows(Protocol):
    """Rows from one source, in their order, in bounded memory.

    Only a source that cannot be read at all raises (InvalidManifest), at once or on the way.
    """

    def __iter__(self) -> Iterator[SourceRow]:
        """Starts at the first row."""

    @property
    def notes(self) -> Sequence[str]:
        """What was decided on opening, for people: columns, encoding."""

    def closing_notes(self) -> Sequence[str]:
        """What only reading to the end could tell."""

    def position(self) -> float:
        """How much has been read, 0 to 1."""

    def complete(self) -> bool:
        """Whether the source ended where a source of its kind ends.

        False before it was read to the end, and where it visibly breaks off: in the middle of a
        quote, of a JSON object or an XML element, or in a last line without line end that is no
        row. A source cut exactly between two rows cannot be told from a shorter one.
        """

    @property
    def folder(self) -> Path:
        """Where image references start unless the user says otherwise."""
