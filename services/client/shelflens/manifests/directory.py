"""Directories of images, whose folders and file names say what is in them."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby, islice
from pathlib import Path

from shelflens.errors import InvalidManifest
from shelflens.manifests.fields import shown
from shelflens.manifests.records import Numbered, Record
from shelflens.manifests.rows import Problem

EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp", ".avif")
FILE = "file"  # the column of the images' paths
_ANY_DEPTH = "**"
_NAMES_AT_ONCE = 10_000  # sorted in pieces of this size, so that memory stays bounded
_IMAGES_A_ROW = 1_000
_MAX_DEPTH = 200
_NAMED = re.compile(r"\{(\w+)\}|\*|[^{*]+")


@dataclass(frozen=True, slots=True)
class PathPattern:
    """`train/{sku}/*`: a name for each level of folders, last that of the file.

    `{sku}` takes a level, or a part of one, into the column `sku`; `*` stands for any text and a
    last `**` for any files below. Files are compared without their extension.
    """

    parts: tuple[re.Pattern[str], ...]
    any_depth: bool
    found: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> "PathPattern":
        """Raises ValueError for a pattern that means nothing."""
        levels = text.split("/")
        any_depth = levels[-1] == _ANY_DEPTH
        if any_depth:
            levels.pop()
        if not all(levels) or any(_ANY_DEPTH in each for each in levels):
            raise ValueError(f"'{text}' is no pattern of paths: write FOLDER/{{sku}}/*")
        return cls(tuple(_compile(each) for each in levels), any_depth)

    @property
    def columns(self) -> tuple[str, ...]:
        """What it takes from paths."""
        return tuple(name for part in self.parts for name in part.groupindex)

    def below(self, folder: str) -> "PathPattern | None":
        """What it means inside `folder`, None where it finds nothing."""
        if not self.parts:
            return self
        if len(self.parts) == 1 and not self.any_depth:
            return None  # its last level is the file's name
        match = self.parts[0].fullmatch(folder)
        found = {**self.found, **match.groupdict()} if match else {}
        return replace(self, parts=self.parts[1:], found=found) if match else None

    def take(self, file: str) -> Mapping[str, str] | None:
        """What it takes from the path of a file here, None where the file is not meant."""
        if not self.parts:
            return self.found if self.any_depth else None
        if len(self.parts) > 1 or self.any_depth:
            return None
        match = self.parts[0].fullmatch(os.path.splitext(file)[0])
        return {**self.found, **match.groupdict()} if match else None


class DirectoryRecords:
    """A record for the images that stand together and whose paths say the same.

    Hidden names are skipped, files with other extensions counted, linked folders not entered.
    """

    open_ended = False

    def __init__(self, folder: Path, patterns: Sequence[PathPattern]) -> None:
        """Raises InvalidManifest for a directory that cannot be listed or has no such image."""
        self.folder = folder
        self._patterns = tuple(patterns)
        names = (name for each in patterns for name in each.columns)
        self.columns: Sequence[str] = (*dict.fromkeys(names), FILE)
        self._total = self._seen = self._ignored = 0
        self._complete = False
        for _ in self._images():
            self._total += 1
        if not self._total:
            kinds = " ".join(each[1:] for each in EXTENSIONS)
            raise InvalidManifest(f"{folder} has no images ({kinds})", reason="NO_IMAGES")
        self.notes: Sequence[str] = [f"{self._total} images"]

    def read(self, used: Sequence[str]) -> Iterator[Numbered]:
        self._seen = self._ignored = 0
        self._complete, row = False, 0
        for _, images in groupby(self._images(), key=lambda each: each[0]):
            while some := list(islice(images, _IMAGES_A_ROW)):
                self._seen += len(some)
                row += 1
                yield row, self._record(some[0][1], [path for *_, path in some])
        self._complete = True

    def closing_notes(self) -> Sequence[str]:
        if not self._ignored:
            return ()
        return (f"{self._ignored} files with other extensions were left out",)

    def position(self) -> float:
        return min(1.0, self._seen / self._total)

    def complete(self) -> bool:
        return self._complete

    def _images(self) -> Iterator[tuple[object, Mapping[str, str], str]]:
        """What tells groups apart, what the path says, and the path."""
        for found, path in self._walk(self.folder, self._patterns, _MAX_DEPTH):
            if path.lower().endswith(EXTENSIONS):
                yield tuple(found.items()), found, os.path.relpath(path, self.folder)
            else:
                self._ignored += 1

    def _walk(
        self, folder: Path, patterns: Sequence[PathPattern], depth: int
    ) -> Iterator[tuple[Mapping[str, str], str]]:
        for entry in _entries(folder):
            if entry.is_dir(follow_symlinks=False):
                below = [each for each in (old.below(entry.name) for old in patterns) if each]
                if below and not depth:
                    raise InvalidManifest(f"{entry.path}: folders nest deeper than {_MAX_DEPTH}")
                if below:
                    yield from self._walk(Path(entry.path), below, depth - 1)
                continue
            taken = (each.take(entry.name) for each in patterns)
            found = next((each for each in taken if each is not None), None)
            if found is not None:
                yield found, entry.path

    @staticmethod
    def _record(found: Mapping[str, str], images: list[str]) -> Record:
        for name in (*found.values(), *images):
            try:
                name.encode()
            except UnicodeEncodeError:
                return Problem("TEXT_UNDECODABLE", "image", shown(name))
        return {**found, FILE: images}


def _compile(level: str) -> re.Pattern[str]:
    pieces = []
    at = 0
    for piece in _NAMED.finditer(level):
        if piece.start() != at:
            break
        at = piece.end()
        if piece[1]:
            pieces.append(f"(?P<{piece[1]}>.+)")
        else:
            pieces.append(".*" if piece[0] == "*" else re.escape(piece[0]))
    if at != len(level):
        raise ValueError(f"'{level}' has a brace that does not name a column, as in {{sku}}")
    try:
        return re.compile("".join(pieces), re.DOTALL)
    except re.error as error:
        raise ValueError(f"'{level}': {error}") from None


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            visible = (entry for entry in entries if not entry.name.startswith("."))
            while some := list(islice(visible, _NAMES_AT_ONCE)):
                yield from sorted(some, key=lambda entry: entry.name)
    except OSError as error:
        raise InvalidManifest(f"{folder}: {error.strerror or error}") from None
