"""What every RecordStore promises about erasing, and about exports."""

import pytest

from services.core.content_ports import EmbeddingFile
from services.core.domain.errors import NotFound
from services.core.domain.operations import OperationKind, OperationState
from services.core.record_ports import RecordStore
from services.core.work_ports import Shard, ShardState, Stage
from tests.contract import record_stores
from tests.contract.record_stores import DIGEST, MODEL, NOW, Shop, hashes, row, sha

records, shop = record_stores.records, record_stores.shop_of_records
X, Y, Z = sha("x"), sha("y"), sha("z")


def test_remains_of_a_product_include_its_tombstones(shop: Shop) -> None:
    shop.load(row("a", "x", "y"))
    shop.delete_image("a", "x")
    with shop.records.begin() as tx:
        whole = tx.erasing.remains("shop", "a", "")
        one = tx.erasing.remains("shop", "a", X)
    assert (set(whole.sha256s), whole.live, whole.sku) == ({X, Y}, 1, "a")
    assert set(whole.sources) == {"x.jpg", "y.jpg"}
    assert (one.sha256s, one.sources, one.live) == ((X,), ("x.jpg",), 0)


def test_what_never_was_cannot_be_erased(shop: Shop) -> None:
    shop.load(row("a", "x"))
    with shop.records.begin() as tx:
        for product, sha256, reason in (
            ("b", "", "PRODUCT_NOT_FOUND"),
            ("a", Y, "IMAGE_NOT_FOUND"),
            ("b", X, "IMAGE_NOT_FOUND"),
        ):
            with pytest.raises(NotFound) as caught:
                tx.erasing.remains("shop", product, sha256)
            assert caught.value.reason == reason


def test_an_image_is_shown_while_any_product_of_any_living_catalogue_has_it(shop: Shop) -> None:
    shop.load(row("a", "x", "y", "z"))
    other, ending = Shop(shop.records, "other"), Shop(shop.records, "ending")
    other.load(row("b", "y"))
    ending.load(row("c", "z"))
    shop.delete("a")
    with shop.records.begin(write=True) as tx:
        tx.catalogs.mark_deleting("ending")
    with shop.records.begin() as tx:
        assert tx.erasing.shown([X, Y, Z]) == {Y}
        assert tx.erasing.shown([]) == set()


def test_moved_rows_are_those_of_the_new_object_and_the_others_have_none(shop: Shop) -> None:
    shop.load(row("a", "x", "y", "z"))
    shop.embed("x", "y", "z", key="embeddings/old")
    with shop.records.begin(write=True) as tx:
        (file,) = tx.erasing.files_of([X, Z])
        assert (file.key, file.digest) == ("embeddings/old", DIGEST)
        assert tx.erasing.rows_of(file, [X, Y, sha("w")]) == {X: 0, Y: 1}
        tx.erasing.move(file, "embeddings/new", [Y, Z], [X])
    assert shop.places("x", "y", "z") == {Y: ("embeddings/new", 0), Z: ("embeddings/new", 1)}
    with shop.records.begin(write=True) as tx:
        assert tx.embeddings.known(DIGEST, [X, Y, Z]) == {Y, Z}
        (moved,) = tx.erasing.files_of([X, Y, Z])
        assert moved.id == file.id
        assert tx.erasing.known_files(["embeddings/old", moved.key]) == {"embeddings/new"}
        tx.erasing.move(moved, "embeddings/none", [], [Y, Z])
        assert tx.erasing.files_of([X, Y, Z]) == []
        assert tx.export.key(file.id) == ""


def test_a_forgotten_file_leaves_the_embeddings_of_other_files(shop: Shop) -> None:
    shop.load(row("a", "x", "y"))
    shop.embed("x", key="embeddings/one")
    shop.embed("y", key="embeddings/two")
    with shop.records.begin(write=True) as tx:
        (file,) = tx.erasing.files_of([X])
        tx.erasing.forget_file(file)
        assert tx.embeddings.known(DIGEST, [X, Y]) == {Y}


def test_scrubbing_empties_tombstones_and_leaves_what_lives(shop: Shop) -> None:
    shop.load(row("SKU A", "x", "y", title="Tea"), row("b", "z", title="Cola"))
    product = next(each for each in shop.products() if each != "b")
    shop.delete_image(product, "x")
    with shop.records.begin(write=True) as tx:
        tx.erasing.scrub("shop", product, [X, Y])
        tx.erasing.scrub("shop", "b", [Z])
    assert shop.images(product)[Y].source == "y.jpg"
    assert (shop.fields(product).title, shop.fields("b").title) == ("Tea", "Cola")
    assert shop.images("b")[Z].source == "z.jpg"
    shop.delete(product)
    with shop.records.begin(write=True) as tx:
        tx.erasing.scrub("shop", product, [X, Y])
        remains = tx.erasing.remains("shop", product, "")
    assert (remains.sku, remains.sources, set(remains.sha256s)) == (product, (), {X, Y})


