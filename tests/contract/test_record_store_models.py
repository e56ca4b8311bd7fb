"""What every RecordStore promises about models."""

import pytest

from services.core.deployment_ports import ModelRecord
from services.core.domain.errors import NotFound
from services.core.domain.model import LinearSpec, Member, Model
from services.core.domain.model_spec import ModelSpec
from services.core.record_ports import RecordStore
from tests.contract import record_stores
from tests.contract.record_stores import DIGEST, MODEL, NOW, SPEC, Shop, later, sha

records, shop = record_stores.records, record_stores.shop_of_records
NEW = "e" * 64
WIDER = SPEC | {"embedding_dim": 16}


def embedder(backbone: str) -> ModelSpec:
    return ModelSpec(
        backbone=backbone, weights_sha256="a" * 64, embedding_dim=8, resize=8, crop=8,
        mean=(0.5, 0.5, 0.5), std=(0.2, 0.2, 0.2), precision="fp32",
    )  # fmt: skip


ONE, TWO = embedder("one"), embedder("two")
DUO = Model((Member(ONE, LinearSpec("b" * 64, 8, 4)), Member(TWO)))


def test_a_models_spec_comes_back_as_it_was_put(records: RecordStore) -> None:
    with records.begin() as tx:
        assert tx.models.spec(DIGEST) == SPEC
        assert tx.models.named(MODEL) == SPEC
        assert tx.models.get(MODEL) == ModelRecord(MODEL, DIGEST, SPEC, NOW)


def test_notes_come_back_in_their_order(records: RecordStore) -> None:
    with records.begin(write=True) as tx:
        tx.models.put("noted", NEW, SPEC, later(1), ["b: ignored ✓", "a: renamed"])
    with records.begin() as tx:
        assert tx.models.get("noted") == ModelRecord(
            "noted", NEW, SPEC, later(1), ("b: ignored ✓", "a: renamed")
        )


def test_a_model_that_is_not_there_is_not_found_everywhere(records: RecordStore) -> None:
    with records.begin(write=True) as tx:
        assert tx.models.named("unknown") is None
        for use, what in ((tx.models.get, "unknown"), (tx.models.remove, "unknown"),
                          (tx.models.spec, NEW)):  # fmt: skip
            with pytest.raises(NotFound) as caught:
                use(what)
            assert caught.value.reason == "MODEL_NOT_FOUND"
            assert what in caught.value.message


def test_a_model_with_a_new_digest_serves_new_catalogues_only(shop: Shop) -> None:
    with shop.records.begin(write=True) as tx:
        tx.models.put(MODEL, NEW, WIDER, later(1), ["new"])
    Shop(shop.records, "new")
    with shop.records.begin() as tx:
        new, old = tx.catalogs.deployment("new"), tx.catalogs.deployment("shop")
        assert (new.model_digest, new.dimension) == (NEW, 16)
        assert (old.model_digest, old.dimension) == (DIGEST, 8)
        assert (tx.models.named(MODEL), tx.models.spec(DIGEST)) == (WIDER, SPEC)
        assert tx.models.get(MODEL) == ModelRecord(MODEL, NEW, WIDER, later(1), ("new",))
        assert len(tx.models.page("", 9)) == 1


def test_a_name_can_go_back_to_a_digest_that_it_had(records: RecordStore) -> None:
    with records.begin(write=True) as tx:
        tx.models.put(MODEL, NEW, WIDER, later(1))
        tx.models.put(MODEL, DIGEST, SPEC, later(2))
        assert tx.models.get(MODEL) == ModelRecord(MODEL, DIGEST, SPEC, later(2))
        assert tx.models.spec(NEW) == WIDER


def test_a_model_put_twice_is_one_model_as_it_was_first(records: RecordStore) -> None:
    with records.begin(write=True) as tx:
        tx.models.put("noted", NEW, SPEC, later(1), ["kept"])
        tx.models.put("noted", NEW, SPEC, later(2))
        assert tx.models.get("noted") == ModelRecord("noted", NEW, SPEC, later(1), ("kept",))
        assert [each.name for each in tx.models.page("", 9)] == [MODEL, "noted"]


