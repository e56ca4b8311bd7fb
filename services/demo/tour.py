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
from typing import Any

from rich.console import Console
from rich.table import Table

from services.demo.result_sheet import result_sheet
from services.demo.writer import write_catalog

_READY_SECONDS = 120.0
_SHOWN = 5
_console = Console(highlight=False)
Answer = tuple[dict[str, str], list[dict[str, Any]]]  # row of photos.csv, results


def main() -> int:
    """Exit code 0 when everything worked and most photos found their product."""
    parser = argparse.ArgumentParser(prog="python -m services.demo.tour", description=__doc__)
    parser.add_argument("--products", type=int, default=120)
    parser.add_argument("--photos", type=int, default=24)
    parser.add_argument("--picture", type=Path, help="draw the first searches into this file")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="shelflens-demo-") as folder:
        return _tour(Path(folder), arguments.products, arguments.photos, arguments.picture)


def _tour(folder: Path, products: int, photos: int, picture: Path | None) -> int:
    _console.print(f"Rendering {products} products and {photos} customers' photos ...")
    catalog = folder / "catalog"
    write_catalog(catalog, products=products, photos=photos)
    server, target = _serve(folder / "data")
    try:
        _shelflens(target, "import", "demo", str(catalog / "products.csv"), "--wait")
        answers = _search_all(target, catalog)
        if picture is not None:
            _draw(picture, catalog, answers[:4])
    finally:
        server.terminate()
        server.wait(30)
    ranks = [_rank(photo, results) for photo, results in answers]
    first, among = sum(rank == 0 for rank in ranks), sum(rank < _SHOWN for rank in ranks)
    _console.print(
        f"{first} of {photos} photos found exactly their product first, {among} among the first "
        f"{_SHOWN}: many differ from a neighbour in the printed size alone."
    )
    return 0 if among * 2 > photos else 1


def _rank(photo: dict[str, str], results: list[dict[str, Any]]) -> int:
    return next((i for i, each in enumerate(results) if each["sku"] == photo["sku"]), _SHOWN)


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


def _search_all(target: str, catalog: Path) -> list[Answer]:
    with (catalog / "photos.csv").open(newline="") as lines:
        photos = list(csv.DictReader(lines))
    first = str(catalog / photos[0]["image"])
    _shelflens(target, "search", "demo", first, "-k", "3", "--timings")
    table = Table("photo of", "found", "score", "ms", title="Every customer's photo")
    answers: list[Answer] = []
    for photo in photos:
        command = [
            _program(),
            "search",
            "demo",
            str(catalog / photo["image"]),
            "-k",
            str(_SHOWN),
            "--json",
        ]
        answer = json.loads(subprocess.check_output(command, env=_environment(target)))
        best = answer["results"][0]
        answers.append((photo, answer["results"]))
        correct = best["sku"] == photo["sku"]
        total = f"{answer['timings_ms'].get('total', 0):.0f}"
        found = best["title"] if correct else f"[red]{best['title']}[/red]"
        table.add_row(photo["sku"], found, f"{best['score']:.2f}", total)
    _console.print(table)
    return answers


def _draw(picture: Path, catalog: Path, answers: list[Answer]) -> None:
    with (catalog / "products.csv").open(newline="") as lines:
        packshots = {
            row["sku"]: catalog / row["image"].split("|")[0] for row in csv.DictReader(lines)
        }
    rows = [
        (
            catalog / photo["image"],
            [
                (packshots[each["sku"]], each["title"], each["score"], each["sku"] == photo["sku"])
                for each in results
            ],
        )
        for photo, results in answers
    ]
    result_sheet(rows).save(picture, quality=88)


def _shelflens(target: str, *arguments: str) -> None:
    _console.print(f"[bold]$ shelflens {' '.join(arguments)}[/bold]")
    subprocess.run([_program(), *arguments], check=True, env=_environment(target))


def _environment(target: str) -> dict[str, str]:
    return os.environ | {"SHELFLENS_TARGET": target}


def _program() -> str:
    return str(Path(sys.executable).with_name("shelflens"))


if __name__ == "__main__":
    sys.exit(main())
