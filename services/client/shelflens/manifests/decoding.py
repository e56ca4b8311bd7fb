"""Text files of unknown encoding: UTF-8 or UTF-16, else Windows-1252, read line by line."""

import codecs
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from shelflens.errors import InvalidManifest
from shelflens.manifests.rows import MAX_LINE

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_LOOK_AT = 64 << 20
_CHUNK = 1 << 20
_MARK = "shelflens-mark"


def _mark(error: UnicodeError) -> tuple[str, int]:
    """Turns every undecodable byte into a lone surrogate, which no valid text contains."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    bad = error.object[error.start : error.end]
    return "".join(chr(0xDC00 + byte) for byte in bad), error.end


codecs.register_error(_MARK, _mark)


@dataclass(frozen=True, slots=True)
class Encoding:
    """The encoding of a file, and a note for people where it had to be guessed."""

    name: str
    note: str = ""


def guess_encoding(file: BinaryIO) -> Encoding:
    """Looks at no more than the first 64 MiB. Leaves the file at its start."""
    start = file.read(4096)
    file.seek(0)
    for mark, name in _BOMS:
        if start.startswith(mark):
            return Encoding(name)
    # The first line names the columns: it is ASCII more often than the texts below it.
    if name := _unmarked_utf16(start) or _unmarked_utf16(start.partition(b"\n")[0]):
        return Encoding(name, f"{name.upper()} without a byte order mark")
    try:
        return _utf8_or_latin1(file)
    finally:
        file.seek(0)


def _unmarked_utf16(start: bytes) -> str:
    """ASCII in UTF-16 has a zero in every other byte, and only there."""
    even, odd = start[0::2], start[1::2]
    for name, zeros, others in (("utf-16-le", odd, even), ("utf-16-be", even, odd)):
        if len(odd) > 1 and zeros.count(0) > 0.8 * len(zeros) and others.count(0) < 0.2 * len(odd):
            return name
    return ""


def _utf8_or_latin1(file: BinaryIO) -> Encoding:
    decoder = codecs.getincrementaldecoder("utf-8")(_MARK)
    seen = 0
    while seen < _LOOK_AT and (chunk := file.read(_CHUNK)):
        seen += len(chunk)
        text = decoder.decode(chunk)
        if text.isascii():
            continue
        bad = sum("\udc80" <= char <= "\udcff" for char in text)
        good = sum(char > "\x7f" for char in text) - bad
        if bad > good:
            # Latin-1 with printable signs where that has control characters.
            return Encoding("cp1252", "not UTF-8: read as Windows-1252 (Latin-1)")
        if bad:
            return Encoding("utf-8", "UTF-8 with damaged bytes: rows that have some are rejected")
    return Encoding("utf-8")


class TextFile:
    """An open text file, for readers that need bounded lines and their progress."""

    def __init__(self, path: Path, newline: str) -> None:
        """`newline` as for `open`. Raises InvalidManifest (MANIFEST_UNREADABLE)."""
        try:
            self._raw = open(path, "rb")  # noqa: SIM115 - closed by close()
            self.size = path.stat().st_size
            self.encoding = guess_encoding(self._raw)
        except OSError as error:
            raise InvalidManifest(f"{path}: {error.strerror or error}") from None
        self._text = io.TextIOWrapper(
            self._raw, encoding=self.encoding.name, errors=_MARK, newline=newline
        )
        self.last_line: str | None = ""

    @property
    def notes(self) -> list[str]:
        """What was guessed, for people."""
        return [f"encoding: {self.encoding.note}"] if self.encoding.note else []

    def lines(self) -> Iterator[str | None]:
        """Lines with their ends; None for one longer than 16 Mi characters, which is skipped."""
        while line := self._text.readline(MAX_LINE):
            if len(line) < MAX_LINE or line.endswith("\n"):
                self.last_line = line
                yield line
                continue
            while line and not line.endswith(("\n", "\r")):
                line = self._text.readline(MAX_LINE)
            self.last_line = line or None
            yield None

    def position(self) -> float:
        """Share of the bytes read so far."""
        return min(1.0, self._raw.tell() / self.size) if self.size else 1.0

    def close(self) -> None:
        """Closes the file."""
        self._text.close()


def is_cut_off(file: TextFile, broken: bool) -> bool:
    """Whether a file that was read to its end has a last line without line end that is no row.

    `broken`: whether that line is no row as it stands.
    """
    last = file.last_line
    if last is None:
        return True
    if not last or last.endswith(("\n", "\r")):
        return False
    return broken or "\ud800" <= last[-1] <= "\udfff"
