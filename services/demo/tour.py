"""`make demo`: the commands of the README on a rendered catalogue, from serve to search.

Renders products and customers' photos, starts `shelflens serve` on a free port, imports, searches
every photo, and says how often the right product came first. Ends everything that it started.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from services.demo.writer import write_catalog

_READY_SECONDS = 120.0
_console = Console(highlight=False)


def main() -> int:
    """Exit code 0 when everything worked and most photos found their product."""
    parser = argparse.ArgumentParser(prog="python -m services.demo.tour", description=__doc__)
    parser.add_argument("--products", type=int, default=120)
    parser.add_argument("--photos", type=int, default=24)
    parser.add_argument("--keep", type=Path, help="render and store here, and leave it")
    arguments = parser.parse_args()
    if arguments.keep:
        return _tour(arguments.keep, arguments.products, arguments.photos)
    with tempfile.TemporaryDirectory(prefix="shelflens-demo-") as folder:
        return _tour(Path(folder), arguments.products, arguments.photos)


def _tour(folder: Path, products: int, photos: int) -> int:
    _console.print(f"Rendering {products} products and {photos} customers' photos ...")
    catalog = folder / "catalog"
    write_catalog(catalog, products=products, photos=photos)
    server, target = _serve(folder / "data")
    try:
        _shelflens(target, "import", "demo", str(catalog / "products.csv"), "--wait")
        right = _search_all(target, catalog)
    finally:
        server.terminate()
        server.wait(30)
    _console.print(f"{right} of {photos} photos found their product first.")
    return 0 if right * 2 > photos else 1


def _serve(data: Path) -> tuple[subprocess.Popen[bytes], str]:
    _console.print(f"[bold]$ shelflens serve --data {data} --port 0[/bold]")
    command = [_program(), "serve", "--data", str(data), "--port", "0", "--log-level", "WARNING"]
    server = subprocess.Popen(command)
    endpoint, deadline = data / "endpoint", time.monotonic() + _READY_SECONDS
    while not endpoint.exists():
        if server.poll() is not None or time.monotonic() > deadline:
            server.kill()
            sys.exit("the server did not start; its messages are above")
        time.sleep(0.05)
    return server, endpoint.read_text().strip()


def _search_all(target: str, catalog: Path) -> int:
    with (catalog / "photos.csv").open(newline="") as lines:
        photos = list(csv.DictReader(lines))
    first = str(catalog / photos[0]["image"])
    _shelflens(target, "search", "demo", first, "-k", "3", "--timings")
    table = Table("photo of", "found", "score", "ms", title="Every customer's photo")
    right = 0
    for photo in photos:
        command = [_program(), "search", "demo", str(catalog / photo["image"]), "-k", "1", "--json"]
        answer = json.loads(subprocess.check_output(command, env=_environment(target)))
        best = answer["results"][0]
        correct = best["sku"] == photo["sku"]
        right += correct
        total = f"{answer['timings_ms'].get('total', 0):.0f}"
        found = best["title"] if correct else f"[red]{best['title']}[/red]"
        table.add_row(photo["sku"], found, f"{best['score']:.2f}", total)
    _console.print(table)
    return right


def _shelflens(target: str, *arguments: str) -> None:
    _console.print(f"[bold]$ shelflens {' '.join(arguments)}[/bold]")
    subprocess.run([_program(), *arguments], check=True, env=_environment(target))


def _environment(target: str) -> dict[str, str]:
    return os.environ | {"SHELFLENS_TARGET": target}


def _program() -> str:
    return str(Path(sys.executable).with_name("shelflens"))


if __name__ == "__main__":
    sys.exit(main())
