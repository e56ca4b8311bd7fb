"""What every RecordStore promises about the deployments of catalogues."""

import random
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from services.core.deployment_ports import DeploymentState
from services.core.domain.errors import FailedPrecondition, NotFound
from services.core.record_ports import Records
from tests.contract import record_stores
from tests.contract.record_stores import (
    ANOTHER,
    ANOTHER_DIGEST,
    DIGEST,
    MODEL,
    NOW,
    Shop,
    later,
    row,
)

records, shop = record_stores.records, record_stores.shop_of_two_models
STORAGE: dict[str, Any] = {"quantization": "int8", "on_disk": True}
BUILDING, LIVE, KEPT, GONE = DeploymentState
_USES: list[Callable[[Records, str, int], object]] = [
    lambda tx, catalog, number: tx.deployments.get(catalog, number),
    lambda tx, catalog, number: tx.deployments.switch(catalog, number, NOW),
    lambda tx, catalog, number: tx.deployments.remove(catalog, number),
    lambda tx, catalog, number: tx.deployments.note_comparison(catalog, number, 1, 1, 1.0),
    lambda tx, catalog, number: tx.deployments.note_gate(catalog, number, {}),
]


def test_a_catalogue_starts_with_one_live_deployment(shop: Shop) -> None:
    first = shop.live()
    assert (first.number, first.state, first.switch_time) == (1, LIVE, NOW)
    assert (first.storage, first.comparison, first.comparing) == ({}, {}, 0)
    assert (first.tenant, first.shared) == ("", False)
    assert (first.gate, first.calibration_version) == ({}, 0)
    with shop.records.begin() as tx:
        assert tx.deployments.get("shop", 1) == first
        assert tx.deployments.page("shop", None, 9) == tx.deployments.targets("shop") == [first]


def test_an_added_one_is_built_beside_the_live_one_in_a_collection_of_its_own(shop: Shop) -> None:
    before = shop.live()
    made = shop.deploy(**STORAGE)
    assert (made.catalog, made.number, made.state) == ("shop", 2, BUILDING)
    assert (made.model, made.model_digest) == (ANOTHER, ANOTHER_DIGEST)
    assert (made.dimension, made.distance) == (16, "euclidean")
    assert (made.create_time, made.switch_time, made.index_time) == (later(1), None, None)
    assert (made.storage, made.comparison, made.shared) == (STORAGE, {}, False)
    assert made.collection != before.collection
    with shop.records.begin() as tx:
        assert tx.deployments.get("shop", 2) == made
        assert tx.catalogs.deployment("shop") == before
        assert tx.catalogs.get("shop").model_digest == DIGEST


def test_the_model_that_is_live_can_be_deployed_again_elsewhere(shop: Shop) -> None:
    again = shop.deploy(MODEL)
    assert (again.model_digest, again.number) == (DIGEST, 2)
    assert again.collection != shop.live().collection


def test_one_deployment_of_a_catalogue_is_built_at_a_time(shop: Shop) -> None:
    beside = Shop(shop.records, "beside")
    shop.deploy()
    with pytest.raises(FailedPrecondition) as caught:
        shop.deploy(MODEL)
    assert caught.value.reason == "DEPLOY_RUNNING"
    assert "catalogs/shop/deployments/2" in caught.value.message
    assert beside.deploy().number == 2
    shop.undeploy(2)
    assert shop.deploy().number == 3  # numbers never come back
    shop.switch(3)
    assert shop.deploy().number == 4
    assert shop.states() == {4: BUILDING, 3: LIVE, 2: GONE, 1: KEPT}