def test_a_scrubbed_tombstone_still_stops_an_older_import(shop: Shop) -> None:
    older = shop.revision()
    shop.load(row("a", "x"))
    shop.delete("a")
    with shop.records.begin(write=True) as tx:
        tx.erasing.scrub("shop", "a", [X])
    assert len(shop.merge(older, row("a", "x")).superseded) == 1
    assert shop.products() == {}
    shop.load(row("a", "x", title="Tea"))
    assert (shop.fields("a").title, set(shop.images("a"))) == ("Tea", {X})


def test_claims_are_read_in_pages(records: RecordStore) -> None:
    with records.begin(write=True) as tx:
        tx.embeddings.claim("one", [X, Y, Z])
        tx.embeddings.claim("two", [sha("w")])
        first = tx.erasing.claimed("one", "", 2)
        assert first + tx.erasing.claimed("one", first[-1], 2) == sorted([X, Y, Z])


def test_forgotten_refusals_are_judged_anew(records: RecordStore) -> None:
    with records.begin(write=True) as tx:
        tx.embeddings.refuse({X: "IMAGE_TRUNCATED", Y: "IMAGE_TRUNCATED"})
        tx.erasing.forget_refusals([X])
        assert tx.embeddings.refusals([X, Y]).keys() == {Y}


def test_under_way_is_what_a_worker_may_hold_and_nothing_that_is_done(shop: Shop) -> None:
    with shop.records.begin(write=True) as tx:
        made = tx.operations.create(OperationKind.IMPORT, "shop", 1, {}, NOW).id
        places = (
            (Stage.MANIFEST, ShardState.IN_FLIGHT),
            (Stage.INGEST, ShardState.READY),
            (Stage.INGEST, ShardState.IN_FLIGHT),
            (Stage.EMBED, ShardState.READY),
            (Stage.INDEX, ShardState.REPORTED),
            (Stage.DONE, ShardState.IN_FLIGHT),
        )
        tx.shards.add(
            [
                Shard(made, at, stage, state, {"id": f"m{at}"} | _hashes(stage))
                for at, (stage, state) in enumerate(places)
            ]
        )
        found = tx.erasing.under_way()
        operation = tx.operations.get(made)
        operation.state = OperationState.FAILED
        tx.operations.save(operation)
        assert tx.erasing.under_way() == []
    assert {(each.sequence, each.stage, each.message, each.sha256s) for each in found} == {
        (2, Stage.INGEST, "m2", ()),
        (3, Stage.EMBED, "m3", (X,)),
        (4, Stage.INDEX, "m4", ()),
    }


def _hashes(stage: Stage) -> dict[str, list[str]]:
    return {"sha256s": [X]} if stage is Stage.EMBED else {}


def test_an_export_has_every_searchable_image_once_a_product(shop: Shop) -> None:
    shop.load(row("a", "x", "y"), row("b", "y", "z"), row("c", "w"))
    Shop(shop.records, "other").load(row("d", "x"))
    shop.embed("x", "y", key="embeddings/one")
    shop.embed("z", "w", key="embeddings/two")
    shop.indexed(shop.plan("a", "b"))  # c stays pending
    shop.delete_image("b", "z")
    with shop.records.begin() as tx:
        (file,) = tx.export.files("shop", DIGEST, 0, 10)
        assert tx.export.key(file) == "embeddings/one"
        rows = tx.export.rows("shop", DIGEST, file, sorted(hashes("x", "y", "z", "w")))
        assert tx.export.files("shop", DIGEST, file, 10) == []
        assert tx.export.files("shop", "e" * 64, 0, 10) == []
    assert [(each.product, each.sha256, each.row) for each in rows] == [
        ("a", X, 0),
        ("a", Y, 1),
        ("b", Y, 1),
    ]


def test_a_file_that_nobody_knows_has_no_rows(records: RecordStore) -> None:
    with records.begin(write=True) as tx:
        tx.models.put(MODEL, DIGEST, {}, NOW)
        assert tx.erasing.rows_of(EmbeddingFile(99, "k", DIGEST), [X]) == {}
        assert tx.export.key(99) == ""
