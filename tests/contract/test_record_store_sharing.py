"""What every RecordStore promises to several processes: here, stores of their own on one place."""

import multiprocessing
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from services.core.domain.catalog import ProductFields
from services.core.record_ports import RecordStore
from services.core.work_ports import Shard, ShardState, Stage
from tests.contract.record_stores import (
    ADAPTERS,
    DIGEST,
    MODEL,
    NOW,
    RECORD_STORES,
    SPEC,
    Shop,
    later,
    prepare,
    row,
    sha,
)

SECONDS = 60.0
Stores = list[RecordStore]


@pytest.fixture(params=ADAPTERS)
def adapter(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    prepare(request, request.param, tmp_path)
    return str(request.param)


@pytest.fixture
def stores(adapter: str, tmp_path: Path) -> Iterator[Stores]:
    """Three, with a catalogue `shop`."""
    with ExitStack() as opened:
        made = [opened.enter_context(RECORD_STORES[adapter](tmp_path)) for _ in range(3)]
        with made[0].begin(write=True) as tx:
            tx.models.put(MODEL, DIGEST, SPEC, NOW)
            tx.catalogs.create("shop", "Shop", MODEL, NOW)
        yield made


def write_in_child(adapter: str, folder: Path, pipe: Connection) -> None:
    """In a child: takes 40 revisions, and every shard that it can lease beside each."""
    with RECORD_STORES[adapter](folder) as store:
        pipe.send("ready")
        pipe.recv()
        revisions, leased = [], []
        for window in range(1, 41):
            with store.begin(write=True) as tx:
                revisions.append(tx.catalogs.next_revision("shop"))
                leased += tx.shards.lease("o", window, NOW, later(9), [Stage.INGEST])
        pipe.send((revisions, [each.sequence for each in leased]))


def test_processes_never_get_the_same_revision_nor_lease_the_same_shard(
    adapter: str, stores: Stores, tmp_path: Path
) -> None:
    with stores[0].begin(write=True) as tx:
        tx.shards.add([Shard("o", n, Stage.INGEST, ShardState.READY, {"n": n}) for n in range(40)])
    context = multiprocessing.get_context("spawn")
    pipes, children = [], []
    for _ in range(2):
        ours, theirs = context.Pipe()
        child = context.Process(target=write_in_child, args=(adapter, tmp_path, theirs))
        child.start()
        theirs.close()
        pipes.append(ours)
        children.append(child)
    for pipe in pipes:
        assert pipe.poll(SECONDS)
        assert pipe.recv() == "ready"
    for pipe in pipes:
        pipe.send("go")
    assert all(pipe.poll(SECONDS) for pipe in pipes)
    found = [pipe.recv() for pipe in pipes]
    for child in children:
        child.join(SECONDS)
    assert sorted(n for revisions, _ in found for n in revisions) == list(range(1, 81))
    assert sorted(n for _, leased in found for n in leased) == list(range(40))


def test_stores_that_merge_rows_of_one_product_lose_none(stores: Stores) -> None:
    start = threading.Barrier(3)

    def merge(number: int) -> None:
        start.wait(SECONDS)
        for at in range(10):
            with stores[number].begin(write=True) as tx:
                revision = tx.catalogs.next_revision("shop")
                tx.imports.merge_rows("shop", [row("a", f"{number}-{at}")], revision, NOW)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(merge, range(3)))
    with stores[0].begin() as tx:
        images = {each.sha256 for each in tx.products.page_images("shop", "a", "", 99)}
    assert images == {sha(f"{number}-{at}") for number in range(3) for at in range(10)}


def test_a_transaction_that_reads_sees_one_state_whatever_is_written_meanwhile(
    stores: Stores,
) -> None:
    reader, writer = stores[:2]
    with reader.begin() as tx:
        before = tx.catalogs.get("shop")
        with writer.begin(write=True) as other:
            revision = other.catalogs.next_revision("shop")
            other.products.create("shop", ProductFields("new"), revision, NOW)
        assert tx.catalogs.get("shop") == before
        assert tx.products.page("shop", "", 9) == []
    with reader.begin() as tx:
        assert [each.id for each in tx.products.page("shop", "", 9)] == ["new"]