def test_nothing_is_added_without_its_catalogue_and_its_model(shop: Shop) -> None:
    Shop(shop.records, "ending")
    with shop.records.begin(write=True) as tx:
        tx.catalogs.mark_deleting("ending")
        for catalog, model, reason in (
            ("nowhere", ANOTHER, "CATALOG_NOT_FOUND"),
            ("ending", ANOTHER, "CATALOG_NOT_FOUND"),
            ("shop", "unknown", "MODEL_NOT_FOUND"),
        ):
            with pytest.raises(NotFound) as caught:
                tx.deployments.add(catalog, model, {}, NOW)
            assert caught.value.reason == reason
    assert shop.states() == {1: LIVE}
    assert Shop(shop.records, "nowhere").states() == {1: LIVE}  # as of any new one


def test_a_switch_makes_it_live_and_keeps_what_was(shop: Shop) -> None:
    first, made = shop.live(), shop.deploy()
    switched = shop.switch(2, 5)
    assert switched == replace(made, state=LIVE, switch_time=later(5))
    assert shop.live() == switched
    with shop.records.begin() as tx:
        assert tx.deployments.get("shop", 1) == replace(first, state=KEPT)
        found = tx.catalogs.get("shop")
    assert (found.model, found.model_digest) == (ANOTHER, ANOTHER_DIGEST)
    assert (found.dimension, found.collection) == (16, made.collection)


def test_a_switch_back_and_forth_ends_where_it_began_but_for_the_times(shop: Shop) -> None:
    first = shop.live()
    shop.deploy()
    shop.switch(2, 5)
    assert shop.switch(1, 6) == replace(first, switch_time=later(6))
    assert shop.states() == {2: KEPT, 1: LIVE}
    with shop.records.begin() as tx:
        assert tx.deployments.get("shop", 2).switch_time == later(5)


def test_a_switch_made_twice_leaves_the_same_deployments(shop: Shop) -> None:
    shop.deploy()
    shop.switch(2)
    before = shop.states()
    assert shop.switch(2).state is LIVE
    assert shop.states() == before == {2: LIVE, 1: KEPT}


def test_a_switch_that_fails_half_way_changes_nothing(shop: Shop) -> None:
    shop.deploy()

    def half() -> None:
        with shop.records.begin(write=True) as tx:
            tx.deployments.switch("shop", 2, NOW)
            raise KeyError

    with pytest.raises(KeyError):
        half()
    assert shop.states() == {2: BUILDING, 1: LIVE}
    assert shop.live().number == 1


def test_what_is_gone_cannot_be_switched_to(shop: Shop) -> None:
    shop.deploy()
    shop.undeploy(2)
    with pytest.raises(FailedPrecondition) as caught:
        shop.switch(2)
    assert caught.value.reason == "DEPLOYMENT_NOT_KEPT"
    assert shop.live().number == 1
    assert shop.states() == {2: GONE, 1: LIVE}


def test_a_deployment_is_gone_after_its_removal_and_stays_on_record(shop: Shop) -> None:
    made = shop.deploy()
    assert shop.undeploy(2) == replace(made, state=GONE)
    assert shop.undeploy(2).state is GONE
    shop.deploy()
    shop.switch(3)
    assert shop.undeploy(1).state is GONE
    assert shop.states() == {3: LIVE, 2: GONE, 1: GONE}


def test_what_came_of_a_gate_stays_with_its_deployment(shop: Shop) -> None:
    made, gate = shop.deploy(), {"metric": "map@10", "difference": -0.25, "overridden": True}
    with shop.records.begin(write=True) as tx:
        tx.deployments.note_gate("shop", 2, gate)
        assert tx.deployments.get("shop", 2) == replace(made, gate=gate)
        assert tx.deployments.get("shop", 1).gate == {}
    assert shop.switch(2).gate == gate


def test_the_live_deployment_cannot_be_removed(shop: Shop) -> None:
    with pytest.raises(FailedPrecondition) as caught:
        shop.undeploy(1)
    assert caught.value.reason == "DEPLOYMENT_LIVE"
    assert shop.states() == {1: LIVE}


