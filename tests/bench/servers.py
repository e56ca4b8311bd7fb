"""Servers for benchmarks: on an empty data directory of their own, gone at the end."""

import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from shelflens import Client
from tests.bench.catalogues import BenchCatalog, write_manifest
from tests.local_server import LocalServer

CATALOG = "shop"


@contextmanager
def fresh_server(*options: str) -> Iterator[LocalServer]:
    """A running server without catalogues. Its data stay until this process ends."""
    folder = Path(tempfile.mkdtemp(dir=_all_data().name))
    with LocalServer(folder / "data", *options) as server:
        yield server


@cache
def _all_data() -> tempfile.TemporaryDirectory[str]:
    """One folder for every server, removed with the last reference to it.

    Not earlier: ext4 looks at each recently deleted inode of a block group before it takes a new
    one, so that the next server would pay 0.5 ms a file for the deletions of the one before.
    """
    return tempfile.TemporaryDirectory(prefix="shelflens-bench-")


@contextmanager
def filled_server(catalog: BenchCatalog, rows: int) -> Iterator[tuple[LocalServer, Client]]:
    """A warm server with the first `rows` products in CATALOG, and a client."""
    with fresh_server() as server, server.client() as client:
        warm_up(server, client, catalog)
        import_head(server, client, catalog, rows)
        yield server, client


def import_head(server: LocalServer, client: Client, catalog: BenchCatalog, rows: int) -> None:
    """Imports the first `rows` products into CATALOG."""
    manifest = catalog.head(server.data.with_name(f"first-{rows}.csv"), rows)
    counts = client.import_products(CATALOG, manifest, root=catalog.root).raise_for_error().counts
    if counts.rows_accepted == 0:
        raise ValueError(f"all of {counts.rows_read} rows were rejected")


def warm_up(server: LocalServer, client: Client, catalog: BenchCatalog) -> None:
    """Imports photos that nothing else uses into a catalogue of their own, and searches it."""
    photos = catalog.warm_up_photos()
    rows = [(str(number), path.relative_to(catalog.root)) for number, path in enumerate(photos)]
    manifest = write_manifest(server.data.with_name("warm-up.csv"), rows)
    counts = client.import_products("warm-up", manifest, root=catalog.root).raise_for_error().counts
    if counts.images_embedded != len(photos):
        raise ValueError(f"of {len(photos)} photos {counts.images_embedded} were imported")
    for path in photos[:5]:
        client.search("warm-up", path)


@contextmanager
def importing(
    server: LocalServer, catalog: BenchCatalog, rows: int
) -> Iterator[Callable[[], bool]]:
    """Imports the first `rows` products meanwhile; yields whether that is still running."""
    errors: list[BaseException] = []

    def work() -> None:
        try:
            with server.client() as client:
                import_head(server, client, catalog, rows)
        except BaseException as error:  # raised again where it is seen
            errors.append(error)

    thread = threading.Thread(target=work, name="import")
    thread.start()
    try:
        yield thread.is_alive
    finally:
        thread.join()
    if errors:
        raise errors[0]
