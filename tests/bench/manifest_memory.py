"""Whether memory depends on how long a manifest is."""

import csv
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

import psutil
from PIL import Image

from tests.bench.catalogues import choose_catalog
from tests.bench.figures import Figure, Outcome, at_most
from tests.bench.memory import PeakMemory
from tests.bench.servers import CATALOG, fresh_server

_SHORT, _LONG = 10_000, 1_000_000
_PRODUCTS = 1_000
_PIXELS = 240
_MIB = 2**20
_PROGRAM = Path(sys.executable).with_name("shelflens")


@dataclass(frozen=True, slots=True)
class _Import:
    server_peak: int
    client_peak: int
    both_peak: int
    seconds: float


def manifest_memory(data: Path | None) -> Iterator[Outcome]:
    """Peaks over server and client together; rows repeat 1,000 products with an image each."""
    files = choose_catalog(data).product_images(_PRODUCTS)
    short, long = _import(files, _SHORT), _import(files, _LONG)
    growth = (long.both_peak - short.both_peak) / _MIB
    yield Figure("memory of 1,000,000 rows beyond 10,000", growth, "MiB", at_most(150))
    server = (long.server_peak - short.server_peak) / _MIB
    yield Figure("the same, server alone", server, "MiB")
    yield Figure("the same, client alone", (long.client_peak - short.client_peak) / _MIB, "MiB")
    yield Figure("peak at 10,000 rows", short.both_peak / _MIB, "MiB")
    yield Figure("peak at 1,000,000 rows", long.both_peak / _MIB, "MiB")
    yield Figure("import of 1,000,000 rows", _LONG / long.seconds, "rows/s")


def _import(files: Sequence[Path], rows: int) -> _Import:
    """By the command line client, so that its memory is a process of its own."""
    with fresh_server() as server:
        manifest = _write_manifest(server.data.with_name("manifest"), files, rows)
        environment = os.environ | {"SHELFLENS_TARGET": server.target}
        began = time.perf_counter()
        client = subprocess.Popen(
            [str(_PROGRAM), "import", CATALOG, str(manifest)],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        ours = psutil.Process(client.pid)
        with PeakMemory({"server": server.tree, "client": lambda: [ours]}) as memory:
            code = client.wait()
        seconds = time.perf_counter() - began
        if code != 0:
            raise RuntimeError(f"the import of {rows} rows ended with exit code {code}")
    return _Import(memory.peaks["server"], memory.peaks["client"], memory.peak, seconds)


def _write_manifest(folder: Path, files: Sequence[Path], rows: int) -> Path:
    """Small copies of the images, and rows that repeat the products in turn."""
    (folder / "images").mkdir(parents=True)
    products = []
    for number, file in enumerate(files):
        name = f"images/{number:04d}.jpg"
        with Image.open(file) as image:
            image.convert("RGB").resize((_PIXELS, _PIXELS)).save(folder / name, quality=85)
        products.append((f"SKU-{number:04d}", f"Product {number}", f"{number / 100:.2f}", name))
    manifest = folder / "products.csv"
    with manifest.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow(("sku", "title", "price", "image"))
        writer.writerows(islice(cycle(products), rows))
    return manifest
