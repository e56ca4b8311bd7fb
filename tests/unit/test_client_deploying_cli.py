"""`shelflens deploy`, `rollback`, `deployments`, and operations of models, as users type it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from shelflens.cli.watching import Watch
from shelflens.v1 import models_pb2 as pb
from shelflens.values import FillProgress, Operation
from tests.unit.client_shell import Said, Shell
from tests.unit.test_client_server import MemoryServer, serving
from tests.waiting import eventually

SHELFLENS = [sys.executable, "-c", "from shelflens.cli.main import main; main()"]
STRONG = "models create strong --backbone convnext_base.fb_in22k --pooling gem"


@pytest.fixture
def server() -> MemoryServer:
    return MemoryServer()


@pytest.fixture
def shell(
    server: MemoryServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Shell]:
    with serving(server) as target:
        monkeypatch.setenv("SHELFLENS_TARGET", target)
        yield lambda line: Said(capsys, line)


def test_a_deployment_tells_its_steps_and_how_searches_change(
    shell: Shell, server: MemoryServer
) -> None:
    shell(STRONG)
    server.comparison = pb.Comparison(searches=200, same_first=0.91, overlap_at_10=0.832)
    server.polls_until_done = 3
    server.news = [
        pb.DeployModelMetadata(step=step, image_count=10, images_embedded=4, points_indexed=points)
        for step, points in (("embedding", 1), ("embedding", 5), ("verifying", 10))
    ]
    said = shell(
        "deploy shop strong --quantization int8 --on-disk --compare 200 --compare-seconds 60"
    )
    assert said.out.splitlines()[:2] == [
        "catalogs/shop/deployments/1: LIVE, models/strong, 10 images, int8, on disk",
        "compared: 200 searches, 91.0% with the same first product, 83.2% of the first ten in "
        "common",
    ]
    assert said.err.splitlines() == [
        "embedding: 4 images embedded, 1 of 10 points",
        "verifying: 4 images embedded, 10 of 10 points",
        "to switch back: shelflens rollback shop",
    ]
    sent = server.deployed[0]
    assert (sent.compare_searches, sent.compare_seconds, sent.discard_old) == (200, 60, False)


def test_a_comparison_without_searches_is_told(shell: Shell) -> None:
    shell(STRONG)
    said = shell("deploy shop strong --compare 5 --discard-old")
    assert (said.code, said.err) == (0, "no search came to be compared\n")


def test_deployments_are_rolled_back_listed_and_deleted(shell: Shell) -> None:
    shell(STRONG)
    for _ in range(2):
        assert shell("deploy shop strong --discard-old").err == ""
    assert shell("rollback shop").out.startswith("catalogs/shop/deployments/1: LIVE, models/strong")
    assert shell("rollback shop --to 2 --json").json["state"] == "LIVE"
    rows = [line.split("\t") for line in shell("deployments list catalogs/shop").out.splitlines()]
    assert [each[:3] for each in rows] == [
        ["2", "LIVE", "models/strong"],
        ["1", "KEPT", "models/strong"],
    ]
    assert shell("deployments delete shop 1").out.endswith("SUCCEEDED\n")
    assert shell("deployments delete shop 2").err.startswith("error: DEPLOYMENT_LIVE: ")
    assert [each["state"] for each in shell("deployments list shop --json").json] == [
        "LIVE",
        "GONE",
    ]
    assert shell("rollback shop --to 7").code == 3


def test_options_of_deploy_are_refused_by_name(shell: Shell, server: MemoryServer) -> None:
    said = shell("deploy shop strong --compare-seconds 5")
    assert (said.code, server.calls) == (2, {})
    assert "--compare-seconds goes with --compare" in said.err
    assert (
        "--quantization: 'int4' is none of none, int8"
        in shell("deploy shop strong --quantization int4").err
    )


def test_operations_of_models_are_listed_shown_and_waited_for(
    shell: Shell, server: MemoryServer
) -> None:
    shell(STRONG + " --no-wait")
    said = shell("deploy shop strong --no-wait --json")
    name = said.json["name"]
    assert said.json["kind"] == "deploy_model"
    server.operations[name].metadata.Pack(
        pb.DeployModelMetadata(
            deployment="catalogs/shop/deployments/1", step="embedding", image_count=9
        )
    )
    rows = [line.split("\t") for line in shell("operations list").out.splitlines()]
    assert sorted((each[1], each[3], each[5]) for each in rows) == [
        ("create_model", "", "models/strong"),
        ("deploy_model", "catalogs/shop", "catalogs/shop/deployments/1"),
    ]
    shown = shell(f"operations get {name}").out.splitlines()
    assert shown[0] == f"{name}: deploy_model RUNNING"
    assert "progress: embedding: 0 images embedded, 0 of 9 points" in shown
    waited = shell(f"operations wait {name}")
    assert waited.out.startswith("catalogs/shop/deployments/1: LIVE")
    assert shell(f"operations wait {name} --json").json["deployment"]["state"] == "LIVE"


def test_a_failed_deployment_is_an_error(shell: Shell, server: MemoryServer) -> None:
    shell(STRONG)
    name = shell("deploy shop strong --no-wait --json").json["name"]
    shell(f"operations cancel {name}")
    said = shell(f"operations wait {name}")
    assert (said.code, said.err.splitlines()[-1]) == (1, "error: CANCELLED: cancelled by a user")


def test_ctrl_c_leaves_the_deployment_running_and_says_how_to_come_back(
    shell: Shell, server: MemoryServer
) -> None:
    shell(STRONG)
    calls = server.calls["WaitOperation"]
    server.polls_until_done = 1_000_000
    process = subprocess.Popen(
        [*SHELFLENS, "deploy", "shop", "strong"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
    )
    eventually(lambda: server.calls["WaitOperation"] >= calls + 2, 20, "the command waits")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=10)
    assert (process.returncode, out) == (130, "")
    name = next(each for each, found in server.operations.items() if not found.done)
    assert err == f"{name} goes on without you; come back with:\n" + (
        f"  shelflens operations wait {name}\n"
    )


class Bars:
    """Remembers what a terminal would show."""

    def __init__(self) -> None:
        self.titles: list[str] = []
        self.shown: list[tuple[int, int | None, int, str]] = []

    def add_task(self, title: str, total: int | None, text: str) -> int:
        self.titles.append(title)
        return len(self.titles) - 1

    def update(self, task: int, total: int | None, completed: int, text: str = "-") -> None:
        self.shown.append((task, total, completed, text))


def test_a_terminal_shows_the_share_of_points_and_the_step() -> None:
    bars = Bars()
    watch = Watch(bars)
    for points, total in ((0, 0), (5, 20), (25, 20)):
        watch.show_operation(
            Operation(
                name="operations/o",
                kind="deploy_model",
                done=False,
                state="RUNNING",
                progress=FillProgress("embedding", total, 3, points),
            )
        )
    assert bars.titles == ["deploying"]
    assert bars.shown == [
        (0, None, 0, "embedding: 3 images embedded, 0 of 0 points"),
        (0, 10_000, 2_500, "embedding: 3 images embedded, 5 of 20 points"),
        (0, 10_000, 10_000, "embedding: 3 images embedded, 25 of 20 points"),
    ]
    assert watch.operation == "operations/o"
