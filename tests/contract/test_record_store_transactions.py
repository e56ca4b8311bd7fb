"""What every RecordStore promises about transactions, threads and killed processes."""

import multiprocessing
import os
import random
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from services.core.domain.catalog import ProductFields
from services.core.record_ports import RecordStore
from tests.contract import record_stores
from tests.contract.record_stores import (
    ADAPTERS,
    DIGEST,
    MODEL,
    NOW,
    RECORD_STORES,
    SPEC,
    Shop,
    prepare,
    row,
    sha,
)

records, shop = record_stores.records, record_stores.shop_of_records
SECONDS = 30.0


def test_an_exception_leaves_nothing_of_its_transaction(shop: Shop) -> None:
    before = shop.load(row("kept", "k"))

    def write_and_fail() -> None:
        with shop.records.begin(write=True) as tx:
            revision = tx.catalogs.next_revision("shop")
            tx.catalogs.create("other", "Other", MODEL, NOW)
            tx.products.create("shop", ProductFields("new"), revision, NOW)
            tx.products.delete("shop", "kept", revision, NOW)
            tx.imports.merge_rows("shop", [row("bulk", "b")], revision, NOW)
            tx.embeddings.add(DIGEST, "key", [sha("b")])
            raise ConnectionResetError("half way")

    with pytest.raises(ConnectionResetError):
        write_and_fail()
    assert list(shop.products()) == ["kept"]
    with shop.records.begin() as tx:
        assert [each.id for each in tx.catalogs.page("", 9)] == ["shop"]
        assert tx.catalogs.get("shop").revision == before
        assert tx.embeddings.known(DIGEST, [sha("b")]) == set()
    assert shop.revision() == before + 1


def test_a_transaction_reads_its_own_writes(shop: Shop) -> None:
    with shop.records.begin(write=True) as tx:
        tx.products.create("shop", ProductFields("a"), 1, NOW)
        tx.products.add_image("shop", "a", sha("x"), 1, NOW)
        assert tx.products.get("shop", "a").image_count == 1


def test_threads_that_write_never_get_the_same_revision(shop: Shop) -> None:
    start = threading.Barrier(4)

    def write() -> list[int]:
        start.wait(SECONDS)
        return [shop.revision() for _ in range(15)]

    with ThreadPoolExecutor(4) as pool:
        given = [pool.submit(write) for _ in range(4)]
        revisions = [revision for each in given for revision in each.result(SECONDS)]
    assert sorted(revisions) == list(range(1, 61))


def test_read_modify_write_of_one_catalogue_loses_no_update(shop: Shop) -> None:
    shop.create("counter", stock=0)

    def count() -> None:
        for _ in range(10):
            with shop.records.begin(write=True) as tx:
                tx.catalogs.get("shop")  # reading first must not cost the write
                revision = tx.catalogs.next_revision("shop")
                stock = tx.products.get("shop", "counter").fields.stock or 0
                fields = ProductFields("counter", stock=stock + 1)
                tx.products.update("shop", "counter", fields, revision, NOW)

    with ThreadPoolExecutor(3) as pool:
        for each in [pool.submit(count) for _ in range(3)]:
            each.result(SECONDS)
    assert shop.fields("counter").stock == 30


def test_readers_are_not_blocked_by_a_writer_and_see_only_what_is_committed(shop: Shop) -> None:
    shop.create("old")
    written, seen = threading.Event(), threading.Event()

    def write() -> None:
        with shop.records.begin(write=True) as tx:
            tx.products.create("shop", ProductFields("new"), 9, NOW)
            tx.products.delete("shop", "old", 9, NOW)
            written.set()
            assert seen.wait(SECONDS)

    with ThreadPoolExecutor(1) as pool:
        writer = pool.submit(write)
        assert written.wait(SECONDS)
        try:
            assert list(shop.products()) == ["old"]
            assert not writer.done()
        finally:
            seen.set()
        writer.result(SECONDS)
    assert list(shop.products()) == ["new"]


