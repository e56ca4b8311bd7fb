"""Folders of hostile images, with good ones between them, and the manifest that lists them."""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.hostile.kinds import HostileImage, picture, saved

_GOOD_SIZE = (240, 200)


@dataclass(frozen=True, slots=True)
class HostileFolder:
    """`expected` has the verdict of every row, by its number from 1; good ones are accepted."""

    manifest: Path
    expected: dict[int, str]
    good: dict[str, Path]  # by SKU


def write_good_and_hostile(root: Path, kinds: Iterable[HostileImage], seed: int) -> HostileFolder:
    """A good image after each hostile one, every image in a row and a product of its own."""
    root.mkdir(parents=True, exist_ok=True)
    expected: dict[int, str] = {}
    good: dict[str, Path] = {}
    rows: list[tuple[str, str]] = []
    for number, kind in enumerate(kinds):
        bad, fine = f"{number:03d}-{kind.name}.jpg", f"{number:03d}-good.jpg"
        (root / bad).write_bytes(kind.make(seed + number))
        rows.append((kind.name, bad))
        expected[len(rows)] = kind.verdict
        (root / fine).write_bytes(good_picture(seed + number))
        rows.append((f"good-{number}", fine))
        expected[len(rows)] = ""
        good[f"good-{number}"] = root / fine
    return HostileFolder(write_rows(root / "products.csv", rows), expected, good)


def good_picture(seed: int) -> bytes:
    """A JPEG of a few kilobytes that resembles no other."""
    return saved(picture(10_000 + seed, _GOOD_SIZE), "JPEG", quality=88)


def write_rows(manifest: Path, rows: Iterable[tuple[str, str]]) -> Path:
    """A manifest of SKUs and images."""
    with manifest.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("sku", "image"))
        writer.writerows(rows)
    return manifest
