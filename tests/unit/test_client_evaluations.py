"""Datasets, evaluations, calibrations, feedback and stages of a search, as users type them."""

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest

from shelflens import Client, values
from shelflens.aio import AsyncClient
from shelflens.cli.ranking import read_stages, stages_text
from shelflens.errors import InvalidArgument
from shelflens.v1 import evaluation_pb2, search_pb2
from tests.unit.client_server_evaluations import REPORT
from tests.unit.client_shell import Said, Shell
from tests.unit.test_client_server import MemoryServer, serving

VAL = "datasets create val --catalog shop --queries"


@pytest.fixture
def server() -> MemoryServer:
    return MemoryServer()


@pytest.fixture
def target(server: MemoryServer) -> Iterator[str]:
    with serving(server) as target:
        yield target


@pytest.fixture
def shell(
    target: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Shell:
    monkeypatch.setenv("SHELFLENS_TARGET", target)
    monkeypatch.chdir(tmp_path)
    return lambda line: Said(capsys, line)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    (tmp_path / "a.jpg").write_bytes(b"good a")
    (tmp_path / "b.jpg").write_bytes(b"good b")
    path = tmp_path / "photos.csv"
    path.write_text("image,sku\na.jpg,A-1\nb.jpg,B-2\n")
    return path


@pytest.fixture
def shop(shell: Shell, photos: Path) -> Path:
    """A catalogue with two products, and the manifest that they came from."""
    assert shell(f"import shop {photos}").code == 0
    return photos


def test_query_photos_are_uploaded_as_for_an_import_but_no_product_is(
    shell: Shell, server: MemoryServer, photos: Path
) -> None:
    shell("catalogs create shop")
    said = shell(f"{VAL} {photos} --allow-absent")
    assert said.code == 0, said.err
    (request,) = server.frozen
    lines = server.manifests[request.queries].decode().splitlines()
    assert len(lines) == 2
    assert (request.catalog, request.allow_absent) == ("catalogs/shop", True)
    assert (request.display_name, len(server.contents)) == ("photos.csv", 2)
    assert "ImportProducts" not in server.calls
    assert "gallery: 20 images of 5 products" in said.out
    assert "2 that are a query, 1 that look like a query's copy" in said.out


def test_a_dataset_makes_no_catalogue(shell: Shell, server: MemoryServer, photos: Path) -> None:
    said = shell(f"{VAL} {photos}")
    assert (said.code, server.catalogs) == (3, {})
    assert "catalogs/shop does not exist" in said.err


def test_a_dataset_that_failed_is_an_error_with_its_reason(
    shell: Shell, server: MemoryServer, shop: Path
) -> None:
    server.failure = "NO_RELEVANT"
    said = shell(f"{VAL} {shop}")
    assert said.code == 1
    assert "NO_RELEVANT" in said.err
    assert "it is not good" in said.err
    assert "error: NO_RELEVANT" in shell("datasets show val").out


def test_datasets_are_listed_and_deleted(shell: Shell, shop: Path) -> None:
    shell(f"{VAL} {shop}")
    assert shell("datasets list").out.split("\t")[:3] == [
        "datasets/val",
        "catalogs/shop",
        "SUCCEEDED",
    ]
    assert shell("datasets delete val").code == 0
    assert shell("datasets list --json").json == []
    assert shell("datasets show val").code == 3


def test_models_are_compared_watched_and_reported(
    shell: Shell, server: MemoryServer, shop: Path, tmp_path: Path
) -> None:
    shell(f"{VAL} {shop}")
    line = "evaluate val --compare base,strong --stages expand=3,rerank --ks 1,10 --classifier"
    said = shell(f"{line} --calibrate platt --precision 0.9 --report {tmp_path}/r.html")
    assert said.code == 0, said.err
    (request,) = server.asked
    assert list(request.models) == ["models/base", "models/strong"]
    assert (request.stages.expand.neighbours, request.stages.rerank.k1) == (3, 8)
    assert not request.stages.HasField("fold")
    options = request.options
    assert (list(options.ks), options.classifier) == ([1, 10], True)
    assert (options.calibrate, options.precision) == ("platt", 0.9)
    assert "evaluations/e0: embedding\nevaluations/e0: searching" in said.err
    assert "map@10       0.6250 (0.5000 to 0.7500)" in said.out
    assert "map@10       -0.1250 (-0.2500 to +0.0000)" in said.out
    assert (tmp_path / "r.html").read_bytes() == REPORT


def test_a_report_has_a_name_of_its_own_unless_one_is_given(
    shell: Shell, shop: Path, tmp_path: Path
) -> None:
    shell(f"{VAL} {shop}")
    said = shell("evaluate val --model base --json")
    assert said.json["metrics"][0]["product"]["recall@1"]["low"] == 0.25
    assert (tmp_path / "evaluation-e0.html").read_bytes() == REPORT
    assert shell("evaluations report e0 -o again.html").code == 0
    assert (tmp_path / "again.html").read_bytes() == REPORT


def test_an_evaluation_that_is_not_waited_for_can_be_watched_later(
    shell: Shell, server: MemoryServer, shop: Path
) -> None:
    shell(f"{VAL} {shop}")
    said = shell("evaluate val --model base --no-wait")
    assert "shelflens evaluations watch evaluations/e0" in said.err
    assert shell("evaluations report e0").code == 1
    server.down = 2
    assert "recall@1" in shell("evaluations watch e0").out
    assert shell("evaluations list").out.split("\t")[1] == "SUCCEEDED"
    assert shell("evaluations cancel e0").code == 0
    assert shell("evaluations delete e0").code == 0
    assert shell("evaluations show e0").code == 3


def test_a_failed_evaluation_leaves_no_report_behind(
    shell: Shell, server: MemoryServer, shop: Path, tmp_path: Path
) -> None:
    shell(f"{VAL} {shop}")
    server.failure = "GALLERY_TOO_LARGE"
    said = shell("evaluate val --model base")
    assert said.code == 1
    assert "GALLERY_TOO_LARGE" in said.err
    assert not list(tmp_path.glob("*.html"))


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ("", "give --model or --compare"),
        ("--model base --compare a,b", "give --model or --compare"),
        ("--model base --ks 1,x", "is no list of ranks"),
        ("--model base --stages magic", "'magic' is none of"),
        ("--model base --stages expand=x", "'x' is no number"),
        ("--model base --stages fold,fold", "names fold twice"),
    ],
)
def test_what_cannot_be_meant_is_wrong_usage(shell: Shell, options: str, wanted: str) -> None:
    said = shell(f"evaluate val {options}")
    assert said.code == 2
    assert wanted in said.err