def test_pages_of_deployments_are_newest_first_and_end(shop: Shop) -> None:
    Shop(shop.records, "beside")
    for number in range(2, 8):
        shop.deploy()
        shop.undeploy(number)
    seen: list[int] = []
    with shop.records.begin() as tx:
        while page := tx.deployments.page("shop", seen[-1] if seen else None, 3):
            assert len(page) <= 3
            assert page == [tx.deployments.get("shop", each.number) for each in page]
            seen += [each.number for each in page]
        assert tx.deployments.page("shop", 1, 3) == []
        assert tx.deployments.page("nowhere", None, 3) == []
    assert seen == [7, 6, 5, 4, 3, 2, 1]


def test_writes_go_to_the_live_deployment_and_then_to_the_others_newest_first(shop: Shop) -> None:
    for number in (2, 3, 4):
        shop.deploy()
        shop.switch(number)
    shop.switch(2)
    shop.undeploy(3)
    shop.deploy()
    with shop.records.begin() as tx:
        found = tx.deployments.targets("shop")
        assert [(each.number, each.state) for each in found] == [
            (2, LIVE), (5, BUILDING), (4, KEPT), (1, KEPT),
        ]  # fmt: skip
        assert found[0] == tx.catalogs.deployment("shop")
        assert tx.deployments.targets("nowhere") == []


def test_a_number_that_is_not_there_is_not_found_everywhere(shop: Shop) -> None:
    Shop(shop.records, "beside").deploy()
    for use in _USES:
        with pytest.raises(NotFound) as caught, shop.records.begin(write=True) as tx:
            use(tx, "shop", 2)
        assert caught.value.reason == "DEPLOYMENT_NOT_FOUND"
        assert "catalogs/shop/deployments/2" in caught.value.message


def test_a_catalogue_that_is_being_deleted_has_no_deployments(shop: Shop) -> None:
    Shop(shop.records, "beside")
    shop.deploy()
    with shop.records.begin(write=True) as tx:
        tx.catalogs.mark_deleting("shop")
    for use in _USES:
        with pytest.raises(NotFound), shop.records.begin(write=True) as tx:
            use(tx, "shop", 2)
    with shop.records.begin() as tx:
        assert tx.deployments.page("shop", None, 9) == tx.deployments.targets("shop") == []
        assert tx.deployments.using(ANOTHER_DIGEST) == []
        assert [each.catalog for each in tx.deployments.using(DIGEST)] == ["beside"]
        assert tx.deployments.serving() == [DIGEST]


def test_the_deployments_of_a_catalogue_go_with_its_rows_and_no_others(shop: Shop) -> None:
    beside = Shop(shop.records, "beside")
    for each in (shop, beside):
        each.load(row("a", "x"))
        each.deploy()
    collections = {shop.live().collection, *(each.collection for each in shop.targets())}
    with shop.records.begin(write=True) as tx:
        tx.catalogs.mark_deleting("shop")
    removed = 1
    while removed:
        with shop.records.begin(write=True) as tx:
            removed = tx.catalogs.remove_rows("shop", 10)
    again = Shop(shop.records, "shop")
    assert again.states() == {1: LIVE}
    assert beside.states() == {2: BUILDING, 1: LIVE}
    assert len(collections) == 2
    assert again.live().collection not in collections


def test_whatever_happens_one_is_live_at_most_one_is_built_and_targets_are_what_is_not_gone(
    shop: Shop,
) -> None:
    chance = random.Random(7)
    met: set[DeploymentState] = set()
    for _ in range(80):
        number = chance.randint(1, max(shop.states()))
        events: list[Callable[[], object]] = [
            shop.deploy,
            partial(shop.switch, number),
            partial(shop.undeploy, number),
        ]
        try:
            chance.choice(events)()
        except FailedPrecondition:
            continue
        now = shop.states()
        met |= set(now.values())
        assert [each for each, state in now.items() if state is LIVE] == [shop.live().number]
        assert list(now.values()).count(BUILDING) <= 1
        others = [each for each, state in now.items() if state not in (LIVE, GONE)]
        assert [each.number for each in shop.targets()] == [shop.live().number, *others]
    assert met == set(DeploymentState)
