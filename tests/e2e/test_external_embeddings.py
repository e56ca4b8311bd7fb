"""Catalogues whose embeddings were made elsewhere and come with imports."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from services.core.ports import Float32
from shelflens import Client
from shelflens.cli.main import run
from shelflens.errors import FailedPrecondition, InvalidManifest, NotFound
from tests.e2e.shop import Shop, new_picture
from tests.local_server import LocalServer

MODEL, DIMENSION, COUNT = "acme-clip-v2", 24, 40


def vectors(count: int = COUNT, seed: int = 5, dimension: int = DIMENSION) -> Float32:
    """Not normalised, as many models write them. Shape [count, dimension]."""
    return np.random.default_rng(seed).normal(size=(count, dimension)).astype(np.float32) * 3


def parquet(path: Path, embeddings: Iterable[Any], **columns: Sequence[object]) -> Path:
    """A manifest of products S0, S1, ... with an `embedding` each."""
    listed = [None if each is None else list(each) for each in embeddings]
    skus = [f"S{number}" for number in range(len(listed))]
    kinds = {"embedding": pa.array(listed, pa.list_(pa.float32())), "sku": skus}
    pq.write_table(pa.table({**kinds, **columns}), path)
    return path


def exported(client: Client, catalog: str) -> dict[str, tuple[float, ...]]:
    return {each.sku: each.values for each in client.export_embeddings(catalog)}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    titles = [f"Title {number}" for number in range(COUNT)]
    return parquet(tmp_path_factory.mktemp("vectors") / "p.parquet", vectors(), title=titles)


@pytest.fixture(scope="module")
def catalog(client: Client, source: Path) -> str:
    done = client.import_products("outside", source, embeddings_model=MODEL)
    done.raise_for_error()
    assert (done.counts.rows_accepted, done.counts.images_embedded) == (COUNT, 0)
    return "outside"


def test_every_product_is_the_first_result_for_its_own_vector(client: Client, catalog: str) -> None:
    found = client.get_catalog(catalog)
    assert (found.model, found.embedding_dimension) == (f"models/{MODEL}", DIMENSION)
    assert found.external_embeddings
    for number, vector in enumerate(vectors()):
        best = client.search(catalog, embedding=vector.tolist(), top_k=3).results[0]
        assert (best.sku, best.title) == (f"S{number}", f"Title {number}")
        assert best.score == pytest.approx(1, abs=1e-5)


def test_an_embedding_is_listed_as_an_image_without_bytes(client: Client, catalog: str) -> None:
    (image,) = client.list_images(f"{catalog}/S3")
    assert (image.state, image.embedding_only) == ("SEARCHABLE", True)
    best = client.search(catalog, image=image.name, top_k=1).results[0]
    assert best.sku == "S3"
    with pytest.raises(NotFound) as caught:
        client.download_image(image.name)
    assert caught.value.reason == "IMAGE_HAS_NO_PICTURE"


def test_a_photo_is_refused_with_what_to_do(client: Client, catalog: str, shop: Shop) -> None:
    photo = shop.image(shop.rows()[0])
    for call in (
        lambda: client.search(catalog, photo),
        lambda: client.upload_image(f"{catalog}/S1", photo),
    ):
        with pytest.raises(FailedPrecondition) as caught:
            call()
        assert caught.value.reason == "MODEL_HAS_NO_EMBEDDER"
        assert "search by vector" in caught.value.message


def test_the_same_again_changes_nothing(client: Client, catalog: str, source: Path) -> None:
    before = exported(client, catalog)
    again = client.import_products(catalog, source, embeddings_model=MODEL).raise_for_error()
    assert (again.counts.products_unchanged, again.counts.points_indexed) == (COUNT, 0)
    assert exported(client, catalog) == before


def test_bad_embeddings_reject_their_rows_and_no_others(client: Client, tmp_path: Path) -> None:
    good = vectors(6, seed=8)
    rows: list[object] = [*good, None, good[0][:-1], good[1] * np.nan, good[2] * 0]
    source = parquet(tmp_path / "bad.parquet", rows)
    done = client.import_products("outside-bad", source, embeddings_model=MODEL)
    assert (done.counts.rows_accepted, done.counts.rows_rejected) == (6, 4)
    assert [(each.row, each.reason) for each in done.rejections] == [
        (7, "EMBEDDING_MISSING"),
        (8, "DIMENSION_MISMATCH"),
        (9, "EMBEDDING_NOT_FINITE"),
        (10, "EMBEDDING_ZERO"),
    ]
    assert len(exported(client, "outside-bad")) == 6


def test_embeddings_of_another_model_are_refused_before_anything_is_sent(
    client: Client, catalog: str, shop: Shop, tmp_path: Path
) -> None:
    client.import_products("outside-base", shop.manifest).raise_for_error()
    short = parquet(tmp_path / "short.parquet", vectors(2, dimension=DIMENSION - 1))
    whole = parquet(tmp_path / "whole.parquet", vectors(2))
    for into, model, source, reason in (
        (catalog, "another", whole, "EMBEDDING_MODEL_DIFFERS"),
        (catalog, MODEL, short, "DIMENSION_MISMATCH"),
        ("outside-base", "base", whole, "EMBEDDING_MODEL_DIFFERS"),
        ("outside-new", "base", whole, "MODEL_NAME_TAKEN"),
    ):
        before = len(list(client.list_operations()))
        with pytest.raises(FailedPrecondition) as caught:
            client.import_products(into, source, embeddings_model=model)
        assert caught.value.reason == reason
        assert len(list(client.list_operations())) == before


def test_an_export_is_imported_with_the_same_vectors(
    client: Client, catalog: str, server: LocalServer, tmp_path: Path
) -> None:
    file = tmp_path / "emb.parquet"
    target = ["--target", server.target]
    assert run(["export", catalog, "--embeddings", "-o", str(file), *target]) == 0
    arguments = ["import", "outside-copy", str(file), "--embeddings-model", MODEL, *target]
    assert run(arguments) == 0
    assert exported(client, "outside-copy") == exported(client, catalog)
    assert _images(client, "outside-copy") == _images(client, catalog)


def test_vectors_beside_a_manifest_belong_to_the_pictures_of_its_rows(
    client: Client, server: LocalServer, shop: Shop, tmp_path: Path
) -> None:
    rows, values = shop.rows(), vectors(len(shop.rows()), seed=11)
    np.save(tmp_path / "v.npy", values.astype(np.float64))
    target = ["--target", server.target, "--embeddings-model", MODEL]
    beside = ["--embeddings", str(tmp_path / "v.npy")]
    assert run(["import", "outside-shop", str(shop.manifest), *beside, *target]) == 0
    for row, vector in zip(rows[::7], values[::7], strict=True):
        best = client.search("outside-shop", embedding=vector.tolist(), top_k=1).results[0]
        assert best.sku == row["sku"]
        assert client.download_image(best.image) == shop.image(row).read_bytes()

    np.save(tmp_path / "v.npy", values[::-1])  # the vectors were of other rows
    assert run(["import", "outside-shop", str(shop.manifest), *beside, *target]) == 0
    best = client.search("outside-shop", embedding=values[-1].tolist(), top_k=1).results[0]
    assert (best.sku, round(best.score, 4)) == (rows[0]["sku"], 1)

    np.save(tmp_path / "v.npy", values[1:])
    with pytest.raises(InvalidManifest) as caught:
        client.import_products(
            "outside-none",
            shop.manifest,
            embeddings_model=MODEL,
            embeddings=tmp_path / "v.npy",
        )
    assert caught.value.reason == "EMBEDDINGS_ROW_COUNT"
    assert "catalogs/outside-none" not in [each.name for each in client.list_catalogs()]


def test_prices_come_without_embeddings_and_new_pictures_do_not(
    client: Client, catalog: str, shop: Shop, tmp_path: Path
) -> None:
    feed = tmp_path / "feed.jsonl"
    feed.write_text(json.dumps({"sku": "S5", "price": 7}))
    client.import_products(catalog, feed).raise_for_error()
    assert client.get_product(f"{catalog}/S5").price == 7
    assert len(list(client.list_images(f"{catalog}/S5"))) == 1
    (tmp_path / "new.jpg").write_bytes(new_picture(shop, seed=77))
    feed.write_text(json.dumps({"sku": "S6", "image": "new.jpg"}))
    done = client.import_products(catalog, feed)
    assert [each.reason for each in done.rejections] == ["EMBEDDING_MISSING"]
    best = client.search(catalog, embedding=vectors()[6].tolist(), top_k=1).results[0]
    assert best.sku == "S6"


def _images(client: Client, catalog: str) -> list[tuple[str, str, bool]]:
    products = client.list_products(catalog)
    images = [image for each in products for image in client.list_images(each.name)]
    return [(each.sha256, each.state, each.embedding_only) for each in images]
