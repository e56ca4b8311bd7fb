"""What is searched for, and in what: catalogues and query photos of the two data sets."""

import csv
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.results.grouping import Int64, alike_groups, hold_out, leak, spread
from tests.results.thumbnails import thumbnails

SEED = 7
_SHARE = 0.5  # of a product's train photos that are held out
_GALLERY, _HELD_OUT = 8, 5  # photos of a product
_LUMA_NAME = re.compile(r"(?P<style>[a-z]+\d+[a-z]*)-(?P<colour>[a-z]+)_(?P<view>\w+)\.jpg")


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a manifest. `group` is what intervals resample."""

    sku: str
    image: str
    category: str = ""
    group: str = ""


@dataclass(frozen=True, slots=True)
class QuerySet:
    """Queries of a catalogue whose groups begin with `prefix`; `leak` is the thumbnail probe.

    Halves are made by product, or by what is before the first slash of the group behind `prefix`.
    """

    name: str
    about: str
    prefix: str
    leak: float


@dataclass(frozen=True, slots=True)
class Shop:
    """A catalogue with the queries of its `sets`; images are relative to `root`."""

    name: str
    root: Path
    gallery: tuple[Row, ...]
    queries: tuple[Row, ...]
    sets: tuple[QuerySet, ...]

    def write(self, folder: Path) -> tuple[Path, Path]:
        """Manifests of the gallery and of the queries."""
        return (
            _write(folder / f"{self.name}-gallery.csv", self.gallery),
            _write(folder / f"{self.name}-queries.csv", self.queries),
        )


def grocery(root: Path) -> Shop:
    """Iconic pictures and shop photos as the gallery; val photos, and groups of train photos that
    are held out, as queries. Reads products.csv and photos.csv: image, sku, split."""
    products = {each["sku"]: each for each in _read(root / "products.csv")}
    photos = _read(root / "photos.csv")
    skus = [each["sku"] for each in photos]
    seen = thumbnails([root / each["image"] for each in photos])
    train = np.array([each["split"] == "train" for each in photos])
    # A burst may not lie on both sides, and val photos repeat each other too.
    groups = alike_groups(seen, [f"{each['split']}/{each['sku']}" for each in photos])
    held = np.zeros(len(photos), bool)
    held[train] = hold_out(groups[train], _of(skus, train.nonzero()[0]), _SHARE, SEED)

    def few(chosen: "np.ndarray[tuple[int], np.dtype[np.bool_]]", most: int) -> Int64:
        at = chosen.nonzero()[0]
        return at[spread(groups[at], _of(skus, at), most, SEED)]

    shown, asked, val = few(train & ~held, _GALLERY), few(held, _HELD_OUT), (~train).nonzero()[0]

    def rows(at: Iterable[int], prefix: str) -> list[Row]:
        return [
            Row(
                skus[each],
                photos[each]["image"],
                products[skus[each]]["category"],
                f"{prefix}{skus[each]}/{groups[each]}" if prefix else "",
            )
            for each in at
        ]

    def probe(at: Int64) -> float:
        return leak(seen[at], seen[shown], _of(skus, at), _of(skus, shown))

    iconic = [Row(sku, each["image"], each["category"]) for sku, each in products.items()]
    return Shop(
        "grocery",
        root,
        (*iconic, *rows(shown, "")),
        (*rows(val, "val:"), *rows(asked, "held-out:")),
        (
            QuerySet("grocery val", "shop photos of the val split", "val:", probe(val)),
            QuerySet("grocery held out", "groups of train photos", "held-out:", probe(asked)),
        ),
    )


def luma(root: Path) -> Shop:
    """The main view of every style and colour as the gallery, its other views as queries.

    A product is a style in a colour, whatever its sizes; intervals resample styles. Reads
    products.csv as Magento exports it.
    """
    gallery: dict[str, Row] = {}
    queries: dict[str, Row] = {}
    for each in _read(root / "products.csv"):
        for path in (each["base_image"], *each["additional_images"].split(",")):
            name = path.strip().lstrip("/")
            parts = _LUMA_NAME.fullmatch(name.rpartition("/")[2])
            if parts is None or not (root / "images" / name).is_file():
                continue
            side = gallery if parts["view"] == "main" else queries
            sku = f"{parts['style']}-{parts['colour']}"
            category = each["categories"].split(",")[0]
            side.setdefault(name, Row(sku, f"images/{name}", category, f"{parts['style']}/"))
    shown = {each.sku for each in gallery.values()}
    asked = [each for each in queries.values() if each.sku in shown]
    listed = list(gallery.values())
    probe = leak(
        thumbnails([root / each.image for each in asked]),
        thumbnails([root / each.image for each in listed]),
        [each.sku for each in asked],
        [each.sku for each in listed],
    )
    sets = (QuerySet("luma", "other views of a style and colour", "", probe),)
    return Shop("luma", root, tuple(listed), tuple(asked), sets)


SHOPS: dict[str, Callable[[Path], Shop]] = {"grocery": grocery, "luma": luma}


def half(name: str) -> int:
    """0 or 1, the same on every machine: the half in which recipes are chosen, and the other."""
    return int(np.random.default_rng([SEED, *name.encode()]).integers(2))


def _of(values: Sequence[str], at: Iterable[int]) -> list[str]:
    return [values[each] for each in at]


def _read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def _write(path: Path, rows: Sequence[Row]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow(("sku", "title", "categories", "image", "parent"))
        writer.writerows(
            (each.sku, each.sku, each.category, each.image, each.group) for each in rows
        )
    return path
