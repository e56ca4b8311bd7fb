"""What every reader gives: numbered records, before anything is known about their meaning."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from shelflens.manifests.rows import Problem

Record = Mapping[str, object] | Problem
Numbered = tuple[int, Record]


class Records(Protocol):
    """Records of one source, in their order, in bounded memory: column -> text, list, number...

    Only a source that cannot be read at all raises (InvalidManifest), at once or on the way.
    """

    @property
    def columns(self) -> Sequence[str]:
        """The columns, as far as opening could tell."""

    @property
    def open_ended(self) -> bool:
        """Whether a record may lack columns, and have others than `columns`."""

    @property
    def notes(self) -> Sequence[str]:
        """What was decided on opening, for people."""

    @property
    def folder(self) -> Path:
        """Where image references start unless the user says otherwise."""

    def read(self, used: Sequence[str]) -> Iterator[Numbered]:
        """From the first record, counted from 1. Columns that are not `used` may be missing."""

    def closing_notes(self) -> Sequence[str]:
        """What only reading to the end could tell."""

    def position(self) -> float:
        """How much has been read, 0 to 1."""

    def complete(self) -> bool:
        """As `Rows.complete`."""
