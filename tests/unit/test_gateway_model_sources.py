"""Making models: what is handed over, and what is refused before it is queued."""

import hashlib
from datetime import UTC, datetime
from typing import Any

import grpc
import pytest
from google.longrunning import operations_pb2 as lro

from services.core.domain import keys
from services.core.domain.external_model import ExternalModel
from services.core.domain.model import LinearSpec, Member, Model
from services.core.domain.operations import Operation, OperationKind, OperationState
from services.core.domain.recipes import EmbedderRecipe
from shelflens.v1 import models_pb2 as pb
from tests.unit.gateway_doubles import BASE, DIMENSION, picture, spec_of
from tests.unit.test_gateway_world import World, refused, uuid4

pytest_plugins = ("tests.unit.test_gateway_world",)
INVALID, MISSING = "INVALID_ARGUMENT", "NOT_FOUND"
STRONG = spec_of("cd", backbone="resnet50")
WHITE = LinearSpec("1" * 64, DIMENSION, 4)


def put(world: World, name: str, model: Model) -> None:
    with world.records.begin(write=True) as tx:
        tx.models.put(name, model.digest, model.to_dict(), datetime.now(UTC), ["a note"])


def put_all(world: World) -> None:
    """Models of every kind: strong, white, duo, duo-white, outside."""
    strong = Member(STRONG)
    put(world, "strong", Model.plain(STRONG))
    put(world, "white", Model((Member(STRONG, WHITE),)))
    put(world, "duo", Model((Member(BASE), strong)))
    both = LinearSpec("2" * 64, 2 * DIMENSION, 3)
    put(world, "duo-white", Model((Member(BASE), strong), both))
    outside = ExternalModel(name="outside", dimension=3)
    with world.records.begin(write=True) as tx:
        tx.models.put("outside", outside.digest, outside.spec(), datetime.now(UTC))


async def indexed(world: World) -> None:
    """A catalogue `shop` with one image that its collection holds."""
    await world.catalog()
    product = await world.product("a")
    image = await world.image(product.name, picture(1))
    with world.records.begin(write=True) as tx:
        revision = tx.catalogs.next_revision("shop")
        tx.imports.planned("shop", [("a", image.sha256)], revision)
        tx.imports.indexed("shop", revision)


def embedder(backbone: str = "resnet50", **fields: Any) -> dict[str, Any]:
    weights = fields.pop("weights", "")
    recipe = pb.Embedder(backbone=backbone, **fields)
    return {"embedder": pb.EmbedderSource(embedder=recipe, weights=weights)}


def linear(model: str = "strong", catalog: str = "shop", **fields: Any) -> dict[str, Any]:
    source = pb.LinearSource(model=f"models/{model}", catalog=f"catalogs/{catalog}", **fields)
    return {"linear": source}


def ensemble(*models: str) -> dict[str, Any]:
    return {"ensemble": pb.EnsembleSource(models=[f"models/{each}" for each in models])}


async def create(world: World, model: str = "new", **fields: Any) -> lro.Operation:
    return await world.models.CreateModel(pb.CreateModelRequest(model_id=model, **fields))


def queued(world: World, operation: lro.Operation) -> Operation:
    with world.records.begin() as tx:
        return tx.operations.get(operation.name.removeprefix("operations/"))


async def test_a_backbone_is_handed_over_as_its_recipe(world: World) -> None:
    fields: dict[str, Any] = {
        "pooling": "gem",
        "resolutions": [224, 288],
        "flip": True,
        "autocrop": 0.5,
    }
    operation = await create(world, **embedder(**fields), distance="manhattan", unnormalised=True)
    found = queued(world, operation)
    assert (found.kind, found.catalog, found.revision) == (OperationKind.CREATE_MODEL, "", 0)
    assert {k: found.request[k] for k in ("model", "kind", "weights")} == {
        "model": "new",
        "kind": "embedder",
        "weights": "",
    }
    assert EmbedderRecipe.from_json(found.request["recipe"]) == EmbedderRecipe(
        backbone="resnet50",
        pooling="gem",
        resolutions=(224, 288),
        flip=True,
        autocrop=0.5,
        distance="manhattan",
        normalised=False,
    )
    assert [each.operation for each in world.queue.messages] == [found.id]
    progress = pb.CreateModelMetadata()
    assert operation.metadata.Unpack(progress)
    assert progress.model == "models/new"


