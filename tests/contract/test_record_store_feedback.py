"""What every RecordStore promises about feedback, and about the days that photos are kept."""

from dataclasses import replace

import pytest

from services.core.domain import names
from services.core.domain.errors import NotFound
from services.core.evaluation_ports import Feedback
from tests.contract import record_stores
from tests.contract.record_stores import DIGEST, NOW, Shop, later, row, sha
from tests.contract.test_record_store_calibrations import PLAIN, put
from tests.contract.test_record_store_datasets import dataset
from tests.contract.test_record_store_evaluations import evaluation

records, shop = record_stores.records, record_stores.shop_of_records
DAY = 86_400


def feedback(photo: str = "photo", **fields: object) -> Feedback:
    """About the photo that the test calls so; later ones have greater ids."""
    made = Feedback(
        id=names.new_id(),
        catalog="shop",
        photo=sha(photo),
        product="p",
        image=sha("image"),
        right=False,
        expected="q",
        model_digest=DIGEST,
        stages="{}",
        create_time=NOW,
    )
    return replace(made, **fields)  # type: ignore[arg-type]  # the test names them


def add(shop: Shop, *made: Feedback) -> None:
    with shop.records.begin(write=True) as tx:
        for each in made:
            tx.feedback.add(each)


def expired(shop: Shop, seconds: float, limit: int = 9) -> list[Feedback]:
    with shop.records.begin() as tx:
        return tx.feedback.expired(later(seconds), limit)


def test_feedback_is_read_as_it_was_added(shop: Shop) -> None:
    kept = feedback(right=True, expected="", image="", expire_time=later(DAY))
    plain = feedback()
    add(shop, kept, plain)
    with shop.records.begin() as tx:
        assert tx.feedback.get("shop", kept.id) == kept
        assert tx.feedback.page("shop", "", 9) == [kept, plain]


def test_feedback_of_another_catalogue_is_not_found(shop: Shop) -> None:
    made = feedback()
    add(shop, made)
    for catalog, wanted in (("beside", made.id), ("shop", "none")):
        with pytest.raises(NotFound) as caught, shop.records.begin() as tx:
            tx.feedback.get(catalog, wanted)
        assert caught.value.reason == "FEEDBACK_NOT_FOUND"


def test_pages_are_oldest_first_and_of_one_catalogue(shop: Shop) -> None:
    made = [feedback() for _ in range(5)]
    add(shop, *made[::-1], feedback(catalog="beside"))
    seen: list[Feedback] = []
    with shop.records.begin() as tx:
        while page := tx.feedback.page("shop", seen[-1].id if seen else "", 2):
            assert len(page) <= 2
            seen += page
    assert seen == made


def test_photos_expire_in_the_order_of_their_times(shop: Shop) -> None:
    made = [feedback(f"{n}", expire_time=later(DAY * (3 - n))) for n in range(3)]
    add(shop, *made, feedback("unkept"))
    assert expired(shop, DAY - 1) == []
    assert expired(shop, DAY) == [made[2]]
    assert expired(shop, 9 * DAY) == made[::-1]
    assert expired(shop, 9 * DAY, 2) == made[:0:-1]


def test_a_forgotten_photo_does_not_expire_again(shop: Shop) -> None:
    made = [feedback(expire_time=later(1)) for _ in range(3)]
    add(shop, *made)
    with shop.records.begin(write=True) as tx:
        tx.feedback.forget_photos([made[0].id, made[2].id, "none"])
        tx.feedback.forget_photos([])
        assert tx.feedback.get("shop", made[0].id) == replace(made[0], expire_time=None)
    assert expired(shop, DAY) == [made[1]]


def test_a_photo_is_kept_while_any_feedback_of_its_catalogue_needs_it(shop: Shop) -> None:
    add(shop, feedback(expire_time=later(1)), feedback(expire_time=later(2)), feedback("other"))
    with shop.records.begin() as tx:
        assert tx.feedback.keeps_photo("shop", sha("photo"), later(1))
        assert not tx.feedback.keeps_photo("shop", sha("photo"), later(2))
        assert not tx.feedback.keeps_photo("beside", sha("photo"), NOW)
        assert not tx.feedback.keeps_photo("shop", sha("other"), NOW)


def test_photos_are_found_by_their_hash_in_any_catalogue(shop: Shop) -> None:
    made = [feedback(catalog=each, expire_time=later(1)) for each in ("shop", "beside")]
    add(shop, *made, feedback(), feedback("other", expire_time=later(1)))
    with shop.records.begin() as tx:
        assert tx.feedback.with_photos([sha("photo"), sha("unknown")]) == made
        assert tx.feedback.with_photos([]) == []


def test_a_catalogue_keeps_no_photos_until_it_is_told_to(shop: Shop) -> None:
    with shop.records.begin(write=True) as tx:
        before = tx.catalogs.get("shop")
        assert before.feedback_photo_days == tx.catalogs.photo_days("shop") == 0
        changed = tx.catalogs.keep_photos("shop", 30, later(5))
    assert changed == replace(before, feedback_photo_days=30, update_time=later(5))
    with shop.records.begin() as tx:
        assert tx.catalogs.get("shop") == changed
        assert tx.catalogs.photo_days("shop") == 30
        for use in (tx.catalogs.photo_days, lambda each: tx.catalogs.keep_photos(each, 1, NOW)):
            with pytest.raises(NotFound) as caught:
                use("nowhere")
            assert caught.value.reason == "CATALOG_NOT_FOUND"


def test_photos_expire_at_once_where_they_are_kept_no_longer(shop: Shop) -> None:
    Shop(shop.records, "beside")
    kept = feedback(expire_time=later(30 * DAY))
    beside = feedback(catalog="beside", expire_time=later(30 * DAY))
    add(shop, kept, beside, feedback())
    with shop.records.begin(write=True) as tx:
        tx.catalogs.keep_photos("shop", 1, later(1))
    assert expired(shop, DAY) == []  # what was promised holds
    with shop.records.begin(write=True) as tx:
        tx.catalogs.keep_photos("shop", 0, later(2))
    assert expired(shop, 2) == [replace(kept, expire_time=later(2))]


def test_all_that_was_measured_and_said_goes_with_the_catalogue_in_pieces(shop: Shop) -> None:
    beside = Shop(shop.records, "beside")
    shop.load(row("p", "x"))
    put(shop, PLAIN, replace(PLAIN, stages="{other}"), replace(PLAIN, catalog="beside"))
    add(shop, *(feedback() for _ in range(5)), feedback(catalog="beside"))
    with shop.records.begin(write=True) as tx:
        for catalog in ("shop", "beside"):
            tx.datasets.add(dataset(f"of-{catalog}", catalog=catalog))
            tx.evaluations.add(evaluation(catalog=catalog))
        tx.catalogs.mark_deleting("shop")
    removed: list[int] = []
    while not removed or removed[-1]:
        with shop.records.begin(write=True) as tx:
            removed.append(tx.catalogs.remove_rows("shop", 2))
    assert max(removed) <= 2
    assert sum(removed) == 2 + 2 + 5 + 1 + 1
    again = Shop(shop.records, "shop")
    assert again.live().calibration_version == 0
    with shop.records.begin() as tx:
        assert tx.calibrations.page("shop") == []
        assert tx.feedback.page("shop", "", 9) == []
        assert [each.id for each in tx.datasets.page("", 9)] == ["of-beside"]
        assert [each.catalog for each in tx.evaluations.page("", 9)] == ["beside"]
        assert len(tx.calibrations.page("beside")) == len(tx.feedback.page("beside", "", 9)) == 1
    assert beside.live().calibration_version == 1
