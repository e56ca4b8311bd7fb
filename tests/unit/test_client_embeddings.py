"""Embeddings that a client brings along: where they are read from, and how they travel."""

import base64
import json
import pickle
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shelflens import Client
from shelflens.errors import FailedPrecondition, InvalidArgument, InvalidManifest, ShelflensError
from shelflens.manifests.npy import NpyFile
from tests.unit.test_client_server import MemoryServer, serving

MODEL = "acme-clip-v2"
VALUES = np.arange(12, dtype=np.float32).reshape(3, 4) / 8


@pytest.fixture
def server() -> MemoryServer:
    return MemoryServer()


@pytest.fixture
def client(server: MemoryServer) -> Iterator[Client]:
    with serving(server) as target, Client(target, timeout=10) as client:
        yield client


def sent(server: MemoryServer) -> list[Any]:
    """The embeddings in the lines of the last manifest."""
    *_, manifest = server.manifests.values()
    lines = [json.loads(line) for line in manifest.splitlines()]
    return [
        np.frombuffer(base64.b64decode(line["embedding"]), "<f4").tolist()
        if "embedding" in line
        else None
        for line in lines
    ]


def skus(folder: Path, count: int = 3) -> Path:
    path = folder / "m.csv"
    path.write_text("sku,title\n" + "".join(f"S{n},T{n}\n" for n in range(count)))
    return path


def npy(folder: Path, values: Any, **options: Any) -> Path:
    path = folder / "v.npy"
    np.save(path, values, **options)
    return path


@pytest.mark.parametrize("kind", ["<f2", "<f4", "<f8", ">f2", ">f4", ">f8"])
def test_a_matrix_is_read_whatever_floats_it_has(tmp_path: Path, kind: str) -> None:
    file = NpyFile(npy(tmp_path, VALUES.astype(kind)))
    assert (file.rows, file.columns) == (3, 4)
    read = [np.frombuffer(file.row(at), "<f4").tolist() for at in range(3)]
    file.close()
    assert read == VALUES.tolist()


class Trap:
    """What runs something when it is unpickled."""

    def __reduce__(self) -> Any:
        return pytest.fail, ("it was unpickled",)


@pytest.mark.parametrize("shape", [(3,), (3, 4, 1), (0, 4), (3, 0)])
def test_what_is_no_matrix_is_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    with pytest.raises(InvalidManifest, match="shape") as caught:
        NpyFile(npy(tmp_path, np.zeros(shape, np.float32)))
    assert caught.value.reason == "EMBEDDINGS_UNREADABLE"


def test_objects_are_refused_and_never_unpickled(tmp_path: Path) -> None:
    objects = np.array([[Trap(), Trap()]], object)
    (tmp_path / "bare.npy").write_bytes(pickle.dumps(Trap()))
    for path in (npy(tmp_path, objects, allow_pickle=True), tmp_path / "bare.npy"):
        with pytest.raises(InvalidManifest) as caught:
            NpyFile(path)
        assert caught.value.reason == "EMBEDDINGS_UNREADABLE"


def test_files_that_are_not_what_their_header_says_are_refused(tmp_path: Path) -> None:
    good = npy(tmp_path, VALUES).read_bytes()
    deep = b"\x93NUMPY\x01\x00" + (60_000).to_bytes(2, "little") + b"(" * 60_000
    fortran = npy(tmp_path, np.asfortranarray(VALUES)).read_bytes()
    whole_numbers = npy(tmp_path, VALUES.astype(int)).read_bytes()
    cases = (good[:-1], good + b"x", good[:20], b"", deep, fortran, whole_numbers, b"PK\x03\x04")
    for data in cases:
        (tmp_path / "v.npy").write_bytes(data)
        with pytest.raises(InvalidManifest) as caught:
            NpyFile(tmp_path / "v.npy")
        assert caught.value.reason == "EMBEDDINGS_UNREADABLE"
    with pytest.raises(InvalidManifest) as caught:
        NpyFile(tmp_path / "none.npy")
    assert caught.value.reason == "EMBEDDINGS_NOT_FOUND"


def test_row_i_of_the_file_belongs_to_row_i_of_the_manifest(
    client: Client, server: MemoryServer, tmp_path: Path
) -> None:
    file = npy(tmp_path, VALUES.astype(np.float64))
    client.import_products("shop", skus(tmp_path), embeddings=file, embeddings_model=MODEL)
    assert sent(server) == VALUES.tolist()
    made = client.get_catalog("shop")
    assert (made.model, made.embedding_dimension) == (f"models/{MODEL}", 4)


