"""Models that run elsewhere: what they are, and what the gateway refuses because of them."""

import pytest

from services.core.domain.errors import InvalidArgument
from services.core.domain.external_model import ExternalModel, is_external
from services.core.domain.model_spec import ModelSpec
from shelflens.v1 import catalogs_pb2 as pb
from shelflens.v1 import search_pb2
from tests.unit.gateway_doubles import picture
from tests.unit.test_gateway_world import World, refused

pytest_plugins = ("tests.unit.test_gateway_world",)
MODEL = "models/clip"


async def outside(world: World, catalog: str = "shop", **model: object) -> pb.Catalog:
    values = {"model": MODEL, "dimension": 3, **model}
    request = pb.CreateCatalogRequest(
        catalog_id=catalog,
        external_model=pb.ExternalModel(**values),  # type: ignore[arg-type]
    )
    return await world.catalogs.CreateCatalog(request)


def test_a_digest_covers_everything_that_a_model_is() -> None:
    models = [
        ExternalModel(name="a", dimension=2),
        ExternalModel(name="b", dimension=2),
        ExternalModel(name="a", dimension=3),
        ExternalModel(name="a", dimension=2, distance="euclidean"),
    ]
    assert len({each.digest for each in models}) == 4
    assert ExternalModel(name="a", dimension=2).digest == models[0].digest
    assert all(is_external(each.spec()) for each in models)
    with pytest.raises(InvalidArgument):
        ModelSpec.from_json('{"external": true}')


@pytest.mark.parametrize(
    "values",
    [
        {"name": "A b", "dimension": 2},
        {"name": "a", "dimension": 0},
        {"name": "a", "dimension": 65_537},
        {"name": "a", "dimension": 2, "distance": "dot"},
    ],
)
def test_a_model_that_cannot_be_is_refused(values: dict[str, object]) -> None:
    with pytest.raises(InvalidArgument):
        ExternalModel(**values)  # type: ignore[arg-type]


async def test_a_catalogue_may_be_served_by_a_model_that_runs_elsewhere(world: World) -> None:
    made = await outside(world)
    assert (made.model, made.embedding_dimension) == (MODEL, 3)
    assert made.external_embeddings
    assert not (await world.catalog("here")).external_embeddings
    other = await outside(world, "other", dimension=5)
    assert other.model_digest != made.model_digest
    again = await outside(world, "again")
    assert again.model_digest == made.model_digest


async def test_the_name_of_a_model_here_is_taken(world: World) -> None:
    call = outside(world, model="models/base")
    assert await refused(call) == ("FAILED_PRECONDITION", "MODEL_NAME_TAKEN")


async def test_one_catalogue_has_one_model(world: World) -> None:
    request = pb.CreateCatalogRequest(
        catalog_id="shop",
        catalog=pb.Catalog(model="models/base"),
        external_model=pb.ExternalModel(model=MODEL, dimension=3),
    )
    call = world.catalogs.CreateCatalog(request)
    assert await refused(call) == ("INVALID_ARGUMENT", "TWO_MODELS")


async def test_photos_are_refused_where_nothing_can_embed_them(world: World) -> None:
    await outside(world)
    await world.product("a")
    photo = search_pb2.SearchProductsRequest(parent="catalogs/shop", photo=picture(1))
    refusal = ("FAILED_PRECONDITION", "MODEL_HAS_NO_EMBEDDER")
    for _ in range(2):  # also where the gateway has met the model before
        assert await refused(world.search.SearchProducts(photo)) == refusal
    assert await refused(world.image("catalogs/shop/products/a", picture(1))) == refusal
    vector = search_pb2.Embedding(values=[1, 2, 3])
    request = search_pb2.SearchProductsRequest(parent="catalogs/shop", embedding=vector)
    assert (await world.search.SearchProducts(request)).model == MODEL
    assert world.embedder.digests == []


async def test_embeddings_go_where_their_model_serves_and_nowhere_else(world: World) -> None:
    await outside(world)
    await world.catalog("here")
    for catalog, model, refusal in (
        ("shop", MODEL, None),
        ("shop", "", None),
        ("shop", "models/other", "EMBEDDING_MODEL_DIFFERS"),
        ("here", MODEL, "EMBEDDING_MODEL_DIFFERS"),
        ("here", "models/base", "EMBEDDING_MODEL_DIFFERS"),
    ):
        parent = f"catalogs/{catalog}"
        pieces = [pb.UploadManifestRequest(parent=parent, data=b"{}")]
        manifest = await world.catalogs.UploadManifest(iter(pieces))
        call = world.catalogs.ImportProducts(
            pb.ImportProductsRequest(parent=parent, manifest=manifest.name, embeddings_model=model)
        )
        if refusal:
            assert await refused(call) == ("FAILED_PRECONDITION", refusal)
        else:
            assert not (await call).done
