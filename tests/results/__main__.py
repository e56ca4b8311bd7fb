"""`python -m tests.results ablation`: what each part of a recipe is worth on real photos."""

import argparse
import signal
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from tests.local_server import LocalServer
from tests.results.augmenting import measure_augmented
from tests.results.choosing import Figures, choose
from tests.results.measuring import Results, System
from tests.results.query_sets import SHOPS, Shop
from tests.results.recipes import Recipe
from tests.results.tables import augmentation_table, put_into, tables


def main() -> int:
    """Prints the tables, or puts them between the marks of a file."""
    arguments = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the server ends with its with block
    with ExitStack() as opened:
        work = arguments.work or Path(opened.enter_context(tempfile.TemporaryDirectory()))
        work.mkdir(parents=True, exist_ok=True)
        shops = [read(getattr(arguments, name)) for name, read in SHOPS.items()]
        made = _ablation(work, shops, opened)
    if arguments.out:
        text = arguments.out.read_text(encoding="utf-8") if arguments.out.exists() else ""
        arguments.out.write_text(put_into(text, made), encoding="utf-8")
    else:
        sys.stdout.write(made)
    return 0


def _ablation(work: Path, shops: Sequence[Shop], opened: ExitStack) -> str:
    results = Results(work / "results.json")
    server = opened.enter_context(LocalServer(work / "data"))
    client = opened.enter_context(server.client())
    system = System(server, client, results)
    for shop in shops:
        system.fill(shop, work)
        measure_augmented(client, shop, work, results)

    def measure(recipes: Sequence[Recipe]) -> None:
        for shop in shops:
            system.measure(shop, recipes)

    def figures() -> list[Figures]:
        return [Figures(shop, each, results) for shop in shops for each in shop.sets]

    made = tables(choose(measure, figures), figures())
    return f"{made}\n{augmentation_table(figures())}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.results", description=__doc__)
    parser.add_argument("table", choices=["ablation"])
    for name in SHOPS:
        parser.add_argument(f"--{name}", type=_folder, required=True, help="folder of its data")
    parser.add_argument("--work", type=Path, help="keep the server's data here, to go on later")
    parser.add_argument("--out", type=Path, help="put the tables into this file")
    return parser.parse_args()


def _folder(text: str) -> Path:
    folder = Path(text).resolve()
    if not (folder / "products.csv").is_file():
        raise argparse.ArgumentTypeError(f"{folder} has no products.csv")
    return folder


if __name__ == "__main__":
    sys.exit(main())
