"""What an archive holds: members and their hashes, in a temporary file instead of memory."""

import sqlite3
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shelflens.archives.names import folded
from shelflens.archives.refusal import temporary_space
from shelflens.images import ImageProblem

_PAGE = 1_000
_SCHEMA = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA cache_size = -16000;
PRAGMA temp_store = FILE;
CREATE TABLE member (
    folded TEXT, name TEXT, size INTEGER, picture INTEGER, used INTEGER DEFAULT 0,
    sha256 BLOB, reason TEXT, message TEXT,
    place INTEGER, packed INTEGER, method INTEGER, crc INTEGER,
    PRIMARY KEY (folded, name)
) WITHOUT ROWID;
CREATE TABLE refusal (sha256 BLOB PRIMARY KEY, reason TEXT, message TEXT) WITHOUT ROWID;
CREATE TABLE wanted (name TEXT PRIMARY KEY) WITHOUT ROWID;
BEGIN;
"""
_COLUMNS = "name, size, picture, sha256, reason, message, place, packed, method, crc"
_INSERT = (
    f"INSERT OR IGNORE INTO member (folded, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


@dataclass(frozen=True, slots=True)
class Stored:
    """Where a zip archive keeps a member: offset, packed bytes, method and CRC-32."""

    place: int
    packed: int
    method: int
    crc: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One member. `size` is in bytes; `picture` whether it counts as an image.

    `sha256` (64 hex digits, empty while unknown) and `problem` say what became of its bytes.
    """

    name: str
    size: int
    picture: bool = True
    sha256: str = ""
    problem: ImageProblem | None = None
    stored: Stored = field(default=Stored(0, 0, 0, 0))


class MemberIndex:
    """Entries by name, in one SQLite file. Safe for many threads.

    What writes raises BadArchive (ARCHIVE_NO_SPACE) where the disk is full.
    """

    def __init__(self, folder: Path) -> None:
        """Makes its file in `folder`, which is the caller's to remove."""
        path = folder / "index.sqlite"
        self._rows = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._rows.executescript(_SCHEMA)
        self._lock = threading.Lock()

    def close(self) -> None:
        """Ends the use of the file."""
        self._rows.close()

    def add(self, entry: Entry) -> bool:
        """Returns false, and changes nothing, where a member of this name is there."""
        problem, stored = entry.problem, entry.stored
        values = (
            folded(entry.name),
            entry.name,
            entry.size,
            entry.picture,
            bytes.fromhex(entry.sha256) or None,
            problem.reason if problem else None,
            problem.message if problem else None,
            *(stored.place, stored.packed, stored.method, stored.crc),
        )
        with self._lock, temporary_space():
            return self._rows.execute(_INSERT, values).rowcount == 1

    def find(self, name: str) -> Entry | None:
        """The member of exactly this name, or else the only one that is the same in Unicode NFC.

        Raises ImageProblem (IMAGE_AMBIGUOUS).
        """
        query = f"SELECT {_COLUMNS} FROM member WHERE folded = ?"
        found = [_entry(row) for row in self._select(query, folded(name))]
        exact = [each for each in found if each.name == name]
        if len(exact or found) > 1:
            raise ImageProblem("IMAGE_AMBIGUOUS", "several members have this name; rename them")
        return next(iter(exact or found), None)

    def use(self, name: str) -> None:
        """Notes that a row names the member."""
        self._change("UPDATE member SET used = 1 WHERE folded = ? AND name = ?", folded(name), name)

    def settle(self, name: str, sha256: str, problem: ImageProblem | None = None) -> None:
        """Notes what reading a member gave."""
        self._change(
            "UPDATE member SET sha256 = ?, reason = ?, message = ? WHERE folded = ? AND name = ?",
            *(bytes.fromhex(sha256) or None, *_reason(problem), folded(name), name),
        )

    def refuse(self, sha256: str, problem: ImageProblem) -> None:
        """Notes that the server refused these bytes."""
        self._change(
            "INSERT OR IGNORE INTO refusal VALUES (?, ?, ?)",
            *(bytes.fromhex(sha256), *_reason(problem)),
        )

    def refusal(self, sha256: str) -> ImageProblem | None:
        """Why the server refused these bytes, if it did."""
        query = "SELECT reason, message FROM refusal WHERE sha256 = ?"
        for row in self._select(query, bytes.fromhex(sha256)):
            return ImageProblem(*row)
        return None

    def want(self, names: Iterable[str]) -> None:
        """Adds to the names that rows will ask for."""
        with self._lock, temporary_space():
            self._rows.executemany(
                "INSERT OR IGNORE INTO wanted VALUES (?)", ((folded(each),) for each in names)
            )

    def is_wanted(self, name: str) -> bool:
        """Whether a row will ask for the member."""
        return bool(self._select("SELECT 1 FROM wanted WHERE name = ?", folded(name)))

    def pictures(self) -> Iterator[str]:
        """Names of members that count as images, those of one folder together."""
        after = ("", "")
        while True:
            page = self._select(
                "SELECT folded, name FROM member WHERE (folded, name) > (?, ?) AND picture "
                f"ORDER BY folded, name LIMIT {_PAGE}",
                *after,
            )
            yield from (name for _, name in page)
            if len(page) < _PAGE:
                return
            after = page[-1]

    def count_unused(self) -> int:
        """How many images no row named."""
        rows = self._select("SELECT count(*) FROM member WHERE picture AND NOT used")
        count: int = rows[0][0]
        return count

    def by_place(self) -> Iterator[Entry]:
        """All members in the order in which a zip archive keeps them. Nothing else may run."""
        for row in self._rows.execute(f"SELECT {_COLUMNS} FROM member ORDER BY place, packed"):
            yield _entry(row)

    def _select(self, query: str, *values: object) -> list[Any]:
        with self._lock:
            return self._rows.execute(query, values).fetchall()

    def _change(self, statement: str, *values: object) -> None:
        with self._lock, temporary_space():
            self._rows.execute(statement, values)


def _reason(problem: ImageProblem | None) -> tuple[str | None, str | None]:
    return (problem.reason, problem.message) if problem else (None, None)


def _entry(row: tuple[Any, ...]) -> Entry:
    name, size, picture, sha256, reason, message, *stored = row
    problem = ImageProblem(reason, message) if reason else None
    return Entry(name, size, bool(picture), (sha256 or b"").hex(), problem, Stored(*stored))
