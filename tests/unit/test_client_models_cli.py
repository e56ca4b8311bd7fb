"""`shelflens models`, as users type it."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.client_shell import Said, Shell
from tests.unit.test_client_server import MemoryServer, serving

STRONG = (
    "models create strong --backbone convnext_base.fb_in22k --pooling gem --resolution 224,288 "
    "--flip"
)
WHITE = "models create strong-white --from strong --whitening-from shop --dim 512 --shrinkage 0.1"


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


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "net.safetensors"
    path.write_bytes(b"weights" * 200_000)
    return path


def test_a_model_of_a_backbone_is_made_and_told(shell: Shell, server: MemoryServer) -> None:
    said = shell(STRONG)
    assert said.code == 0, said.err
    lines = said.out.splitlines()
    assert lines[0] == "models/strong: 1024 values, cosine, normalised"
    assert "embedder: convnext_base.fb_in22k gem 224,288 flip, 1024 values" in lines
    assert "note: left out: fc\\x1b[2J" in lines
    assert lines[-1].endswith("SUCCEEDED")
    sent = server.created[0].embedder.embedder
    assert (list(sent.resolutions), sent.flip) == ([224, 288], True)


def test_every_option_of_a_backbone_reaches_the_server(shell: Shell, server: MemoryServer) -> None:
    said = shell(
        "models create m --backbone x --pooling lca --lca-average sizes --fit pad --autocrop 0.5 "
        "--precision fp32 --distance euclidean --unnormalised --no-wait --weights-sha256 "
        + "a"
        * 64
    )
    assert (said.code, said.out) == (0, "")
    assert "follow it with: shelflens operations wait operations/" in said.err
    sent = server.created[0]
    recipe = sent.embedder.embedder
    assert (recipe.pooling, recipe.lca_average, recipe.fit) == ("lca", "sizes", "pad")
    assert (recipe.autocrop, recipe.precision, recipe.weights_sha256) == (0.5, "fp32", "a" * 64)
    assert (sent.distance, sent.unnormalised) == ("euclidean", True)
    shell("models create m --backbone x --pooling gem --gem-p 4 --no-wait")
    shell("models create m --backbone x --pooling rmac --rmac-levels 2 --no-wait")
    recipes = [each.embedder.embedder for each in server.created[1:]]
    assert [(each.gem_p, each.rmac_levels) for each in recipes] == [(4, 0), (0, 2)]


def test_models_are_made_of_others_listed_shown_and_deleted(
    shell: Shell, server: MemoryServer
) -> None:
    shell("catalogs create shop")
    for line in (
        STRONG,
        "models create base --backbone tf_efficientnet_lite0",
        WHITE,
        "models create small --from strong --pca-from shop --dim 64",
        "models create duo --ensemble strong-white,small",
        "deploy shop duo",
    ):
        assert shell(line).code == 0, line
    rows = [line.split("\t") for line in shell("models list").out.splitlines()]
    strong = "convnext_base.fb_in22k gem 224,288 flip"
    digest = server.models["models/duo"].digest[:12]
    both = f"{strong} -> 512 + {strong} -> 64"
    assert rows.pop(0)[::5] == ["models/base", "no"]
    assert rows[0] == ["models/duo", digest, "576", both, "shop 1", "no"]
    assert [(each[0], each[3], each[5]) for each in rows[1:]] == [
        ("models/small", f"{strong} -> 64", "yes"),
        ("models/strong", strong, "yes"),
        ("models/strong-white", f"{strong} -> 512", "yes"),
    ]
    shown = shell("models show duo").out
    assert "linear part: 1024 -> 512 values, " + "f" * 64 in shown
    assert "deployed: shop 1" in shown
    assert "nowhere, it can be deleted" in shell("models show models/small").out
    assert shell("models show small --json").json["embedding_dimension"] == 64
    assert shell("models delete duo").err.startswith("error: MODEL_IN_USE: ")
    assert shell("models delete models/small --json").json == {"deleted": "models/small"}
    assert len(shell("models list --json").json) == 4
    assert shell("models show small").code == 3


def test_weights_are_sent_before_the_model_is_made(
    shell: Shell, server: MemoryServer, weights: Path
) -> None:
    sha256 = hashlib.sha256(weights.read_bytes()).hexdigest()
    said = shell(f"models create m --backbone x --weights {weights} --weights-sha256 {sha256}")
    assert said.code == 0, said.err
    assert f"sent {weights} as uploads/u0" in said.err
    assert server.created[0].embedder.weights == "uploads/u0"
    shell("models create n --backbone x --head-dim 64 --weights uploads/u0")
    assert server.created[1].embedder.weights == "uploads/u0"
    assert server.calls["UploadWeights"] == 1


@pytest.mark.parametrize(
    ("file", "code", "reason"),
    [
        ("none.pth", 3, "FILE_NOT_FOUND"),
        ("empty.pt", 1, "WEIGHTS_EMPTY"),
        ("net.onnx", 1, "WEIGHTS_KIND_UNKNOWN"),
    ],
)
def test_a_file_that_is_no_weights_is_refused_on_this_machine(
    shell: Shell, server: MemoryServer, tmp_path: Path, file: str, code: int, reason: str
) -> None:
    (tmp_path / "empty.pt").touch()
    (tmp_path / "net.onnx").write_bytes(b"x")
    said = shell(f"models create m --backbone x --weights {tmp_path / file}")
    assert (said.code, said.out) == (code, "")
    assert said.err.startswith(f"error: {reason}: {tmp_path / file} ")
    assert server.calls == {}


def test_a_bad_name_is_found_before_weights_are_sent(
    shell: Shell, server: MemoryServer, weights: Path
) -> None:
    said = shell(f"models create Bad --backbone x --weights {weights}")
    assert (said.code, server.calls) == (2, {})
    assert said.err.startswith("error: INVALID_NAME: ")


def test_a_model_that_is_only_checked_is_not_made(shell: Shell, server: MemoryServer) -> None:
    said = shell("models create m --backbone x --validate-only")
    assert (said.code, said.out, said.err) == (0, "", "m can be made; nothing was\n")
    assert shell("models create m --backbone x --validate-only --json").json["done"] is True
    assert server.created[0].validate_only
    assert server.models == {}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("", "a model is made of one of --backbone, --from, --ensemble"),
        ("--from a --ensemble b,c", "not --from and --ensemble"),
        ("--from a --dim 64", "--from goes with --whitening-from or --pca-from, one of them"),
        ("--backbone x --dim 64", "--dim goes with --from, not --backbone"),
        ("--ensemble a,b --resolution 224", "--resolution goes with --backbone, not --ensemble"),
        ("--backbone x --gem-p 4", "--gem-p goes with --pooling gem, not --pooling avg"),
        ("--backbone x --unnormalised", "--unnormalised goes with --distance euclidean or"),
        ("--from a --pca-from s --shrinkage 0.1", "--shrinkage goes with --whitening-from, not"),
        ("--ensemble a", "--ensemble takes 2 to 8 models, not 1"),
        ("--ensemble a,a", "--ensemble names a twice"),
        ("--backbone x --resolution 9", "--resolution: 9 is not from 16 to 1024 pixels"),
        ("--backbone x --resolution 224x288", "--resolution: '224x288' is no list of sides"),
    ],
)
def test_options_that_do_not_go_together_are_wrong_usage(
    shell: Shell, server: MemoryServer, options: str, message: str
) -> None:
    said = shell(f"models create m {options}")
    assert (said.code, said.out) == (2, "")
    assert message in said.err
    assert said.err.count("\n") == 1
    assert server.calls == {}


@pytest.mark.parametrize("group", ["models", "models create", "deploy", "rollback", "deployments"])
def test_every_new_group_has_help(shell: Shell, group: str) -> None:
    said = shell(f"{group} --help")
    assert said.code == 0
    assert "Usage: shelflens" in said.out
