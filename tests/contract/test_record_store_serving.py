"""What every RecordStore promises about the models that serve, and their comparison."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from services.core.domain import names
from services.core.record_ports import RecordStore
from tests.contract import record_stores
from tests.contract.record_stores import ANOTHER_DIGEST, DIGEST, NOW, SPEC, Shop, later, sha

records, shop = record_stores.records, record_stores.shop_of_two_models


def test_a_model_is_used_by_all_its_deployments_that_are_not_gone(shop: Shop) -> None:
    for name in ("beside", "far"):
        Shop(shop.records, name)
    shop.deploy()
    shop.switch(2)
    Shop(shop.records, "third").deploy()
    fourth = Shop(shop.records, "fourth")
    fourth.deploy()
    fourth.undeploy(2)

    def using(digest: str) -> set[tuple[str, int]]:
        with shop.records.begin() as tx:
            found = tx.deployments.using(digest)
            assert all(each == tx.deployments.get(each.catalog, each.number) for each in found)
        assert len(found) == len({(each.catalog, each.number) for each in found})
        return {(each.catalog, each.number) for each in found}

    assert using(ANOTHER_DIGEST) == {("shop", 2), ("third", 2)}
    assert using(DIGEST) == {(name, 1) for name in ("shop", "beside", "far", "third", "fourth")}
    assert using("f" * 64) == set()


def test_models_to_have_loaded_are_told_once_those_of_live_deployments_first(shop: Shop) -> None:
    def put(name: str) -> str:
        digest = name[0] * 64
        with shop.records.begin(write=True) as tx:
            tx.models.put(name, digest, SPEC, NOW)
        return digest

    built, gone, kept = put("0 built"), put("1 gone"), put("2 kept")
    beside, third = Shop(shop.records, "beside"), Shop(shop.records, "third")
    shop.deploy("2 kept")
    shop.switch(2)
    shop.switch(1)
    shop.deploy("0 built")
    beside.deploy("1 gone")
    beside.undeploy(2)
    third.deploy("2 kept")
    with shop.records.begin() as tx:
        assert tx.deployments.serving() == [DIGEST, built, kept]
        assert gone not in tx.deployments.serving()
    shop.switch(2)
    with shop.records.begin() as tx:
        found = tx.deployments.serving()
    assert set(found[:2]) == {DIGEST, kept}
    assert found[2:] == [built]


def test_no_deployment_means_nothing_to_serve(records: RecordStore) -> None:
    with records.begin() as tx:
        assert tx.deployments.serving() == []


def test_all_deployments_of_a_catalogue_tell_when_it_last_changed_in_search(shop: Shop) -> None:
    shop.deploy()
    with shop.records.begin(write=True) as tx:
        tx.catalogs.indexed("shop", later(7))
    assert [each.index_time for each in shop.targets()] == [later(7), later(7)]


def test_searches_are_compared_until_that_is_ended(shop: Shop) -> None:
    beside = Shop(shop.records, "beside")
    shop.deploy()
    shop.compare(2)
    assert [each.comparing for each in shop.targets()] == [2, 2]
    assert (shop.live().comparing, beside.live().comparing) == (2, 0)
    shop.compare(0)
    assert shop.live().comparing == 0


def test_a_switch_ends_the_comparison(shop: Shop) -> None:
    shop.deploy()
    shop.compare(2)
    assert shop.switch(2).comparing == 0
    assert shop.live().comparing == 0


def test_the_removal_of_what_is_compared_ends_the_comparison_and_no_other_does(
    shop: Shop,
) -> None:
    shop.deploy()
    shop.switch(2)
    shop.deploy()
    shop.compare(3)
    shop.undeploy(1)
    assert shop.live().comparing == 3
    assert shop.undeploy(3).comparing == 0
    assert shop.live().comparing == 0


def test_a_comparison_is_the_mean_of_all_its_searches(shop: Shop) -> None:
    shop.deploy()

    def note(searches: int, same: int, overlap: float) -> Mapping[str, Any]:
        with shop.records.begin(write=True) as tx:
            tx.deployments.note_comparison("shop", 2, searches, same, overlap)
            return tx.deployments.get("shop", 2).comparison

    assert note(0, 0, 0.0) == {}
    assert note(10, 8, 7.5) == {"searches": 10, "same_first": 0.8, "overlap_at_10": 0.75}
    assert note(30, 15, 20.0) == pytest.approx(
        {"searches": 40, "same_first": 23 / 40, "overlap_at_10": 27.5 / 40}
    )
    before = note(0, 0, 0.0)
    assert before["searches"] == 40
    for _ in range(60):
        after = note(1, 1, 1.0)
    assert after == pytest.approx(
        {"searches": 100, "same_first": 83 / 100, "overlap_at_10": 87.5 / 100}
    )
    assert shop.live().comparison == {}
    assert shop.switch(2).comparison == after


def test_workers_are_those_that_told_their_models_since_then(records: RecordStore) -> None:
    with records.begin(write=True) as tx:
        tx.deployments.note_worker("one", [ANOTHER_DIGEST, DIGEST], later(0))
        tx.deployments.note_worker("two", [], later(5))
    with records.begin() as tx:
        assert tx.deployments.workers(later(0)) == {"one": (ANOTHER_DIGEST, DIGEST), "two": ()}
        assert tx.deployments.workers(later(0.5)) == {"two": ()}
        assert tx.deployments.workers(later(6)) == {}


def test_a_worker_has_the_models_that_it_told_last(records: RecordStore) -> None:
    with records.begin(write=True) as tx:
        tx.deployments.note_worker("one", [DIGEST], later(0))
        tx.deployments.note_worker("one", [ANOTHER_DIGEST], later(5))
        assert tx.deployments.workers(later(1)) == {"one": (ANOTHER_DIGEST,)}


def test_a_worker_that_told_nothing_for_a_day_is_forgotten(records: RecordStore) -> None:
    day = 24 * 3600
    with records.begin(write=True) as tx:
        tx.deployments.note_worker("old", [DIGEST], later(0))
        tx.deployments.note_worker("young", [DIGEST], later(1))
        tx.deployments.note_worker("new", [DIGEST], later(day + 0.5))
        assert tx.deployments.workers(later(0)).keys() == {"young", "new"}


def test_points_are_named_by_the_tenant_where_a_collection_is_shared(shop: Shop) -> None:
    own, x = shop.live(), sha("x")
    assert own.point_id("a", x) == names.point_id("shop", "a", x)
    shared = replace(own, tenant="shop.2")
    assert shared.shared
    assert shared.point_id("a", x) == names.point_id("shop.2", "a", x)