def test_stages_are_told_as_they_are_typed() -> None:
    typed = "expand=3,rerank=100,fold=0.98,diversify=0.5"
    assert stages_text(read_stages(typed)) == typed
    assert stages_text(read_stages("expand, rerank")) == "expand=5,rerank=200"
    assert stages_text(read_stages("")) == "none"
    with pytest.raises(InvalidArgument):
        read_stages("rerank=many")


def test_calibrations_are_listed_and_deleted(shell: Shell, server: MemoryServer) -> None:
    name = "catalogs/shop/calibrations/c1"
    server.calibrations[name] = evaluation_pb2.Calibration(
        name=name, model="models/base", method="platt", threshold=0.5, query_count=60
    )
    assert shell("calibrations list shop").out.split("\t")[:2] == [name, "models/base"]
    assert shell(f"calibrations delete {name}").code == 0
    assert shell("calibrations list shop --json").json == []


def test_a_search_goes_through_the_stages_that_were_asked_for(
    shell: Shell, server: MemoryServer, shop: Path, tmp_path: Path
) -> None:
    server.verdict = search_pb2.Verdict(probability=0.4, no_match=True, threshold=0.9)
    photo, other = tmp_path / "a.jpg", tmp_path / "b.jpg"
    line = f"search shop {photo} --expand 5 --rerank --fold --diversify --budget-ms 80"
    said = shell(f"{line} --also {other} --explain")
    assert said.code == 0, said.err
    sent = server.searches[-1]
    assert (sent.stages.expand.neighbours, sent.stages.rerank.candidates) == (5, 200)
    assert sent.stages.HasField("fold")
    assert (sent.latency_budget_ms, sent.explain_results) == (80, 3)
    assert list(sent.more_photos) == [b"good b"]
    assert said.out.splitlines()[0].split("\t")[:2] == ["0.5000", "0.2500"]
    assert "no match: the first result is right with 40% (accepted from 90%)" in said.err
    assert "skipped to stay within the budget: diversify" in said.err
    assert "warning: the gallery has grown" in said.err
    pictures = sorted((tmp_path / "explain-a").iterdir())
    assert [each.name[:3] for each in pictures] == ["01-", "02-"]
    assert pictures[0].read_bytes() == b"\x89PNG"


