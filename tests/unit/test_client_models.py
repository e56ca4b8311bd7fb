"""Models and deployments with both clients: requests, answers, and what is refused unsent."""

from collections.abc import Iterator
from typing import Any

import pytest

from shelflens import AsyncClient, Client
from shelflens.errors import FailedPrecondition, InvalidArgument, NotFound
from shelflens.model_options import check_model_options
from shelflens.v1 import models_pb2 as pb
from shelflens.values import Comparison, FillProgress, LinearPart, Operation, to_json
from tests.unit.test_client_server import MemoryServer, serving


@pytest.fixture
def server() -> MemoryServer:
    return MemoryServer()


@pytest.fixture
def client(server: MemoryServer) -> Iterator[Client]:
    with serving(server) as target, Client(target, timeout=10) as client:
        client.create_catalog("shop")
        yield client


def made(client: Client, name: str, **options: Any) -> Operation:
    return client.wait_operation(client.create_model(name, **options).name).raise_for_error()


def test_the_whole_recipe_reaches_the_server(client: Client, server: MemoryServer) -> None:
    made(
        client, "models/strong", backbone="convnext_base.fb_in22k", pooling="gem", gem_p=4,
        resolutions=(288, 224), fit="pad", flip=True, autocrop=0.5, head_dim=256, precision="fp32",
        weights="uploads/u", weights_sha256="a" * 64, distance="euclidean", unnormalised=True,
    )  # fmt: skip
    (sent,) = server.created
    recipe = sent.embedder.embedder
    assert (sent.model_id, sent.distance, sent.unnormalised) == ("strong", "euclidean", True)
    assert (sent.embedder.weights, recipe.weights_sha256) == ("uploads/u", "a" * 64)
    assert (recipe.backbone, recipe.pooling, recipe.gem_p) == ("convnext_base.fb_in22k", "gem", 4)
    assert list(recipe.resolutions) == [224, 288]
    assert (recipe.fit, recipe.flip, recipe.autocrop) == ("pad", True, 0.5)
    assert (recipe.head_dim, recipe.precision) == (256, "fp32")
    assert sent.request_id in server.request_ids


def test_what_is_left_out_is_left_to_the_server(client: Client, server: MemoryServer) -> None:
    made(client, "plain", backbone="resnet50.a1_in1k")
    sent = server.created[0].embedder
    assert sent == pb.EmbedderSource(embedder=pb.Embedder(backbone="resnet50.a1_in1k"))


def test_linear_parts_and_ensembles_name_models_and_catalogs_in_full(
    client: Client, server: MemoryServer
) -> None:
    made(client, "strong", backbone="x")
    made(client, "white", base="strong", whitening_from="shop", dimension=512, shrinkage=0.1)
    made(client, "small", base="models/strong", pca_from="catalogs/shop", unnormalised_input=True)
    made(client, "duo", ensemble=["strong", "models/white"])
    white, small, duo = server.created[1:]
    assert (white.linear.model, white.linear.catalog) == ("models/strong", "catalogs/shop")
    assert (white.linear.method, white.linear.dimension) == ("whitening", 512)
    assert white.linear.shrinkage == 0.1
    assert (small.linear.method, small.linear.unnormalised_input) == ("pca", True)
    assert list(duo.ensemble.models) == ["models/strong", "models/white"]


def test_a_finished_operation_has_the_model(client: Client) -> None:
    made(client, "strong", backbone="x", flip=True)
    done = made(client, "white", base="strong", whitening_from="shop", dimension=512)
    assert (done.kind, done.state, done.target) == ("create_model", "SUCCEEDED", "models/white")
    assert done.progress == FillProgress(images_embedded=3)
    assert done.model is not None
    assert done.model == client.get_model("white")
    (member,) = done.model.members
    assert (member.embedder.backbone, member.embedder.flip) == ("x", True)
    assert member.linear == LinearPart("f" * 64, 1024, 512)
    assert done.model.linear is None
    assert to_json(done)["model"]["members"][0]["linear"]["output_dimension"] == 512


def test_models_are_listed_page_by_page_and_deleted_where_unused(client: Client) -> None:
    for number in range(4):
        made(client, f"m{number}", backbone="x")
    assert [each.name for each in client.list_models()] == [f"models/m{n}" for n in range(4)]
    client.deploy("shop", "m0")
    with pytest.raises(FailedPrecondition) as refused:
        client.delete_model("m0")
    assert refused.value.reason == "MODEL_IN_USE"
    client.delete_model("models/m1")
    with pytest.raises(NotFound):
        client.get_model("m1")


