"""The catalogue that a benchmark works on: rendered once and kept, or the user's own."""

import csv
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from services.demo.writer import write_catalog

PRODUCTS, PHOTOS = 3_000, 300
WARM_UP_PHOTOS = 24
_IMAGE_COLUMNS = ("image", "images", "base_image")

Query = tuple[str, Path]  # SKU and photo


@dataclass(frozen=True, slots=True)
class BenchCatalog:
    """CSV files `products` and `photos` with image paths relative to `root`.

    A folder of one's own may lack photos: then the products' images serve as queries.
    """

    root: Path
    products: Path
    photos: Path

    def product_images(self, count: int) -> list[Path]:
        """The first image file of each of the first `count` products that have one."""
        return [path for _, path in islice(self._images(self.products), count)]

    def packshots(self) -> list[Query]:
        """The first image of every product that has one."""
        return list(self._images(self.products))

    def queries(self, count: int) -> list[Query]:
        """At most `count`, spread evenly over all but those for warming up."""
        rows = self._queries()[:-WARM_UP_PHOTOS]
        return rows[:: max(1, len(rows) // count)][:count]

    def warm_up_photos(self) -> list[Path]:
        """Photos that `queries` never gives."""
        return [path for _, path in self._queries()[-WARM_UP_PHOTOS:]]

    def head(self, target: Path, rows: int) -> Path:
        """A manifest of the first `rows` products, written to `target`."""
        with self.products.open(newline="", encoding="utf-8") as lines:
            reader = csv.reader(lines)
            with target.open("w", newline="", encoding="utf-8") as out:
                csv.writer(out).writerows(islice(reader, rows + 1))
        return target

    def _queries(self) -> list[Query]:
        return list(self._images(self.photos if self.photos.exists() else self.products))

    def _images(self, table: Path) -> Iterator[Query]:
        with table.open(newline="", encoding="utf-8") as lines:
            for row in csv.DictReader(lines):
                cell = next((row[each] for each in _IMAGE_COLUMNS if row.get(each)), "")
                if cell:
                    yield row["sku"], self.root / cell.split("|")[0]


def choose_catalog(data: Path | None) -> BenchCatalog:
    """The catalogue in the folder `data`, else the rendered one."""
    root = data or cache_folder() / f"products-{PRODUCTS}"
    if data is None:
        write_catalog(root, products=PRODUCTS, photos=PHOTOS)
    return BenchCatalog(root, root / "products.csv", root / "photos.csv")


def write_manifest(target: Path, rows: Iterable[Query]) -> Path:
    """A manifest of SKUs and images; import it with the root that the images are relative to."""
    with target.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow(("sku", "image"))
        writer.writerows(rows)
    return target


def cache_folder() -> Path:
    """Where rendered catalogues stay between runs."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(base) / "shelflens" / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