@pytest.mark.parametrize("count", [2, 4])
def test_numbers_of_rows_that_differ_are_refused_before_anything_is_made(
    client: Client, server: MemoryServer, tmp_path: Path, count: int
) -> None:
    source, file = skus(tmp_path, count), npy(tmp_path, VALUES)
    with pytest.raises(InvalidManifest) as caught:
        client.import_products("shop", source, embeddings=file, embeddings_model=MODEL)
    assert caught.value.reason == "EMBEDDINGS_ROW_COUNT"
    assert not server.catalogs
    assert not server.manifests


def test_a_column_is_found_by_its_name_or_named(
    client: Client, server: MemoryServer, tmp_path: Path
) -> None:
    for name, options in (
        ("embedding", {}),
        ("values", {}),
        ("clip", {"mapping": ["embedding=clip"]}),
        ("CLIP", {"mapping": {"embedding": "clip"}}),
    ):
        rows = [{"sku": f"S{n}", name: each.tolist()} for n, each in enumerate(VALUES)]
        source = tmp_path / "m.jsonl"
        source.write_text("\n".join(map(json.dumps, rows)))
        notes: list[str] = []
        client.import_products(
            "shop", source, embeddings_model=MODEL, on_note=notes.append, **options
        )
        assert sent(server) == VALUES.tolist()
        assert not any("ignored" in note for note in notes)


def test_cells_may_be_json_and_bad_ones_are_problems_of_their_rows(
    client: Client, server: MemoryServer, tmp_path: Path
) -> None:
    source = tmp_path / "m.csv"
    source.write_text('sku,embedding\nA,"[1, 2]"\nB,\nC,1;2\nD,"[1, [2]]"\n')
    done = client.import_products("shop", source, embeddings_model=MODEL)
    assert sent(server) == [[1, 2], None, None, None]
    assert [(each.row, each.reason) for each in done.rejections] == [
        (3, "EMBEDDING_UNREADABLE"),
        (4, "EMBEDDING_UNREADABLE"),
    ]


def test_names_of_stored_images_are_sent_as_their_hashes(
    client: Client, server: MemoryServer, tmp_path: Path
) -> None:
    name = f"catalogs/shop/products/a/images/{'ab' * 32}"
    source = tmp_path / "m.jsonl"
    source.write_text(json.dumps({"sku": "A", "image": name, "values": [1, 2]}))
    client.import_products("shop", source, embeddings_model=MODEL)
    (line,) = [json.loads(each) for each in server.manifests.popitem()[1].splitlines()]
    assert line["images"] == [{"source": name, "sha256": "ab" * 32}]


def test_a_catalogue_of_another_model_or_dimension_is_told_before_sending(
    client: Client, server: MemoryServer, tmp_path: Path
) -> None:
    client.create_catalog("other", model="beta", embedding_dimension=4)
    client.create_catalog("short", model=MODEL, embedding_dimension=3)
    client.create_catalog("here")
    file, source = npy(tmp_path, VALUES), skus(tmp_path)
    for catalog, reason in (
        ("other", "EMBEDDING_MODEL_DIFFERS"),
        ("short", "DIMENSION_MISMATCH"),
        ("here", "EMBEDDING_MODEL_DIFFERS"),
    ):
        with pytest.raises(FailedPrecondition) as caught:
            client.import_products(catalog, source, embeddings=file, embeddings_model=MODEL)
        assert caught.value.reason == reason
    assert not server.manifests


def test_the_dimension_is_that_of_most_rows(client: Client, tmp_path: Path) -> None:
    source = tmp_path / "m.jsonl"
    rows = [{"sku": "A", "embedding": [1]}, *({"sku": s, "embedding": [1, 2]} for s in "BC")]
    source.write_text("\n".join(map(json.dumps, rows)))
    client.import_products("shop", source, embeddings_model=MODEL)
    assert client.get_catalog("shop").embedding_dimension == 2


def test_options_that_do_not_fit_are_refused(client: Client, tmp_path: Path) -> None:
    source, file = skus(tmp_path), npy(tmp_path, VALUES)
    with tarfile.open(tmp_path / "m.tar", "w") as packed:
        packed.add(source, "products.csv")
        packed.add(npy(tmp_path, VALUES), "0.jpg")
    refusals: list[tuple[Path, dict[str, Any], type[ShelflensError], str]] = [
        (source, {"embeddings": file}, InvalidArgument, "INVALID_OPTION"),
        (source, {"mapping": ["embedding=x"]}, InvalidArgument, "INVALID_OPTION"),
        (source, {"embeddings_model": MODEL}, InvalidManifest, "COLUMN_MISSING"),
        (tmp_path, {"embeddings_model": MODEL}, InvalidManifest, "COLUMN_MISSING"),
        (
            tmp_path / "m.tar",
            {"embeddings_model": MODEL, "embeddings": file},
            InvalidArgument,
            "INVALID_OPTION",
        ),
    ]
    for path, options, kind, reason in refusals:
        with pytest.raises(kind) as caught:
            client.import_products("shop", path, **options)
        assert caught.value.reason == reason
