"""Parents that list their variants, which may come before them in the file."""

import sqlite3
from collections.abc import Iterable, Iterator
from itertools import islice

_AT_ONCE = 10_000


class Parents:
    """Which parent lists a SKU, kept in a temporary file so that memory stays bounded."""

    def __init__(self) -> None:
        # An empty name is a private database on disk that vanishes with the connection.
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute(
            "CREATE TABLE parents (sku TEXT PRIMARY KEY, parent TEXT) WITHOUT ROWID"
        )

    def add(self, pairs: Iterable[tuple[str, str]]) -> None:
        """(variant, parent); of two parents the first one stays."""
        left: Iterator[tuple[str, str]] = iter(pairs)
        while some := list(islice(left, _AT_ONCE)):
            self._database.execute("BEGIN")
            self._database.executemany("INSERT OR IGNORE INTO parents VALUES (?, ?)", some)
            self._database.execute("COMMIT")

    def of(self, sku: str) -> str:
        """The parent of `sku`, empty where nobody lists it."""
        found = self._database.execute("SELECT parent FROM parents WHERE sku = ?", (sku,))
        row = found.fetchone()
        return str(row[0]) if row and row[0] != sku else ""

    def close(self) -> None:
        """Removes the temporary file."""
        self._database.close()
