"""Which member of an archive is the manifest."""

from pathlib import PurePosixPath

from shelflens.archives.names import is_hidden, suffix
from shelflens.archives.refusal import BadArchive

_NAMES = {"products", "product", "catalog", "catalogue", "manifest", "feed"}
_LISTS = {".csv", ".tsv", ".tab", ".jsonl", ".ndjson", ".parquet", ".pq"}
_PERHAPS = {".json", ".xml", ".rss", ".atom"}
_ONLY_NAMED = {".txt"}
_SHEETS = {".xlsx", ".xls", ".ods"}
_SHOWN = 10

Rank = tuple[int, int]  # lower is better


class ManifestChoice:
    """Takes the names of all members, and knows the manifest when it has seen the last.

    The topmost file named products, catalog, manifest or feed wins; else the only .csv, .tsv,
    .jsonl or .parquet file; else the only .json, .xml, .rss or .atom
    file. `asked` is the user's own choice, as
    `member_name` gives it.
    """

    def __init__(self, asked: str | None = None) -> None:
        self._asked = asked
        self._best: tuple[Rank, list[str]] | None = None
        self._sheet = ""

    def offer(self, name: str) -> bool:
        """Whether `name` is, for now, the manifest. An earlier one is then beaten."""
        rank = self._rank(name)
        if rank is None:
            if suffix(name) in _SHEETS and not is_hidden(name):
                self._sheet = name
            return False
        if self._best is None or rank < self._best[0]:
            self._best = rank, [name]
            return True
        if rank == self._best[0] and len(self._best[1]) < _SHOWN:
            self._best[1].append(name)
        return False

    def is_certain(self, name: str) -> bool:
        """Whether only another member of the same kind could still contest `name`."""
        return self._asked is not None or self._rank(name) == (0, 0)

    def decide(self) -> str | None:
        """The manifest, or None where there is none.

        Raises BadArchive (ARCHIVE_MANIFEST_AMBIGUOUS, ARCHIVE_MANIFEST_NOT_FOUND).
        """
        if self._best is None:
            if self._asked is not None:
                raise BadArchive(
                    "ARCHIVE_MANIFEST_NOT_FOUND", f"the archive has no member {self._asked!r}"
                )
            if self._sheet:
                raise BadArchive(
                    "ARCHIVE_MANIFEST_NOT_FOUND",
                    f"{self._sheet!r} cannot be read; export the sheet as CSV and pack that",
                )
            return None
        names = self._best[1]
        if len(names) > 1 and len(set(names)) == 1:
            raise BadArchive(
                "ARCHIVE_MANIFEST_AMBIGUOUS", f"{names[0]!r} is in the archive twice; pack it anew"
            )
        if len(names) > 1:
            raise ambiguous(names)
        return names[0]

    def _rank(self, name: str) -> Rank | None:
        if self._asked is not None:
            return (0, 0) if name == self._asked else None
        if is_hidden(name):
            return None
        ending = suffix(name)
        named = PurePosixPath(name).stem.lower() in _NAMES
        if named and ending in _LISTS | _PERHAPS | _ONLY_NAMED:
            return (0, name.count("/"))
        if ending in _LISTS:
            return (1, 0)
        return (2, 0) if ending in _PERHAPS else None


def ambiguous(names: list[str]) -> BadArchive:
    """The error for several candidates."""
    return BadArchive(
        "ARCHIVE_MANIFEST_AMBIGUOUS",
        f"several members could be the manifest: {', '.join(names)}; "
        f"choose one, as in --manifest {names[0]}",
    )
