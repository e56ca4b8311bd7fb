"""Clusters for benchmarks: every server and service on this machine, in an empty folder."""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from shelflens import Client
from shelflens.importing.progress import Progress
from shelflens.values import Operation
from tests.bench.catalogues import BenchCatalog, write_manifest
from tests.bench.import_costs import own_processor_seconds
from tests.bench.servers import CATALOG
from tests.servers.cluster import Cluster


@contextmanager
def fresh_cluster(environment: Mapping[str, str] | None = None) -> Iterator[tuple[Cluster, Client]]:
    """One worker of each kind, without catalogues, and a client."""
    with (
        tempfile.TemporaryDirectory(prefix="shelflens-bench-") as folder,
        Cluster(Path(folder), environment=environment) as cluster,
        cluster.client() as client,
    ):
        yield cluster, client


def warm_up(cluster: Cluster, client: Client, catalog: BenchCatalog) -> None:
    """Imports photos that nothing else uses into a catalogue of their own, and searches it."""
    photos = catalog.warm_up_photos()
    rows = [(str(number), path.relative_to(catalog.root)) for number, path in enumerate(photos)]
    manifest = write_manifest(cluster.folder / "warm-up.csv", rows)
    client.import_products("warm-up", manifest, root=catalog.root).raise_for_error()
    for path in photos[:5]:
        client.search("warm-up", path)


def import_head(
    cluster: Cluster,
    client: Client,
    catalog: BenchCatalog,
    rows: int,
    on_progress: Callable[[Progress], object] = lambda progress: None,
) -> Operation:
    """Imports the first `rows` products into CATALOG."""
    manifest = catalog.head(cluster.folder / f"first-{rows}.csv", rows)
    operation = client.import_products(
        CATALOG, manifest, root=catalog.root, on_progress=on_progress
    ).raise_for_error()
    if operation.counts.rows_accepted == 0:
        raise ValueError(f"all of {operation.counts.rows_read} rows were rejected")
    return operation


def processor_seconds(cluster: Cluster) -> dict[str, float]:
    """Seconds of processor time so far by part, decoders apart; this process is the client."""
    spent = {"client": own_processor_seconds()}
    for name, pid in cluster.pids().items():
        spent[name] = _of_tree(pid, decoders=False)
        decoding = _of_tree(pid, decoders=True)
        if decoding:
            spent[f"decoders of {name}"] = decoding
    return spent


def _of_tree(pid: int, *, decoders: bool) -> float:
    total = 0.0
    root = psutil.Process(pid)
    for process in (root, *root.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            if ("decode_child" in " ".join(process.cmdline())) == decoders:
                times = process.cpu_times()
                total += times.user + times.system
    return total
