"""Text files of unknown encoding: UTF-8 or UTF-16, else Latin-1, read line by line."""

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
    # ASCII in UTF-16 without a mark: every other byte is zero.
    for name, zeros in (("utf-16-le", start[1::2]), ("utf-16-be", start[0::2])):
        if len(zeros) > 1 and zeros.count(0) > 0.8 * len(zeros):
            return Encoding(name, f"{name.upper()} without a byte order mark")
    try:
        return _utf8_or_latin1(file)
    finally:
        file.seek(0)


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
            return Encoding("latin-1", "not UTF-8: read as Latin-1 (ISO 8859-1)")
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

    def lines(self) -> Iterator[str | None]:
        """Lines with their ends; None for one longer than 16 Mi characters, which is skipped."""
        while line := self._text.readline(MAX_LINE):
            if len(line) < MAX_LINE or line.endswith("\n"):
                yield line
                continue
            while line and not line.endswith(("\n", "\r")):
                line = self._text.readline(MAX_LINE)
            yield None

    def position(self) -> float:
        """Share of the bytes read so far."""
        return min(1.0, self._raw.tell() / self.size) if self.size else 1.0

    def close(self) -> None:
        """Closes the file."""
        self._text.close()
