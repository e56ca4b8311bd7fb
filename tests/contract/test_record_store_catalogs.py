"""What every RecordStore promises about catalogues."""

import pytest

from services.core.domain.errors import AlreadyExists, NotFound
from services.core.record_ports import RecordStore
from tests.contract import record_stores
from tests.contract.record_stores import DIGEST, MODEL, NOW, SPEC, Shop, later, row

records, shop = record_stores.records, record_stores.shop_of_records


def test_a_new_catalogue_is_empty_and_has_its_models_deployment(records: RecordStore) -> None:
    with records.begin(write=True) as tx:
        made = tx.catalogs.create("shop", "Läden 🛒", MODEL, NOW)
    with records.begin() as tx:
        assert tx.catalogs.get("shop") == made
        deployment = tx.catalogs.deployment("shop")
    assert (made.id, made.display_name, made.revision) == ("shop", "Läden 🛒", 0)
    assert (made.product_count, made.image_count, made.index_time) == (0, 0, None)
    assert (made.create_time, made.update_time, made.deleting) == (NOW, NOW, False)
    assert (made.model, made.model_digest) == (MODEL, DIGEST)
    assert (deployment.catalog, deployment.model, deployment.model_digest) == (
        "shop", MODEL, DIGEST,
    )  # fmt: skip
    assert (deployment.dimension, deployment.distance) == (8, "cosine")
    assert deployment.collection == made.collection
    assert deployment.index_time is None


def test_an_id_that_is_taken_is_refused_and_nothing_changes(shop: Shop) -> None:
    with (
        pytest.raises(AlreadyExists) as caught,
        shop.records.begin(write=True) as tx,
    ):
        tx.catalogs.create("shop", "Another", MODEL, NOW)
    assert caught.value.reason == "CATALOG_EXISTS"
    with shop.records.begin() as tx:
        assert tx.catalogs.get("shop").display_name == "Shop"


def test_a_catalogue_needs_a_model_that_is_known(records: RecordStore) -> None:
    with pytest.raises(NotFound) as caught, records.begin(write=True) as tx:
        tx.catalogs.create("shop", "Shop", "unknown", NOW)
    assert caught.value.reason == "MODEL_NOT_FOUND"


def test_a_catalogue_that_is_not_there_is_not_found_everywhere(records: RecordStore) -> None:
    with records.begin(write=True) as tx:
        for use in (
            tx.catalogs.get,
            tx.catalogs.deployment,
            tx.catalogs.next_revision,
            lambda catalog: tx.catalogs.rename(catalog, "New", NOW),
        ):
            with pytest.raises(NotFound) as caught:
                use("gone")
            assert caught.value.reason == "CATALOG_NOT_FOUND"


def test_pages_follow_the_order_of_ids_and_end(records: RecordStore) -> None:
    ids = ["a", "a-b", "a1", "b", "z9"]
    for each in reversed(ids):
        Shop(records, each)
    seen: list[str] = []
    with records.begin() as tx:
        while page := tx.catalogs.page(seen[-1] if seen else "", 2):
            assert len(page) <= 2
            seen += [each.id for each in page]
    assert sorted(seen) == sorted(ids)
    assert len(seen) == len(ids)


def test_a_rename_changes_the_name_and_the_time_alone(shop: Shop) -> None:
    with shop.records.begin(write=True) as tx:
        before = tx.catalogs.get("shop")
        renamed = tx.catalogs.rename("shop", "Neu ✓", later(5))
    with shop.records.begin() as tx:
        assert tx.catalogs.get("shop") == renamed
    assert (renamed.display_name, renamed.update_time) == ("Neu ✓", later(5))
    assert (renamed.create_time, renamed.collection) == (before.create_time, before.collection)


def test_the_time_of_the_last_searchable_change_is_kept_by_catalogue(shop: Shop) -> None:
    Shop(shop.records, "other")
    with shop.records.begin(write=True) as tx:
        tx.catalogs.indexed("shop", later(3))
        assert tx.catalogs.get("shop").index_time == later(3)
        assert tx.catalogs.deployment("shop").index_time == later(3)
        assert tx.catalogs.deployment("other").index_time is None


def test_counts_are_those_of_live_products_and_searchable_images(shop: Shop) -> None:
    other = Shop(shop.records, "other")
    other.load(row("p", "x"))
    shop.load(row("p", "x", "y"), row("q", "z"), row("r", "pending"))
    shop.indexed(shop.plan("p", "q"))
    shop.delete("q")
    with shop.records.begin() as tx:
        found = tx.catalogs.get("shop")
        assert (found.product_count, found.image_count) == (2, 2)
        assert tx.catalogs.get("other").image_count == 0


def test_a_catalogue_that_is_being_deleted_is_hidden_and_keeps_its_id(shop: Shop) -> None:
    Shop(shop.records, "other")
    with shop.records.begin(write=True) as tx:
        tx.catalogs.mark_deleting("shop")
    with shop.records.begin(write=True) as tx:
        for use in (tx.catalogs.get, tx.catalogs.deployment, tx.catalogs.next_revision):
            with pytest.raises(NotFound):
                use("shop")
        assert [each.id for each in tx.catalogs.page("", 9)] == ["other"]
        with pytest.raises(AlreadyExists):
            tx.catalogs.create("shop", "Shop", MODEL, NOW)


def test_rows_are_removed_in_pieces_and_one_made_again_gets_another_collection(
    shop: Shop,
) -> None:
    other = Shop(shop.records, "other")
    for each in (shop, other):
        each.load(*(row(f"p{n}", f"{n}a", f"{n}b") for n in range(7)))
    shop.delete("p3")
    with shop.records.begin(write=True) as tx:
        collection = tx.catalogs.deployment("shop").collection
        tx.catalogs.mark_deleting("shop")
    removed: list[int] = []
    while not removed or removed[-1]:
        with shop.records.begin(write=True) as tx:
            removed.append(tx.catalogs.remove_rows("shop", 4))
    assert max(removed) <= 4
    assert sum(removed) == 7 * 2 + 7

    again = Shop(shop.records, "shop")
    assert again.products() == {}
    assert again.revision() == 1
    assert again.create("p3").image_count == 0
    with shop.records.begin() as tx:
        assert tx.catalogs.deployment("shop").collection != collection
    assert len(other.products()) == 7
    assert all(each.image_count == 2 for each in other.products().values())


def test_removing_the_rows_of_no_catalogue_removes_nothing(records: RecordStore) -> None:
    with records.begin(write=True) as tx:
        assert tx.catalogs.remove_rows("gone", 10) == 0


def test_a_catalogue_says_whether_its_embeddings_come_from_outside(shop: Shop) -> None:
    with shop.records.begin(write=True) as tx:
        spec = {"external": True, "embedding_dim": 3, "distance": "cosine"}
        tx.models.put("outside", "e" * 64, spec, later(1))
        made = tx.catalogs.create("new", "", "outside", later(2))
        assert (made.dimension, made.external) == (3, True)
        old = tx.catalogs.get("shop")
        assert (old.dimension, old.external) == (SPEC["embedding_dim"], False)
