"""The shops that end-to-end tests import: a rendered one, and many cheap pictures made from it."""

import csv
import io
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from services.demo.writer import write_catalog

SEED = 3
PRODUCTS = 60
PHOTOS = 48

Row = dict[str, str]


@dataclass(frozen=True)
class Shop:
    """A manifest with its images, and customers' photos as (file, SKU of what they show)."""

    manifest: Path
    photos: tuple[tuple[Path, str], ...] = ()

    @property
    def root(self) -> Path:
        return self.manifest.parent

    def rows(self) -> list[Row]:
        """The manifest's rows, from column to cell."""
        with self.manifest.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    def image(self, row: Row) -> Path:
        """The first image of a row."""
        return self.root / row["image"].split("|")[0]


def render_shop(root: Path) -> Shop:
    """`PRODUCTS` products with a packshot each, and `PHOTOS` photos of them."""
    written = write_catalog(root, PRODUCTS, PHOTOS, seed=SEED)
    with written.photos.open(newline="", encoding="utf-8") as file:
        photos = tuple((root / row["image"], row["sku"]) for row in csv.DictReader(file))
    return Shop(written.products, photos)


def vary_shop(shop: Shop, root: Path, rows_per_product: int, seed: int) -> Shop:
    """Each product of `shop` in `rows_per_product` rows of two new pictures.

    The rows of one SKU lie far apart, so that shards have to be merged. Another seed gives pictures
    that no server has seen: nothing about them can be reused.
    """
    rng = random.Random(seed)
    (root / "images").mkdir(parents=True)
    rows = []
    for view in range(rows_per_product):
        for number, row in enumerate(shop.rows()):
            names = [f"images/{number}-{view}-{side}.jpg" for side in "ab"]
            with Image.open(shop.image(row)) as picture:
                for name in names:
                    _vary(picture, rng).save(root / name, quality=88)
            rows.append(row | {"image": "|".join(names)})
    return Shop(write_manifest(root / "products.csv", rows))


def write_manifest(path: Path, rows: Sequence[Mapping[str, str]]) -> Path:
    """A CSV with the columns of the first row."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def new_picture(shop: Shop, seed: int, number: int = 0) -> bytes:
    """A JPEG that resembles product `number` and that no server has seen."""
    with Image.open(shop.image(shop.rows()[number])) as picture:
        file = io.BytesIO()
        _vary(picture, random.Random(f"{seed}:{number}")).save(file, "JPEG", quality=88)
    return file.getvalue()


def skus(rows: Iterable[Row]) -> list[str]:
    """The SKUs, sorted."""
    return sorted(row["sku"] for row in rows)


def _vary(picture: Image.Image, rng: random.Random) -> Image.Image:
    wide, high = picture.size
    left, top = rng.uniform(0, wide / 4), rng.uniform(0, high / 4)
    box = (left, top, left + 0.75 * wide, top + 0.75 * high)
    turned = picture.rotate(rng.uniform(-25, 25), expand=True, fillcolor=(255, 255, 255))
    return turned.resize((320, 320), Image.Resampling.BILINEAR, box)
