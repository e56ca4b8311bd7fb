"""Leftovers of datasets, evaluations and feedback in the object store."""

from datetime import timedelta

from services.core.domain import keys, names
from tests.contract.record_stores import sha
from tests.contract.test_record_store_datasets import dataset
from tests.contract.test_record_store_evaluations import evaluation
from tests.contract.test_record_store_feedback import feedback
from tests.integration import test_orphans
from tests.integration.import_world import World
from tests.integration.test_orphans import everything, sweep

later, today = test_orphans.later, test_orphans.today


def test_files_of_datasets_and_evaluations_go_when_no_record_has_them(later: World) -> None:
    build, other, done = (names.new_id() for _ in range(3))
    kept = {
        keys.page_key(keys.dataset_prefix("shelf", build), "queries", 0),
        f"{keys.evaluation_prefix(done)}report.html",
    }
    left = {
        keys.page_key(keys.dataset_prefix("shelf", other), "queries", 0),
        keys.page_key(keys.dataset_prefix("gone", other), "gallery", 0),
        keys.failure_picture_key(keys.results_prefix(other, 0), 0),
    }
    with later.records.begin(write=True) as tx:
        tx.datasets.add(dataset("shelf", build=build))
        tx.evaluations.add(evaluation(id=done))
    for key in kept | left:
        later.objects.put(key, b"x")
    sweep(later)
    assert everything(later) == kept


def test_the_files_of_a_dataset_that_is_being_made_stay(today: World) -> None:
    key = keys.page_key(keys.dataset_prefix("shelf", names.new_id()), "queries", 0)
    today.objects.put(key, b"x")
    sweep(today)
    assert everything(today) == {key}


def test_photos_that_no_feedback_needs_go_and_no_others(later: World) -> None:
    now = later.clock.now()
    photos = {label: keys.feedback_photo_key("shop", sha(label)) for label in ("a", "b", "c")}
    with later.records.begin(write=True) as tx:
        tx.feedback.add(feedback("a", expire_time=now + timedelta(days=1)))
        tx.feedback.add(feedback("b"))
    for key in photos.values():
        later.objects.put(key, b"x")
    sweep(later)
    assert everything(later) == {photos["a"]}
