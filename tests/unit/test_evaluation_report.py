"""Reports of evaluations over a real object store, with pictures that are really decoded."""

import base64
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from services.core.adapters.file_objects import FileObjects
from services.core.domain import keys
from services.core.domain.errors import DataLoss, InvalidArgument, NotFound
from services.core.domain.evaluation import Difference
from services.core.domain.stages import Expansion, Stages
from services.core.evaluation_messages import ReportEvaluation
from services.evaluation.report import Reporter
from services.evaluation.report.failures import failures_of
from services.evaluation.report.pictures import MAP_SIDE, PHOTO_SIDE, Pictures
from services.imaging.decode_pool import DecodePool
from tests.unit.report_world import OPTIONS, ReportWorld, photo, png, results, sha256_of

HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=alert(1)> &amp;"


@pytest.fixture
def world(tmp_path: Path) -> ReportWorld:
    return ReportWorld(FileObjects(tmp_path / "objects"))


def page_of(world: ReportWorld, message: ReportEvaluation) -> str:
    Reporter(world.objects).report(message)
    return world.objects.get(message.report).decode()


class Tags(HTMLParser):
    """The elements of a page, and the addresses that they name."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.sources: list[str] = []
        self.handlers: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]
        self.handlers += [name for name, _ in attrs if name.startswith("on")]


def pictures_in(page: str) -> list[Image.Image]:
    found = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', page)
    return [Image.open(io.BytesIO(base64.b64decode(each))) for each in found]


def test_differences_are_paired_and_against_the_first_model(world: ReportWorld) -> None:
    worse, better = results(accuracy=0.4), results(accuracy=0.8, seed=1)
    world.add(worse)
    world.add(better)
    world.add(worse)
    outcome = Reporter(world.objects).report(world.message())
    first, second = map(Difference.from_dict, outcome.differences)
    assert [(each.baseline, each.model) for each in (first, second)] == [(0, 1), (0, 2)]
    assert set(first.metrics) == {
        f"{name}@{k}" for name in ("map", "mar", "mar_ceiling", "mp", "recall") for k in (1, 5)
    }
    paired = better.metrics["product/map@5"] - worse.metrics["product/map@5"]
    found = first.metrics["map@5"]
    assert found.value == pytest.approx(np.nanmean(paired))
    assert found.low <= found.value <= found.high
    assert {(each.value, each.low, each.high) for each in second.metrics.values()} == {(0, 0, 0)}


def test_the_summary_holds_the_figures_as_they_were_measured(world: ReportWorld) -> None:
    for accuracy in (0.4, 0.7):
        world.add(results(accuracy=accuracy))
    message = world.message(digests=("a" * 64, "b" * 64), dataset_counts={"left_out_near": 3})
    outcome = Reporter(world.objects).report(message)
    summary = json.loads(world.objects.get(message.summary))
    assert summary["differences"] == json.loads(json.dumps(outcome.differences))
    assert [each["digest"] for each in summary["models"]] == ["a" * 64, "b" * 64]
    metrics = json.loads(world.objects.get(f"{world.prefixes[1]}metrics.json"))
    assert summary["models"][1]["metrics"] == metrics
    assert summary["dataset"] == "datasets/held-out"
    assert summary["counts"]["queries"] == 60
    assert summary["counts"]["left_out_near"] == 3
    assert summary["options"]["resamples"] == OPTIONS.resamples


def test_a_repeated_report_has_the_same_bytes(world: ReportWorld) -> None:
    world.dataset()
    world.photos()
    for accuracy in (0.4, 0.7):
        world.add(results(accuracy=accuracy, calibrated=True))
    message = world.message()
    assert page_of(world, message) == page_of(world, message)


def test_the_report_needs_no_script_and_asks_for_nothing(world: ReportWorld) -> None:
    world.dataset()
    world.photos()
    world.add(results(calibrated=True))
    world.add(results(accuracy=0.8, calibrated=True))
    page = page_of(world, world.message())
    tags = Tags(page)
    assert not {"script", "link", "iframe", "object"} & set(tags.names)
    assert tags.sources
    assert all(each.startswith("data:image/jpeg;base64,") for each in tags.sources)
    assert "default-src 'none'; img-src data:; style-src 'unsafe-inline'" in page
    assert "url(" not in page
    assert "@import" not in page


def test_every_chart_has_a_name_of_its_own(world: ReportWorld) -> None:
    for accuracy in (0.4, 0.7, 0.8):
        world.add(results(accuracy=accuracy, calibrated=True))
    page = page_of(world, world.message())
    ids = re.findall(r'id="([^"]+)"', page)
    assert len(ids) == len(set(ids)) > 10
    for each in ("Scores of the first", "Reliability", "Precision and recall", "By category"):
        assert each in page


def test_hostile_names_stay_text(world: ReportWorld) -> None:
    world.dataset(title=HOSTILE, sku=HOSTILE)
    hostile = results(accuracy=0.3)
    world.add(replace(hostile, category=[HOSTILE] * len(hostile)))
    world.add(replace(hostile, category=[HOSTILE, "b"] * (len(hostile) // 2)))
    world.add(hostile)
    message = world.message(
        title=HOSTILE, models=(HOSTILE,) * 3, digests=(HOSTILE,) * 3, stages=Stages().key
    )
    page = page_of(world, message)
    tags = Tags(page)
    assert "script" not in tags.names
    assert tags.handlers == []
    assert "<script" not in page.lower()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_a_failure_shows_both_photos_the_map_and_both_names(world: ReportWorld) -> None:
    world.dataset(title="Cola")
    world.photos()
    found = results(accuracy=0.3)
    world.add(found)
    worst = failures_of(found, OPTIONS.failures)
    assert len(worst) == 3
    world.objects.put(keys.failure_picture_key(world.prefixes[0], 1), png())
    page = page_of(world, world.message())
    shown = pictures_in(page)
    assert len(shown) == 7
    sides = [max(each.size) for each in shown]
    assert (sides.count(PHOTO_SIDE), sides.count(MAP_SIDE)) == (6, 1)
    assert all(min(each.size) < max(each.size) for each in shown)  # nothing fills a square
    for each in worst:
        number = each.product.removeprefix("product-")
        assert f"Cola {number}<" in page
        assert f"SKU-{number}<" in page


def test_the_surest_wrong_answers_come_first() -> None:
    found = results(200, accuracy=0.3, calibrated=True)
    worst = failures_of(found, 50)
    assert len(worst) == 24
    sure = [each.probability or 0.0 for each in worst]
    assert sure == sorted(sure, reverse=True)
    wrong = ~found.right & ~found.absent
    assert sure[0] == found.probability[wrong].max()


def test_pictures_that_are_missing_or_damaged_leave_a_note(world: ReportWorld) -> None:
    found = results(accuracy=0.3)
    world.add(found)
    first, second, _ = failures_of(found, OPTIONS.failures)
    world.objects.put(keys.image_key(first.query), photo("another one"))
    truncated = photo("query-0")[:200]
    assert second.query != sha256_of("query-0")
    world.objects.put(keys.failure_picture_key(world.prefixes[0], 0), truncated)
    world.objects.put(keys.failure_picture_key(world.prefixes[0], 1), b"<svg onload=alert(1)>")
    page = page_of(world, world.message())
    assert pictures_in(page) == []
    assert page.count("no query photo to show") == 3
    assert page.count("no first result to show") == 3
    assert "onload" not in page


def test_pictures_stop_at_the_budget(world: ReportWorld) -> None:
    world.photos(20, 0)
    names = [sha256_of(f"query-{number}") for number in range(20)]
    with DecodePool(1, reserved=0) as pool:
        (one,) = Pictures(world.objects, pool).photos(names[:1])
        assert one is not None
        shown = list(Pictures(world.objects, pool, budget=5 * len(one)).photos(names))
    assert [each is not None for each in shown] == [True] * 5 + [False] * 15


def test_one_model_alone_has_a_report(world: ReportWorld) -> None:
    world.add(results())
    message = world.message(stages=Stages(expand=Expansion()).key)
    assert Reporter(world.objects).report(message).differences == ()
    page = world.objects.get(message.report).decode()
    assert "Differences" not in page
    assert "expand (neighbours 5" in page


def test_a_model_without_failures_says_so(world: ReportWorld) -> None:
    world.add(results(accuracy=2.0))
    assert "every product that is in the gallery was found first" in page_of(world, world.message())


def test_results_of_other_queries_are_not_compared(world: ReportWorld) -> None:
    world.add(results(60))
    world.add(results(59))
    with pytest.raises(DataLoss) as refused:
        Reporter(world.objects).report(world.message())
    assert refused.value.reason == "RESULTS_DIFFER"


def test_missing_results_are_told(world: ReportWorld) -> None:
    world.add(results())
    message = world.message()
    world.objects.delete(f"{world.prefixes[0]}metrics.json")
    with pytest.raises(NotFound):
        Reporter(world.objects).report(message)
    assert world.objects.size(message.report) is None


def test_a_message_whose_lists_do_not_fit_is_refused(world: ReportWorld) -> None:
    world.add(results())
    for changes in ({"models": ()}, {"models": ("a", "b")}, {"digests": ("a", "b")}):
        with pytest.raises(InvalidArgument) as refused:
            Reporter(world.objects).report(world.message(**changes))
        assert refused.value.reason == "BAD_MESSAGE"


def test_a_message_survives_the_queue(world: ReportWorld) -> None:
    world.add(results())
    sent = world.message(dataset_counts={"left_out_by_hash": 2}, digests=("d" * 64,))
    received = ReportEvaluation.from_json(json.loads(json.dumps(sent.to_json())))
    assert "same file as a query" in page_of(world, received)