def test_a_transaction_that_writes_sees_what_was_committed_while_it_waited(
    stores: Stores,
) -> None:
    inside, go = threading.Event(), threading.Event()

    def first() -> None:
        with stores[0].begin(write=True) as tx:
            tx.products.create("shop", ProductFields("first"), 1, NOW)
            inside.set()
            assert go.wait(SECONDS)

    def second() -> list[str]:
        assert inside.wait(SECONDS)
        threading.Timer(0.2, go.set).start()
        with stores[1].begin(write=True) as tx:
            return [each.id for each in tx.products.page("shop", "", 9)]

    with ThreadPoolExecutor(2) as pool:
        one, two = pool.submit(first), pool.submit(second)
        assert two.result(SECONDS) == ["first"]
        one.result(SECONDS)


def test_a_request_that_two_stores_get_at_once_is_answered_once(stores: Stores) -> None:
    start = threading.Barrier(3)

    def call(number: int) -> bytes:
        start.wait(SECONDS)
        with stores[number].begin(write=True) as tx:
            known = tx.requests.find("Rpc", "id", "digest")
            if known is None:
                known = str(tx.catalogs.next_revision("shop")).encode()
                tx.requests.remember("Rpc", "id", "digest", known, NOW)
        return known

    with ThreadPoolExecutor(3) as pool:
        assert set(pool.map(call, range(3))) == {b"1"}


def test_texts_are_paged_in_the_order_of_their_bytes(stores: Stores) -> None:
    ids = ["a", "a-a", "a0", "aa", "a-b", "b", "ab", "1", "a1-1", "a11"]
    with stores[0].begin(write=True) as tx:
        for each in ids:
            tx.products.create("shop", ProductFields(each), 1, NOW)
    paged, after = [], ""
    with stores[1].begin() as tx:
        while page := tx.products.page("shop", after, 3):
            paged += [each.id for each in page]
            after = paged[-1]
    assert paged == sorted(ids)


def test_texts_that_no_database_takes_are_stored_without_what_it_refuses(stores: Stores) -> None:
    shop = Shop(stores[0], "other")
    rows = row("a", "x", attributes={"k\0": "v\0"})
    strange = type(rows)(**{
        name: getattr(rows, name) for name in ("row", "fields", "given", "sha256s")
    } | {"sources": ("a\0b\ud800.jpg",)})  # fmt: skip
    shop.load(strange)
    assert [each.source for each in shop.images("a").values()] == ["ab?.jpg"]
    assert shop.fields("a").attributes == {"k\0": "v\0"}


def test_questions_about_more_hashes_than_a_statement_has_parameters_are_answered(
    stores: Stores,
) -> None:
    many = [f"{n:064x}" for n in range(70_000)]
    with stores[0].begin(write=True) as tx:
        tx.embeddings.add(DIGEST, "key", many[-2:])
        tx.embeddings.refuse({many[0]: "BAD"})
        tx.embeddings.settle("o", {})
        assert tx.embeddings.known(DIGEST, many) == set(many[-2:])
        assert tx.embeddings.refusals(many) == {many[0]: "BAD"}
        assert tx.embeddings.settled("o", many) == {}
        assert tx.erasing.shown(many) == set()


def test_rows_of_a_catalogue_that_is_not_being_deleted_are_never_removed(stores: Stores) -> None:
    with stores[0].begin(write=True) as tx:
        tx.products.create("shop", ProductFields("a"), 1, NOW)
        assert tx.catalogs.remove_rows("shop", 100) == 0
        assert tx.catalogs.get("shop").product_count == 1


def test_shards_whose_lease_has_ended_are_found(stores: Stores) -> None:
    states = [ShardState.IN_FLIGHT, ShardState.IN_FLIGHT, ShardState.REPORTED]
    shards = [
        Shard("o", n, Stage.INGEST, state, {"n": n}, lease_until=later(n))
        for n, state in enumerate(states)
    ]
    with stores[0].begin(write=True) as tx:
        tx.shards.add(shards)
    with stores[1].begin() as tx:
        assert tx.shards.expired(later(0)) == []
        assert tx.shards.expired(later(0.5)) == shards[:1]
        assert tx.shards.expired(later(9)) == shards[:2]
