"""What an evaluation says of a model is what customers find with it."""

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image

from services.core.adapters.file_objects import FileObjects
from services.core.domain.keys import results_prefix
from services.evaluation.result_files import QueryResults, read_results
from shelflens import Client
from shelflens.values import Dataset, Evaluation, RankingStages, Rerank, SearchResponse
from tests.e2e.judging import (
    ALL,
    CATALOGS,
    MODELS,
    RERANK,
    Judged,
    evaluate,
    rank,
    search_all,
    write_queries,
)
from tests.e2e.shop import Shop, write_manifest
from tests.e2e.test_cli import Shell
from tests.e2e.test_deploys import make
from tests.local_server import LocalServer

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def calibrated(client: Client, dataset: Dataset) -> Evaluation:
    """Both models with re-ranking, which calibrates both."""
    return evaluate(client, dataset, RERANK, calibrate="isotonic")


def test_a_dataset_counts_what_it_froze(dataset: Dataset, judged: Judged) -> None:
    assert dataset.state == "SUCCEEDED", dataset
    assert dataset.query_count == len(judged.photos)
    assert dataset.gallery_count == dataset.product_count == len(judged.skus)
    assert dataset.absent_count == len(judged.photos) - len(judged.present) > 0
    assert (dataset.left_out_by_hash, dataset.left_out_near) == (0, 0)


@pytest.mark.parametrize("stages", [RankingStages(), RERANK, ALL], ids=["none", "rerank", "all"])
def test_figures_are_those_of_the_same_searches(
    client: Client, server: LocalServer, dataset: Dataset, judged: Judged, stages: RankingStages
) -> None:
    done = evaluate(client, dataset, stages)
    for number, catalog in enumerate(CATALOGS):
        answers = search_all(client, catalog, judged.present, stages)
        ranks = [rank(found, sku) for found, (_, sku) in zip(answers, judged.present, strict=True)]
        figures = done.metrics[number]
        assert figures.query_count == len(judged.present)
        assert figures.absent_count == dataset.absent_count
        for k in (1, 5, 10):
            within = _mean([0 < each <= k for each in ranks])
            assert figures.product[f"recall@{k}"].value == pytest.approx(within)
        precision = _mean([1 / each if each else 0.0 for each in ranks])
        assert figures.product["map@10"].value == pytest.approx(precision)
        assert figures.product["map@10"].low < precision < figures.product["map@10"].high
        _agree(client, _results(server, done, number), judged.present, answers)
    better = done.metrics[1].product["map@10"].value - done.metrics[0].product["map@10"].value
    assert done.differences[0].metrics["map@10"].value == pytest.approx(better)


def _agree(
    client: Client,
    results: QueryResults,
    photos: Sequence[tuple[Path, str]],
    answers: Sequence[SearchResponse],
) -> None:
    """Query by query: the same first product, with the same score and lead."""
    skus = {each.name.rpartition("/")[2]: each.sku for each in client.list_products(CATALOGS[0])}
    places = {sha256: at for at, sha256 in enumerate(results.sha256)}
    for (photo, sku), found in zip(photos, answers, strict=True):
        at = places[hashlib.sha256(photo.read_bytes()).hexdigest()]
        first, second = found.results[:2]
        assert first.sku == skus[results.first_product[at]]
        assert bool(results.right[at]) == (first.sku == sku)
        assert first.score == pytest.approx(float(results.score[at]), abs=1e-4)
        lead = first.score - second.score
        assert lead == pytest.approx(float(results.margin[at]), abs=2e-4)
        if place := rank(found, sku):
            assert place == results.rank[at]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _results(server: LocalServer, evaluation: Evaluation, number: int) -> QueryResults:
    objects = FileObjects(server.data / "objects")
    return read_results(objects, results_prefix(evaluation.name.rpartition("/")[2], number))


def test_calibration_answers_for_its_model_and_stages_alone(
    client: Client, calibrated: Evaluation, judged: Judged
) -> None:
    catalog = CATALOGS[0]
    assert calibrated.metrics[0].coverage is not None
    known = {each.name: each for each in client.list_calibrations(catalog)}
    assert {each.evaluation for each in known.values()} == {calibrated.name}
    answers = search_all(client, catalog, judged.photos, RERANK)
    for found in answers:
        assert found.verdict is not None
        assert 0 <= found.verdict.probability <= 1
        assert found.verdict.no_match == (found.verdict.probability < found.verdict.threshold)
        assert known[found.verdict.calibration].model == "models/base"
    right: list[float] = []
    wrong: list[float] = []
    for found, (_, sku) in zip(answers, judged.photos, strict=True):
        assert found.verdict is not None
        (right if rank(found, sku) == 1 else wrong).append(found.verdict.probability)
    assert _mean(right) > _mean(wrong)
    photo = judged.photos[0][0]
    for others in (RankingStages(), ALL, RankingStages(rerank=Rerank(candidates=31))):
        assert client.search(catalog, photo, stages=others).verdict is None

    make(client, "judged-gem", backbone="tf_efficientnet_lite0", pooling="gem")
    client.wait_operation(client.deploy(catalog, "judged-gem").name).raise_for_error()
    assert client.search(catalog, photo, stages=RERANK).verdict is None
    client.rollback(catalog)
    assert client.search(catalog, photo, stages=RERANK).verdict is not None