async def test_a_whitening_is_handed_over_with_the_parts_that_it_is_of(world: World) -> None:
    await indexed(world)
    put_all(world)
    source = linear(method="pca", dimension=4, shrinkage=0.25, unnormalised_input=True)
    found = queued(world, await create(world, **source))
    assert (found.catalog, found.revision) == ("shop", 0)
    assert Model.from_dict(found.request.pop("of")) == Model.plain(STRONG)
    assert found.request == {
        "model": "new",
        "kind": "linear",
        "method": "pca",
        "dimension": 4,
        "shrinkage": 0.25,
        "norms": True,
        "distance": "",
        "unnormalised": False,
    }
    of_duo = queued(world, await create(world, "other", **linear("duo", dimension=16)))
    assert Model.from_dict(of_duo.request["of"]).embedding_dim == 2 * DIMENSION


async def test_an_ensemble_is_handed_over_whole(world: World) -> None:
    put_all(world)
    found = queued(world, await create(world, **ensemble("white", "base")))
    model = Model.from_dict(found.request["spec"])
    assert model.members == (Member(STRONG, WHITE), Member(BASE))
    assert (model.embedding_dim, model.distance, model.normalised) == (
        4 + DIMENSION,
        "cosine",
        True,
    )
    await create(
        world, "far", **ensemble("base", "strong"), distance="euclidean", unnormalised=True
    )


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, "SOURCE_MISSING"),
        (embedder("resnet5O"), "UNKNOWN_BACKBONE"),
        (embedder(pooling="cls"), "POOLING_UNSUPPORTED"),
        (embedder("vit_small_patch14_dinov2", resolutions=[225]), "RESOLUTION_UNSUPPORTED"),
        (embedder(pooling="median"), "INVALID_MODEL_SPEC"),
        (embedder(resolutions=[8]), "INVALID_MODEL_SPEC"),
        (embedder(resolutions=[288, 224]), "INVALID_MODEL_SPEC"),
        (embedder(autocrop=1.5), "INVALID_MODEL_SPEC"),
        (embedder(autocrop=float("nan")), "INVALID_MODEL_SPEC"),
        (embedder(gem_p=-1), "INVALID_MODEL_SPEC"),
        (embedder(rmac_levels=6), "INVALID_MODEL_SPEC"),
        (embedder(head_dim=-1), "INVALID_MODEL_SPEC"),
        (embedder(precision="int8"), "INVALID_MODEL_SPEC"),
        (embedder(weights_sha256="x"), "INVALID_DIGEST"),
        (embedder(weights="weights/x"), "INVALID_NAME"),
        (embedder() | {"distance": "dot"}, "INVALID_MODEL_SPEC"),
        (embedder() | {"unnormalised": True}, "INVALID_MODEL_SPEC"),
        (linear(method="ica"), "INVALID_MODEL_SPEC"),
        (linear(dimension=-1), "OUT_OF_RANGE"),
        (linear(dimension=DIMENSION + 1), "DIMENSION_TOO_LARGE"),
        (linear(shrinkage=1.5), "OUT_OF_RANGE"),
        (linear(shrinkage=float("nan")), "OUT_OF_RANGE"),
        (linear() | {"distance": "dot"}, "INVALID_MODEL_SPEC"),
        (linear() | {"unnormalised": True}, "INVALID_MODEL_SPEC"),
        (linear("white"), "MODEL_HAS_LINEAR_PART"),
        (linear("duo-white"), "MODEL_HAS_LINEAR_PART"),
        (linear("duo", unnormalised_input=True), "INVALID_MODEL_SPEC"),
        (ensemble("strong"), "OUT_OF_RANGE"),
        (ensemble(*[f"m{number}" for number in range(9)]), "OUT_OF_RANGE"),
        (ensemble("strong", "base", "strong"), "MEMBER_TWICE"),
        (ensemble("strong", "duo"), "MEMBER_IS_ENSEMBLE"),
        (ensemble("strong", "base") | {"distance": "dot"}, "INVALID_MODEL_SPEC"),
        (ensemble("strong", "base") | {"unnormalised": True}, "INVALID_MODEL_SPEC"),
    ],
)
async def test_what_cannot_be_made_is_refused_and_not_queued(
    world: World, fields: dict[str, Any], reason: str
) -> None:
    await indexed(world)
    put_all(world)
    before = len(world.queue.messages)
    assert await refused(create(world, **fields)) == (INVALID, reason)
    assert len(world.queue.messages) == before