def test_readers_never_see_half_a_transaction(shop: Shop) -> None:
    ended = threading.Event()

    def write() -> None:
        for number in range(25):
            with shop.records.begin(write=True) as tx:
                revision = tx.catalogs.next_revision("shop")
                for half in ("a", "b"):
                    tx.products.create("shop", ProductFields(f"{half}{number}"), revision, NOW)

    def read() -> int:
        reads = 0
        while not ended.is_set():
            with shop.records.begin() as tx:
                catalog = tx.catalogs.get("shop")  # one statement counts both
            assert catalog.product_count == 2 * catalog.revision
            reads += 1
        return reads

    with ThreadPoolExecutor(3) as pool:
        readers = [pool.submit(read) for _ in range(2)]
        try:
            pool.submit(write).result(SECONDS)
        finally:
            ended.set()
        assert all(each.result(SECONDS) for each in readers)
    assert len(shop.products()) == 50


def write_half(adapter: str, folder: Path, pipe: Connection) -> None:
    """In a child: one transaction commits; the next never does."""
    with RECORD_STORES[adapter](folder) as store:
        with store.begin(write=True) as tx:
            revision = tx.catalogs.next_revision("shop")
            tx.products.create("shop", ProductFields("committed"), revision, NOW)
        with store.begin(write=True) as tx:
            revision = tx.catalogs.next_revision("shop")
            rows = [row(f"half-{number}", f"{number}") for number in range(500)]
            tx.imports.merge_rows("shop", rows, revision, NOW)
            pipe.send("written")
            time.sleep(SECONDS)


def write_on(adapter: str, folder: Path, pipe: Connection) -> None:
    """In a child: commits one product a transaction and says so after each."""
    with RECORD_STORES[adapter](folder) as store:
        while True:
            with store.begin(write=True) as tx:
                revision = tx.catalogs.next_revision("shop")
                tx.products.create("shop", ProductFields(f"p{revision}"), revision, NOW)
            pipe.send(revision)


class Killed:
    """Records with one catalogue, written by a child process that can be killed."""

    def __init__(
        self, adapter: str, folder: Path, work: Callable[[str, Path, Connection], None]
    ) -> None:
        with RECORD_STORES[adapter](folder) as store, store.begin(write=True) as tx:
            tx.models.put(MODEL, DIGEST, SPEC, NOW)
            tx.catalogs.create("shop", "Shop", MODEL, NOW)
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe(duplex=False)
        self._child = context.Process(target=work, args=(adapter, folder, theirs), daemon=True)
        self._child.start()
        theirs.close()

    def kill(self) -> None:
        assert self._child.pid
        os.kill(self._child.pid, signal.SIGKILL)
        self._child.join(SECONDS)
        assert self._child.exitcode == -signal.SIGKILL


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_a_process_killed_in_a_transaction_leaves_the_state_before_it(
    request: pytest.FixtureRequest, adapter: str, tmp_path: Path
) -> None:
    prepare(request, adapter, tmp_path)
    child = Killed(adapter, tmp_path, write_half)
    assert child.pipe.poll(SECONDS)
    assert child.pipe.recv() == "written"
    child.kill()
    with RECORD_STORES[adapter](tmp_path) as store:
        assert state(store) == (1, ["committed"])
        with store.begin(write=True) as tx:
            assert tx.catalogs.next_revision("shop") == 2


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_what_was_committed_survives_a_kill_at_any_moment(
    request: pytest.FixtureRequest, adapter: str, tmp_path: Path
) -> None:
    prepare(request, adapter, tmp_path)
    child = Killed(adapter, tmp_path, write_on)
    assert child.pipe.poll(SECONDS)
    time.sleep(random.Random(7).uniform(0.05, 0.3))
    child.kill()
    acknowledged = 0
    try:
        while child.pipe.poll():
            acknowledged = child.pipe.recv()
    except EOFError:
        pass
    with RECORD_STORES[adapter](tmp_path) as store:
        revision, products = state(store)
    assert acknowledged
    assert revision in (acknowledged, acknowledged + 1)  # it may die before it says so
    assert products == sorted(f"p{number}" for number in range(1, revision + 1))


def state(store: RecordStore) -> tuple[int, list[str]]:
    """The catalogue's revision and its products."""
    with store.begin() as tx:
        products = tx.products.page("shop", "", 100_000)
        return tx.catalogs.get("shop").revision, [each.id for each in products]
