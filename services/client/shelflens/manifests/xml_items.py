"""XML feeds: the items of RSS, the entries of Atom, read as a stream."""

from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO
from xml.sax import SAXException, SAXParseException
from xml.sax.handler import ContentHandler

from defusedxml import DefusedXmlException
from defusedxml.sax import make_parser

from shelflens.errors import InvalidManifest
from shelflens.manifests.fields import shown
from shelflens.manifests.records import Numbered, Record
from shelflens.manifests.rows import MAX_CELL, Problem

_ITEMS = ("item", "entry")
_LOOK_AT_ITEMS = 1_000
_CHUNK = 64 << 10
_MAX_FIELDS = 1_000  # elements of one item
_MAX_DEPTH = 100
_MAX_TAG = 4 << 20  # bytes: the parser holds a tag or comment until it ends


class XmlRecords:
    """The `item` or `entry` elements of a feed: name of each child -> its text.

    Namespaces are left out of the names (`g:price` is `price`), a child that comes several times
    gives a list, and children of children are skipped. A `link` without text gives its `href`.
    Declared entities are refused.
    """

    open_ended = True
    notes: Sequence[str] = ()

    def __init__(self, path: Path) -> None:
        """Raises InvalidManifest for files that are no XML or have no item."""
        self._path = path
        self._share = 0.0
        self._complete = False
        self._size = path.stat().st_size
        self.folder = path.parent
        names: dict[str, None] = {}
        problem: Record | None = None
        for number, record in self.read(()):
            problem = record
            if not isinstance(record, Problem):
                names.update(dict.fromkeys(record))
            if number >= _LOOK_AT_ITEMS:
                break
        if not names:
            why = f": {problem.value}" if isinstance(problem, Problem) else ""
            raise InvalidManifest(f"{path} has no item or entry elements that can be read{why}")
        self.columns: Sequence[str] = tuple(names)
        self._complete, self._share = False, 0.0

    def read(self, used: Sequence[str]) -> Iterator[Numbered]:
        items = _Items()
        parser: Any = make_parser()
        parser.setFeature("http://xml.org/sax/features/namespaces", True)
        parser.setContentHandler(items)
        self._complete, number = False, 0
        try:
            with open(self._path, "rb") as file:
                for record in self._parse(file, parser, items):
                    number += 1
                    yield number, record
            self._complete = True
        except DefusedXmlException as error:
            raise InvalidManifest(
                f"{self._path} declares entities or refers to other files "
                f"({type(error).__name__}); write the feed without them"
            ) from None
        except OSError as error:
            raise InvalidManifest(f"{self._path}: {error.strerror or error}") from None
        except SAXException as error:
            yield number + 1, Problem("BAD_XML", "", shown(_said(error)))
        self._share = 1.0

    def closing_notes(self) -> Sequence[str]:
        return ()

    def position(self) -> float:
        return self._share

    def complete(self) -> bool:
        return self._complete

    def _parse(self, file: BinaryIO, parser: Any, items: "_Items") -> Iterator[Record]:
        done = silent = 0
        while chunk := file.read(_CHUNK):
            items.heard = False
            try:
                parser.feed(chunk)
            finally:
                yield from items.take()
            done += len(chunk)
            silent = 0 if items.heard else silent + len(chunk)
            if silent > _MAX_TAG:
                raise SAXException(f"a tag or comment of more than {_MAX_TAG} bytes")
            self._share = min(1.0, done / self._size) if self._size else 1.0
        try:
            parser.close()
        finally:
            yield from items.take()


def _said(error: SAXException) -> str:
    line = f"line {error.getLineNumber()}: " if isinstance(error, SAXParseException) else ""
    return f"{line}{error.getMessage()}; nothing after it can be read"


class _Items(ContentHandler):
    """Collects finished items. Texts are kept up to a little over the limit for a cell."""

    def __init__(self) -> None:
        super().__init__()
        self.heard = False
        self._depth = 0
        self._item = 0  # depth of the item that is open
        self._field = ""
        self._href = ""
        self._texts: list[str] = []
        self._length = 0
        self._fields: dict[str, Any] = {}
        self._count = 0
        self._finished: deque[Record] = deque()

    def take(self) -> Iterator[Record]:
        """The items that were finished since the last call."""
        while self._finished:
            yield self._finished.popleft()

    def startElementNS(self, name: Any, qname: Any, attrs: Any) -> None:  # noqa: N802 - SAX's name
        self.heard = True
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise SAXException(f"elements nested more than {_MAX_DEPTH} deep")
        if not self._item and name[1] in _ITEMS:
            self._item, self._fields, self._count = self._depth, {}, 0
        elif self._item and self._depth == self._item + 1:
            self._field, self._texts, self._length = name[1], [], 0
            self._href = attrs.get((None, "href"), "")[: MAX_CELL + 1]

    def characters(self, content: str) -> None:
        self.heard = True
        at_field = self._item and self._depth == self._item + 1
        if at_field and self._length <= MAX_CELL:
            self._texts.append(content[: MAX_CELL + 1])
            self._length += len(content)

    def endElementNS(self, name: Any, qname: Any) -> None:  # noqa: N802 - SAX's name
        self.heard = True
        if self._depth == self._item:
            self._finish()
        elif self._item and self._depth == self._item + 1:
            self._count += 1
            if self._count <= _MAX_FIELDS:
                self._add(self._field, "".join(self._texts).strip() or self._href)
            self._texts = []
        self._depth -= 1

    def _add(self, name: str, text: str) -> None:
        known = self._fields.get(name)
        match known:
            case None:
                self._fields[name] = text
            case list():
                known.append(text)
            case _:
                self._fields[name] = [known, text]

    def _finish(self) -> None:
        self._item = 0
        if self._count > _MAX_FIELDS:
            text = f"an item of {self._count} elements; at most {_MAX_FIELDS}"
            self._finished.append(Problem("ROW_TOO_LONG", "", text))
        else:
            self._finished.append(self._fields)
        self._fields = {}
