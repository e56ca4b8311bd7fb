"""The error report of an import: CSV, one line a rejection.

A spreadsheet runs cells that begin with certain characters. Such cells are written behind an
apostrophe, which spreadsheets take as "this is text"; numbers are left as they are.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator

from services.core.shard_files import RejectedRow

COLUMNS = ("row", "sku", "reason", "field", "value", "row_rejected")
HEADER = (",".join(COLUMNS) + "\r\n").encode()
ERASED = "(erased)"
_RUN = tuple("=+-@\t\r\n")
_NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?")


def safe_cell(text: str) -> str:
    """`text`, behind an apostrophe where a spreadsheet would run it."""
    return f"'{text}" if text.startswith(_RUN) and not _NUMBER.fullmatch(text) else text


def plain_cell(cell: str) -> str:
    """The text that `safe_cell` made a cell of."""
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(_RUN) else cell


def csv_lines(rows: Iterable[RejectedRow]) -> bytes:
    """Lines of the report, UTF-8, without the header."""
    return _csv([_cell(getattr(row, name)) for name in COLUMNS] for row in rows)


def without(
    pieces: Iterable[bytes], sku: str, sources: frozenset[str] | None
) -> Iterator[tuple[bytes, bool]]:
    """The report in `pieces`, in pieces again, each with whether it was changed.

    Lines about `sku` lose their SKU and value and keep row and reason, so that the report still
    adds up. With `sources` only lines about these image references do.
    """
    for line in csv.reader(_text_lines(pieces)):
        hit = (
            len(line) == len(COLUMNS)
            and plain_cell(line[1]).strip() == sku
            and (sources is None or plain_cell(line[4]) in sources)
        )
        if hit:
            line[1] = line[4] = ERASED
        yield _csv([line]), hit


def _text_lines(pieces: Iterable[bytes]) -> Iterator[str]:
    """Lines with their ends, as the csv module wants them: a cell may hold line breaks."""
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        yield from (line.decode(errors="replace") + "\n" for line in lines)
    if rest:
        yield rest.decode(errors="replace")


def _cell(value: object) -> object:
    return safe_cell(value) if isinstance(value, str) else value


def _csv(lines: Iterable[Iterable[object]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(lines)
    return text.getvalue().encode()