def test_a_deployment_reports_steps_and_ends_live(client: Client, server: MemoryServer) -> None:
    made(client, "m", backbone="x")
    server.comparison = pb.Comparison(searches=20, same_first=0.5, overlap_at_10=0.75)
    operation = client.deploy(
        "shop", "m", quantization="int8", on_disk=True, compare_searches=20, compare_seconds=5,
        discard_old=True,
    )  # fmt: skip
    server.polls_until_done = 2
    name = "catalogs/shop/deployments/1"
    server.news = [
        pb.DeployModelMetadata(deployment=name, step=step, image_count=10, points_indexed=count)
        for step, count in (("embedding", 4), ("switched", 10))
    ]
    heard: list[Operation] = []
    done = client.wait_operation(operation.name, on_progress=heard.append).raise_for_error()
    assert [each.progress for each in heard] == [
        FillProgress("embedding", 10, 0, 4),
        FillProgress("switched", 10, 0, 10),
    ]
    assert (done.kind, done.catalog, done.target) == ("deploy_model", "catalogs/shop", name)
    assert done.deployment is not None
    assert (done.deployment.state, done.deployment.number) == ("LIVE", 1)
    assert done.deployment.comparison == Comparison(20, 0.5, 0.75)
    (sent,) = server.deployed
    assert (sent.quantization, sent.on_disk, sent.discard_old) == ("int8", True, True)
    assert (sent.compare_searches, sent.compare_seconds) == (20, 5)


def test_deployments_are_listed_rolled_back_and_deleted(client: Client) -> None:
    made(client, "m", backbone="x")
    for _ in range(3):
        client.deploy("shop", "m")
    assert [each.number for each in client.list_deployments("shop")] == [3, 2, 1]
    assert client.rollback("shop").number == 2
    back = client.rollback("catalogs/shop", 1)
    assert (back.name, back.state) == ("catalogs/shop/deployments/1", "LIVE")
    removal = client.wait_operation(client.delete_deployment("shop", 3).name)
    assert (removal.kind, removal.target) == ("delete_deployment", "catalogs/shop/deployments/3")
    states = {each.number: each.state for each in client.list_deployments("shop")}
    assert states == {3: "GONE", 2: "KEPT", 1: "LIVE"}
    with pytest.raises(FailedPrecondition):
        client.delete_deployment("shop", 1)


def test_a_state_of_a_newer_server_keeps_its_number(client: Client, server: MemoryServer) -> None:
    made(client, "m", backbone="x")
    client.deploy("shop", "m")
    server.deployments["catalogs/shop/deployments/1"].state = 77  # type: ignore[assignment]
    assert next(client.list_deployments("shop")).state == "77"


async def test_the_async_client_makes_and_deploys(client: Client) -> None:
    async with AsyncClient(client.target, timeout=10) as aio:
        operation = await aio.create_model("m", backbone="x")
        assert (await aio.wait_operation(operation.name)).model is not None
        assert [each.name async for each in aio.list_models()] == ["models/m"]
        await aio.deploy("shop", "m")
        await aio.deploy("shop", "m")
        assert (await aio.rollback("shop")).number == 1
        assert [each.state async for each in aio.list_deployments("shop")] == ["KEPT", "LIVE"]
        await aio.delete_deployment("shop", 2)
        with pytest.raises(FailedPrecondition):
            await aio.delete_model("m")