def test_two_names_of_one_digest_are_two_models_with_the_same_parts(shop: Shop) -> None:
    with shop.records.begin(write=True) as tx:
        tx.models.put("twin", DIGEST, SPEC, later(1), ["a twin"])
        tx.catalogs.create("new", "", "twin", NOW)
        assert tx.models.get("twin") == ModelRecord("twin", DIGEST, SPEC, later(1), ("a twin",))
        assert tx.models.get(MODEL).notes == ()
        assert tx.catalogs.get("new").model == "twin"
        tx.models.remove(MODEL)
        assert tx.models.named(MODEL) is None
        assert tx.models.named("twin") == SPEC
        assert tx.catalogs.get("shop").model == MODEL


def test_pages_of_models_follow_the_order_of_names_and_end(records: RecordStore) -> None:
    names = ["a", "a-b", "a1", "b", "z9"]
    with records.begin(write=True) as tx:
        tx.models.remove(MODEL)
        for number, each in enumerate(reversed(names)):
            tx.models.put(each, f"{number:064x}", SPEC, later(number))
    seen: list[str] = []
    with records.begin() as tx:
        while page := tx.models.page(seen[-1] if seen else "", 2):
            assert len(page) <= 2
            assert page == [tx.models.get(each.name) for each in page]
            seen += [each.name for each in page]
    assert seen == sorted(names)


def test_a_removed_name_is_free_and_what_it_stood_for_serves_on(shop: Shop) -> None:
    with shop.records.begin(write=True) as tx:
        tx.models.remove(MODEL)
    with shop.records.begin(write=True) as tx:
        assert tx.models.page("", 9) == []
        for use in (
            lambda: tx.models.remove(MODEL),
            lambda: tx.catalogs.create("new", "", MODEL, NOW),
            lambda: tx.deployments.add("shop", MODEL, {}, NOW),
        ):
            with pytest.raises(NotFound) as caught:
                use()
            assert caught.value.reason == "MODEL_NOT_FOUND"
        assert tx.models.spec(DIGEST) == SPEC
        assert tx.catalogs.get("shop").model_digest == DIGEST
        assert tx.deployments.serving() == [DIGEST]
        tx.models.put(MODEL, NEW, WIDER, later(1))
        assert tx.models.named(MODEL) == WIDER


def test_the_embedders_of_a_composed_model_are_known_by_their_own_digests(
    records: RecordStore,
) -> None:
    with records.begin(write=True) as tx:
        tx.models.put("duo", DUO.digest, DUO.to_dict(), NOW)
        assert [each.name for each in tx.models.page("", 9)] == ["duo", MODEL]
        tx.models.remove("duo")  # names nobody's parts
    with records.begin() as tx:
        assert Model.from_dict(tx.models.spec(DUO.digest)) == DUO
        for each in (ONE, TWO):
            assert Model.from_dict(tx.models.spec(each.digest)) == Model.plain(each)


def test_an_embedder_keeps_its_name_when_it_becomes_part_of_another_model(
    records: RecordStore,
) -> None:
    with records.begin(write=True) as tx:
        tx.models.put("one", ONE.digest, ONE.to_dict(), NOW, ["first"])
        tx.models.put("duo", DUO.digest, DUO.to_dict(), later(1))
        tx.models.put("two", TWO.digest, TWO.to_dict(), later(2))  # was only a part until now
        one, two = tx.models.get("one"), tx.models.get("two")
        assert (one.digest, one.create_time, one.notes) == (ONE.digest, NOW, ("first",))
        assert (two.digest, two.create_time) == (TWO.digest, later(2))
        assert Model.from_dict(two.spec) == Model.plain(TWO)
        assert tx.models.get("duo").digest == DUO.digest


def test_what_a_part_has_embedded_is_found_for_erasing(records: RecordStore) -> None:
    with records.begin(write=True) as tx:
        tx.models.put("duo", DUO.digest, DUO.to_dict(), NOW)
        tx.embeddings.add(TWO.digest, "embeddings/two", [sha("x")])
        (file,) = tx.erasing.files_of([sha("x")])
    assert (file.key, file.digest) == ("embeddings/two", TWO.digest)


def test_a_catalogue_of_a_composed_model_has_the_dimension_of_the_whole(
    records: RecordStore,
) -> None:
    with records.begin(write=True) as tx:
        tx.models.put("duo", DUO.digest, DUO.to_dict(), NOW)
        made = tx.catalogs.create("shop", "", "duo", NOW)
        live = tx.catalogs.deployment("shop")
    assert (made.model_digest, made.dimension, made.external) == (DUO.digest, 12, False)
    assert (live.dimension, live.distance) == (12, "cosine")
