"""Reading the CSV with every rejection of an import (`Client.download_import_errors`)."""

import codecs
import csv
from collections.abc import Iterable, Iterator

from shelflens.errors import DataLoss
from shelflens.values import Rejection

_COLUMNS = ["row", "sku", "reason", "field", "value", "row_rejected"]
_RUN = tuple("=+-@\t\r\n")


def read_rejections(pieces: Iterable[bytes]) -> Iterator[Rejection]:
    """Its lines in order; apostrophes that guard against spreadsheets are taken off.

    Raises DataLoss (REPORT_UNREADABLE).
    """
    lines = csv.reader(_lines(pieces))
    if next(lines, []) != _COLUMNS:
        raise _unreadable("its header is another one")
    for line in lines:
        if len(line) != len(_COLUMNS) or not line[0].isdecimal():
            raise _unreadable(f"line {lines.line_num} has other columns")
        row, sku, reason, field, value, whole = map(_plain, line)
        yield Rejection(int(row), reason, field, value, sku, whole == "True")


def _plain(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(_RUN) else cell


def _lines(pieces: Iterable[bytes]) -> Iterator[str]:
    """Lines with their ends: a cell may hold line breaks."""
    decode = codecs.getincrementaldecoder("utf-8")("replace").decode
    rest = ""
    for piece in pieces:
        *lines, rest = (rest + decode(piece)).split("\n")
        yield from (line + "\n" for line in lines)
    if rest:
        yield rest


def _unreadable(problem: str) -> DataLoss:
    return DataLoss(
        f"the error report cannot be read: {problem}; update the client", reason="REPORT_UNREADABLE"
    )