BASE: dict[str, Any] = {"base": "m", "whitening_from": "shop"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "a model is made of one of backbone, base, ensemble"),
        ({"backbone": "x", "base": "m"}, "not backbone and base"),
        ({"base": "m"}, "base goes with whitening_from or pca_from, one of them"),
        (BASE | {"pca_from": "shop"}, "base goes with whitening_from or pca_from, one of them"),
        (BASE | {"pooling": "gem"}, "pooling goes with backbone, not base"),
        ({"ensemble": ["a", "b"], "flip": True}, "flip goes with backbone, not ensemble"),
        ({"backbone": "x", "shrinkage": 0.0}, "shrinkage goes with base, not backbone"),
        ({"base": "m", "pca_from": "shop", "shrinkage": 0.1}, "shrinkage goes with whitening_from"),
        ({"backbone": "x", "gem_p": 3}, "gem_p goes with pooling gem, not pooling avg"),
        ({"backbone": "x", "pooling": "gem", "rmac_levels": 3}, "rmac_levels goes with pooling rm"),
        ({"backbone": "x", "lca_average": "sizes"}, "lca_average goes with pooling lca"),
        ({"backbone": "x", "pooling": "mean"}, "pooling: 'mean' is none of avg, max, gem"),
        ({"backbone": "x", "fit": "stretch"}, "fit: 'stretch' is none of crop, pad"),
        ({"backbone": "x", "precision": "fp16"}, "precision: 'fp16' is none of"),
        ({"backbone": "x", "distance": "dot"}, "distance: 'dot' is none of"),
        ({"backbone": "x", "autocrop": 1.5}, "autocrop: 1.5 is not from 0 to 1"),
        ({"backbone": "x", "autocrop": float("nan")}, "autocrop: nan is not from 0 to 1"),
        ({"backbone": "x", "pooling": "gem", "gem_p": 0}, "gem_p: 0 is not from 1 to 100"),
        ({"backbone": "x", "head_dim": 0}, "head_dim: 0 is not from 1 to 65536"),
        ({"backbone": "x", "weights_sha256": "A" * 64}, "weights_sha256 is a SHA-256"),
        ({"backbone": "x", "resolutions": (8,)}, "resolutions: 8 is not from 16 to 1024"),
        ({"backbone": "x", "resolutions": (224, 224)}, "resolutions: give at most 8 sides, each"),
        ({"backbone": "x", "resolutions": range(16, 25)}, "resolutions: give at most 8 sides"),
        (BASE | {"dimension": 1 << 40}, "dimension: 1099511627776 is not from 1 to 65536"),
        (BASE | {"shrinkage": -0.1}, "shrinkage: -0.1 is not from 0 to 1"),
        ({"ensemble": ["a"]}, "ensemble takes 2 to 8 models, not 1"),
        ({"ensemble": ["a", "models/a"]}, "ensemble names a twice"),
        ({"backbone": "x", "unnormalised": True}, "unnormalised goes with distance euclidean or"),
        (BASE | {"unnormalised": True, "distance": "cosine"}, "unnormalised goes with distance"),
    ],
)
def test_options_that_do_not_go_together_are_refused_by_name(
    client: Client, server: MemoryServer, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidArgument) as refused:
        client.create_model("m", **options)
    assert refused.value.reason == "INVALID_OPTION"
    assert message in refused.value.message
    assert "CreateModel" not in server.calls


@pytest.mark.parametrize(
    "options",
    [
        BASE | {"unnormalised": True},
        BASE | {"shrinkage": 0.0, "dimension": 1},
        {"ensemble": ["a", "b"], "unnormalised": True, "distance": "manhattan"},
        {"backbone": "x", "pooling": "rmac", "rmac_levels": 5, "flip": False, "base": None},
        {"backbone": "x", "head_dim": 128, "weights": "uploads/u", "autocrop": 0},
        {"backbone": "vit_base_patch16_clip_224.openai", "head_dim": 512},
    ],
)
def test_options_that_go_together_are_let_through(options: Any) -> None:
    assert check_model_options(options) in options


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"quantization": "int4"}, "quantization: 'int4' is none of none, int8"),
        ({"compare_seconds": 5}, "compare_seconds goes with compare_searches"),
        ({"compare_searches": 0}, "compare_searches: 0 is not from 1"),
        ({"compare_searches": 1 << 31}, "compare_searches: 2147483648 is not from 1"),
    ],
)
def test_options_of_deploy_are_checked_too(
    client: Client, server: MemoryServer, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidArgument, match="INVALID_OPTION") as refused:
        client.deploy("shop", "m", **options)
    assert message in refused.value.message
    assert "DeployModel" not in server.calls


@pytest.mark.parametrize("name", ["", "models/", "Strong", "a/b", "-a", "x" * 64])
def test_a_name_that_is_no_id_is_refused_unsent(
    client: Client, server: MemoryServer, name: str
) -> None:
    with pytest.raises(InvalidArgument, match="INVALID_NAME"):
        client.create_model(name, backbone="x")
    assert "CreateModel" not in server.calls
