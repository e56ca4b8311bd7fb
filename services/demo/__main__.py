"""`python -m services.demo OUT`: write a demo catalogue, a contact sheet, or both."""

import argparse
import logging
import sys
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from services.demo.catalog import DemoProduct, make_products
from services.demo.sheet import packshot_sheet, photo_sheet
from services.demo.writer import write_catalog

_SHEET_STEP = 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the arguments and draw; returns the exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if options.out is None and options.sheet is None:
        parser.error("say where to write: OUT, --sheet FILE, or both")
    if options.out is not None:
        write_catalog(
            options.out,
            options.products,
            options.photos,
            options.seed,
            options.images_per_product,
            options.workers,
        )
    if options.sheet is not None:
        _write_sheet(options.sheet, options.products, options.seed, options.sheet_photos)
    return 0


def _write_sheet(file: Path, products: int, seed: int, photos: bool) -> None:
    # Neighbours in the stream are variants of each other: every third shows more of the range.
    shown: list[DemoProduct] = list(
        islice(make_products(products * _SHEET_STEP, seed), 0, None, _SHEET_STEP)
    )
    sheet = photo_sheet(shown, seed) if photos else packshot_sheet(shown)
    sheet.save(file, quality=84, optimize=True)
    logging.getLogger(__name__).info("wrote %s", file)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m services.demo", description=__doc__)
    parser.add_argument("out", nargs="?", type=Path, help="folder of the catalogue")
    parser.add_argument("--products", type=int, default=60)
    parser.add_argument("--photos", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--images-per-product", type=int, default=1)
    parser.add_argument("--workers", type=int, help="processes (default: one per processor)")
    parser.add_argument("--sheet", type=Path, metavar="FILE", help="also write a contact sheet")
    parser.add_argument("--sheet-photos", action="store_true", help="photos beside packshots")
    return parser


if __name__ == "__main__":
    sys.exit(main())