def test_without_stages_a_search_asks_for_none(
    shell: Shell, server: MemoryServer, shop: Path, tmp_path: Path
) -> None:
    said = shell(f"search shop {tmp_path / 'a.jpg'} --json")
    assert said.json["feedback_token"] == "token-1"
    assert said.json["verdict"] is None
    sent = server.searches[-1]
    assert not sent.HasField("stages")
    assert (sent.explain_results, len(sent.more_photos)) == (0, 0)


def test_feedback_is_recorded_listed_and_exported(
    shell: Shell, server: MemoryServer, shop: Path, tmp_path: Path
) -> None:
    a, b = tmp_path / "a.jpg", tmp_path / "b.jpg"
    record = "feedback record shop token-1 --product"
    assert shell(f"{record} A-1 --right --photo {a}").code == 0
    assert shell(f"{record} A-1 --wrong --expected B-2 --photo {b}").code == 0
    assert shell(f"{record} A-1 --wrong").code == 0
    assert [line.split("\t")[1] for line in shell("feedback list shop").out.splitlines()] == [
        "yes", "no", "no",
    ]  # fmt: skip
    folder = tmp_path / "said"
    said = shell(f"feedback export shop {folder}")
    assert said.code == 0, said.err
    with (folder / "queries.csv").open() as file:
        queries = list(csv.DictReader(file))
    assert [each["sku"] for each in queries] == ["A-1", "B-2"]
    assert (folder / queries[0]["image"]).read_bytes() == b"good a"
    with (folder / "pairs.csv").open() as file:
        pairs = [(each["sku"], each["right"]) for each in csv.DictReader(file)]
    assert pairs == [("A-1", "1"), ("A-1", "0"), ("B-2", "1")]
    assert shell(f"feedback export shop {folder}").code == 2


def test_a_catalogue_can_keep_photos_of_feedback(shell: Shell, shop: Path) -> None:
    assert shell("catalogs update shop").code == 2
    said = shell("catalogs update shop --feedback-photo-days 30 --json")
    assert (said.json["feedback_photo_days"], said.json["display_name"]) == (30, "")


def test_a_gate_goes_with_a_deploy(shell: Shell, server: MemoryServer, shop: Path) -> None:
    shell("models create strong --backbone resnet50")
    said = shell(
        "deploy shop strong --gate val --metric recall@1 --min-difference -0.01 --override"
    )
    assert said.code == 0, said.err
    gate = server.deployed[-1].gate
    assert (gate.dataset, gate.metric, gate.override) == ("datasets/val", "recall@1", True)
    assert gate.minimum_difference == -0.01
    assert shell("deploy shop strong --override").code == 2


async def test_the_async_client_measures_and_watches_too(
    target: str, server: MemoryServer, photos: Path
) -> None:
    with Client(target) as client:
        client.create_catalog("shop")
    async with AsyncClient(target) as client:
        made = await client.make_dataset("val", "shop", photos)
        assert (made.done, made.query_count) == (True, 8)
        stages = values.RankingStages(fold=values.Fold(0.95))
        begun = await client.create_evaluation("val", ["base"], stages=stages)
        seen = [each.step async for each in client.watch_evaluation(begun.name)]
        assert seen == ["embedding", "searching", ""]
        pieces = [each async for each in client.download_report(begun.name)]
    assert b"".join(pieces) == REPORT
    assert server.asked[0].stages.fold.similarity == 0.95