def test_the_report_is_one_file_that_asks_for_nothing(
    server: LocalServer, client: Client, calibrated: Evaluation, tmp_path: Path
) -> None:
    path = tmp_path / "report.html"
    Shell(server.target).run("evaluations", "report", calibrated.name, "-o", path)
    html = path.read_text(encoding="utf-8")
    assert html.encode() == b"".join(client.download_report(calibrated.name))
    assert "<script" not in html.lower()
    assert not re.search(r"<[^>]+\son[a-z]+\s*=", html, re.IGNORECASE)
    addresses = re.findall(r"""\b(?:src|href|action|srcset)\s*=\s*["']?([^"'\s>]+)""", html)
    assert all(each.startswith(("data:image/", "#")) for each in addresses)
    assert not re.search(r"@import|url\(|javascript:", html, re.IGNORECASE)
    assert "data:image/" in html  # of failures
    for model in MODELS:
        assert model in html


def test_images_that_are_a_query_or_its_copy_are_left_out(
    client: Client, shop: Shop, tmp_path: Path
) -> None:
    rows = shop.rows()[:8]
    same, near = shop.image(rows[0]), shop.image(rows[1])
    gallery = write_manifest(shop.root / "leaky.csv", rows)
    client.import_products("leaky", gallery).raise_for_error()
    copy = tmp_path / "copy.jpg"
    with Image.open(near) as picture:
        picture.save(copy, quality=70)
    shown = [(photo, sku) for photo, sku in shop.photos if sku in {row["sku"] for row in rows}]
    photos = [(same, rows[0]["sku"]), (copy, rows[1]["sku"]), *shown]
    queries = write_queries(tmp_path / "queries.csv", photos)

    refused = client.make_dataset("leaky-strict", "leaky", queries)
    assert (refused.state, refused.error_reason) == ("FAILED", "QUERIES_WITHOUT_PRODUCT")
    assert rows[0]["sku"] in refused.error_message

    made = client.make_dataset("leaky", "leaky", queries, allow_absent=True)
    assert (made.left_out_by_hash, made.left_out_near) == (1, 1)
    assert made.gallery_count == len(rows) - 2
    lost = {rows[0]["sku"], rows[1]["sku"]}
    assert made.absent_count == sum(sku in lost for _, sku in photos)


@pytest.mark.parametrize("allowed", [False, True])
def test_a_dataset_of_absent_products_alone_is_refused_by_name(
    client: Client, dataset: Dataset, judged: Judged, tmp_path: Path, allowed: bool
) -> None:
    absent = [each for each in judged.photos if each not in judged.present][:3]
    queries = write_queries(tmp_path / "queries.csv", absent)
    made = client.make_dataset(
        f"absent-{allowed}".lower(), CATALOGS[0], queries, allow_absent=allowed
    )
    assert (made.state, made.error_reason) == ("FAILED", "NO_RELEVANT")


def test_the_program_freezes_measures_and_shows(
    server: LocalServer, dataset: Dataset, judged: Judged, tmp_path: Path
) -> None:
    shell = Shell(server.target)
    queries = write_queries(tmp_path / "queries.csv", judged.present[:12])
    made = shell.json(
        "datasets", "create", "shelled", "--catalog", CATALOGS[0], "--queries", queries
    )
    assert (made["state"], made["query_count"], made["absent_count"]) == ("SUCCEEDED", 12, 0)
    report = tmp_path / "report.html"
    options = ["--compare", ",".join(MODELS), "--stages", "expand=3,rerank=30", "--ks", "1,3"]
    done = shell.json("evaluate", "shelled", *options, "--report", report)
    assert (done["state"], len(done["metrics"])) == ("SUCCEEDED", 2)
    assert report.read_text(encoding="utf-8").lower().startswith("<!doctype html>")
    shell.run("datasets", "delete", "shelled")
    assert shell.error("evaluate", "shelled", "--model", "base", code=3).startswith(
        "error: DATASET"
    )