async def test_what_a_model_would_be_made_of_must_be_there(world: World) -> None:
    put_all(world)
    await world.catalog()
    for fields, refusal in (
        (ensemble("strong", "none"), (MISSING, "MODEL_NOT_FOUND")),
        (linear("none"), (MISSING, "MODEL_NOT_FOUND")),
        (linear(catalog="none"), (MISSING, "CATALOG_NOT_FOUND")),
        (linear(), ("FAILED_PRECONDITION", "CATALOG_EMPTY")),
        (embedder(weights="uploads/none"), (MISSING, "UPLOAD_NOT_FOUND")),
        (linear("outside"), ("FAILED_PRECONDITION", "MODEL_HAS_NO_EMBEDDER")),
        (ensemble("strong", "outside"), ("FAILED_PRECONDITION", "MODEL_HAS_NO_EMBEDDER")),
    ):
        assert await refused(create(world, **fields)) == refusal


async def test_two_names_of_one_model_are_no_two_members(world: World) -> None:
    put_all(world)
    put(world, "again", Model.plain(STRONG))
    assert await refused(create(world, **ensemble("strong", "again"))) == (INVALID, "MEMBER_TWICE")


async def test_an_upload_must_have_the_digest_that_is_asked_for(world: World) -> None:
    world.objects.put(keys.uploaded_weights_key("abc"), b"weights")
    digest = hashlib.sha256(b"weights").hexdigest()
    wrong = embedder(weights="uploads/abc", weights_sha256="0" * 64)
    assert await refused(create(world, **wrong)) == (INVALID, "DIGEST_MISMATCH")
    right = await create(world, **embedder(weights="uploads/abc", weights_sha256=digest))
    assert queued(world, right).request["weights"] == "models/uploads/abc"


async def test_a_name_stands_for_its_parts_for_ever(world: World) -> None:
    await indexed(world)
    put_all(world)
    taken = ("ALREADY_EXISTS", "MODEL_EXISTS")
    assert await refused(create(world, "strong", **embedder(pooling="max"))) == taken
    assert await refused(create(world, "outside", **embedder())) == taken
    assert await refused(create(world, "strong", **linear())) == taken
    assert await refused(create(world, "white", **linear(dimension=5))) == taken
    assert await refused(create(world, "duo", **ensemble("strong", "base"))) == taken
    # What may give the same parts is left to the coordinator, which knows them in the end.
    for model, source in (
        ("strong", embedder()),
        ("white", linear(dimension=4)),
        ("duo", ensemble("base", "strong")),
    ):
        assert not (await create(world, model, **source)).done


async def test_one_name_is_made_once_at_a_time(world: World) -> None:
    operation = await create(world, **embedder())
    other = create(world, **embedder(pooling="max"))
    assert await refused(other) == ("FAILED_PRECONDITION", "MODEL_BEING_MADE")
    with world.records.begin(write=True) as tx:
        tx.operations.cancel(operation.name.removeprefix("operations/"), datetime.now(UTC))
        ended = tx.operations.get(operation.name.removeprefix("operations/"))
        ended.state = OperationState.CANCELLED
        tx.operations.save(ended)
    assert not (await create(world, **embedder(pooling="max"))).done


async def test_a_repeat_gets_the_first_answer_also_when_its_upload_is_used_up(world: World) -> None:
    world.objects.put(keys.uploaded_weights_key("abc"), b"weights")
    call = embedder(weights="uploads/abc") | {"request_id": uuid4()}
    first = await create(world, **call)
    world.objects.delete(keys.uploaded_weights_key("abc"))
    assert await create(world, **call) == first
    assert len(world.queue.messages) == 1


async def test_a_check_alone_changes_nothing(world: World) -> None:
    request_id = uuid4()
    checked = await create(world, **embedder(), validate_only=True, request_id=request_id)
    model = pb.Model()
    assert checked.done
    assert checked.response.Unpack(model)
    assert model.name == "models/new"
    bad = create(world, **embedder(pooling="cls"), validate_only=True)
    assert await refused(bad) == (INVALID, "POOLING_UNSUPPORTED")
    listed = await world.operations.ListOperations(lro.ListOperationsRequest())
    assert (list(listed.operations), world.queue.messages) == ([], [])
    assert not (await create(world, **embedder())).done


async def test_an_unknown_backbone_names_the_closest_ones(world: World) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await create(world, **embedder("resnet5O"))
    assert "resnet50" in str(caught.value.details())
