"""What every RecordStore promises about calibrations."""

from dataclasses import replace

import pytest

from services.core.domain.calibration import Calibration
from services.core.domain.errors import NotFound
from services.core.domain.stages import Expansion, Folding, Stages
from services.core.evaluation_ports import CalibrationRecord
from tests.contract import record_stores
from tests.contract.record_stores import ANOTHER_DIGEST, DIGEST, NOW, Shop, later

records, shop = record_stores.records, record_stores.shop_of_records
FITTED = Calibration(
    method="isotonic",
    intercept=0.1 + 0.2,
    score_weight=-1e-300,
    margin_weight=2.0,
    knots=((0.0, 0.0), (1 / 3, 0.5)),
    threshold=0.9,
    precision=0.95,
    queries=100,
    gallery_images=1_000,
    absent_share=0.25,
    accepted_share=0.5,
)
PLAIN = CalibrationRecord("shop", DIGEST, Stages().key, "e1", FITTED.to_dict(), NOW)
FOLDED = replace(PLAIN, stages=Stages(Expansion(), fold=Folding()).key, create_time=later(1))


def put(shop: Shop, *made: CalibrationRecord) -> int:
    """Returns the catalogue's version afterwards."""
    with shop.records.begin(write=True) as tx:
        for each in made:
            tx.calibrations.put(each)
    return shop.live().calibration_version


def test_a_calibration_answers_for_its_catalogue_model_and_stages(shop: Shop) -> None:
    Shop(shop.records, "beside")
    assert put(shop, PLAIN, FOLDED) == 2
    with shop.records.begin() as tx:
        found = tx.calibrations.current("shop", DIGEST, PLAIN.stages)
        assert found == PLAIN
        assert Calibration.from_dict(found.fitted) == FITTED
        assert tx.calibrations.current("shop", DIGEST, FOLDED.stages) == FOLDED
        assert tx.calibrations.current("shop", ANOTHER_DIGEST, PLAIN.stages) is None
        assert tx.calibrations.current("beside", DIGEST, PLAIN.stages) is None


def test_the_newest_one_answers(shop: Shop) -> None:
    put(shop, PLAIN)
    newer = replace(PLAIN, evaluation="e2", create_time=later(9))
    assert put(shop, newer) == 2
    with shop.records.begin() as tx:
        assert tx.calibrations.current("shop", DIGEST, PLAIN.stages) == newer
        assert tx.calibrations.page("shop") == [newer]


def test_a_page_is_newest_first(shop: Shop) -> None:
    Shop(shop.records, "beside")
    put(shop, PLAIN, FOLDED, replace(PLAIN, catalog="beside"))
    with shop.records.begin() as tx:
        assert tx.calibrations.page("shop") == [FOLDED, PLAIN]
        assert tx.calibrations.page("nowhere") == []


def test_every_change_counts_the_version_that_searches_read_with_the_deployment(
    shop: Shop,
) -> None:
    beside = Shop(shop.records, "beside")
    assert shop.live().calibration_version == 0
    assert [put(shop, PLAIN), put(shop, PLAIN)] == [1, 2]
    with shop.records.begin(write=True) as tx:
        tx.calibrations.remove("shop", DIGEST, PLAIN.stages)
    with shop.records.begin() as tx:
        assert tx.calibrations.current("shop", DIGEST, PLAIN.stages) is None
        assert {each.calibration_version for each in tx.deployments.targets("shop")} == {3}
    assert shop.live().calibration_version == 3
    assert beside.live().calibration_version == 0


def test_removing_what_is_gone_already_is_no_error(shop: Shop) -> None:
    put(shop, FOLDED)
    with shop.records.begin(write=True) as tx:
        tx.calibrations.remove("shop", DIGEST, PLAIN.stages)
        assert tx.calibrations.page("shop") == [FOLDED]


def test_nothing_is_calibrated_without_its_catalogue(shop: Shop) -> None:
    with shop.records.begin(write=True) as tx:
        tx.catalogs.mark_deleting("shop")
    for catalog in ("shop", "nowhere"):
        with pytest.raises(NotFound) as caught, shop.records.begin(write=True) as tx:
            tx.calibrations.put(replace(PLAIN, catalog=catalog))
        assert caught.value.reason == "CATALOG_NOT_FOUND"
        with pytest.raises(NotFound), shop.records.begin(write=True) as tx:
            tx.calibrations.remove(catalog, DIGEST, PLAIN.stages)
