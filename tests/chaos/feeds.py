"""Catalogues that change: a feed in versions, with duplicates, bad rows and broken images."""

import hashlib
import io
import random
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw

from tests.e2e.shop import write_manifest

_SIDE = 240
_KEPT = 0.92  # of the products are in a version
_RENEWED = 0.25  # of the products get new pictures with a version


@dataclass(frozen=True, slots=True)
class FeedRow:
    """One row; `sha256s` are those of its good images. A `bad` one must be rejected."""

    sku: str
    title: str
    sha256s: tuple[str, ...]
    bad: bool = False


@dataclass(frozen=True, slots=True)
class Version:
    """One state of a feed: a manifest of its own name. Row n of the report is rows[n - 1]."""

    name: str
    manifest: Path
    rows: tuple[FeedRow, ...]


def picture(seed: str) -> bytes:
    """A JPEG of coloured shapes that no other seed gives."""
    rng = random.Random(seed)

    def colour() -> tuple[int, int, int]:
        return rng.randrange(256), rng.randrange(256), rng.randrange(256)

    image = Image.new("RGB", (_SIDE, _SIDE), colour())
    draw = ImageDraw.Draw(image)
    for _ in range(12):
        box = sorted(rng.randrange(_SIDE) for _ in range(2)) + sorted(
            rng.randrange(_SIDE) for _ in range(2)
        )
        shape = (box[0], box[2], box[1], box[3])
        rng.choice((draw.ellipse, draw.rectangle))(shape, fill=colour())
    file = io.BytesIO()
    image.save(file, "JPEG", quality=85)
    return file.getvalue()


class Feed:
    """Writes versions of a feed of about `products` products below `folder`."""

    def __init__(self, folder: Path, prefix: str, products: int, seed: int) -> None:
        self.skus = [f"{prefix}-{number:03}" for number in range(products)]
        self._folder = folder
        self._prefix = prefix
        self._seed = seed
        self._rng = random.Random(f"{seed}:{prefix}")
        self._age = dict.fromkeys(self.skus, 0)
        self._number = 0
        (folder / "images").mkdir(parents=True)

    def next_version(self) -> Version:
        """Another state: some products come and go, some get new pictures, all get new titles."""
        self._number += 1
        for sku in self.skus:
            self._age[sku] += self._rng.random() < _RENEWED
        name = f"{self._prefix}-v{self._number}"
        listed = [sku for sku in self.skus if self._rng.random() < _KEPT]
        rows = [self._row(sku, name, "a") for sku in listed]
        rows += [self._row(sku, name, "b") for sku in self._rng.sample(listed, len(listed) // 10)]
        rows += [rows[0], self._lender(rows[0], listed[1], name)]
        rows += self._bad_rows(name)
        self._rng.shuffle(rows)
        cells = [
            {"sku": row.sku, "title": row.title, "image": "|".join(files)} for row, files in rows
        ]
        manifest = write_manifest(self._folder / f"{name}.csv", cells)
        return Version(name, manifest, tuple(row for row, _ in rows))

    def _row(self, sku: str, version: str, side: str) -> tuple[FeedRow, list[str]]:
        name = f"images/{sku}-{side}{self._age[sku]}.jpg"
        data = picture(f"{self._seed}:{name}")
        (self._folder / name).write_bytes(data)
        row = FeedRow(sku, f"{sku} of {version}", (hashlib.sha256(data).hexdigest(),))
        return row, [name]

    def _lender(
        self, row: tuple[FeedRow, list[str]], sku: str, version: str
    ) -> tuple[FeedRow, list[str]]:
        """Another product that shows the picture of `row` as well."""
        return FeedRow(sku, f"{sku} of {version}", row[0].sha256s), row[1]

    def _bad_rows(self, version: str) -> list[tuple[FeedRow, list[str]]]:
        whole = picture(f"{self._seed}:{version}")
        contents = {
            f"images/{version}-cut.jpg": whole[: len(whole) // 2],
            f"images/{version}-text.jpg": b"this is no picture\n" * 50,
        }
        for name, data in contents.items():
            (self._folder / name).write_bytes(data)
        cut, text = contents
        good = [f"images/{version}-good.jpg"]
        (self._folder / good[0]).write_bytes(whole)
        bad = [
            (f"{self._prefix}-cut", [cut]),
            (f"{self._prefix}-text", [text]),
            ("", good),
            (f"{self._prefix}-bare", []),
        ]
        return [(FeedRow(sku, f"{sku} of {version}", (), True), files) for sku, files in bad]
