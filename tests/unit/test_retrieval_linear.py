"""Linear parts: what they compute, and what is refused when they are read."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from services.core.adapters.file_objects import FileObjects
from services.core.domain.errors import DataLoss, InvalidArgument, NotFound
from services.core.domain.keys import linear_key
from services.core.domain.model import LinearSpec
from services.retrieval.linear import Linear
from services.retrieval.linear_store import LinearStore
from tests.unit.retrieval_models import a_linear, an_embedder, single, spec_of


def spec_of_bytes(data: bytes, input_dim: int = 6, output_dim: int = 4) -> LinearSpec:
    return LinearSpec(hashlib.sha256(data).hexdigest(), input_dim, output_dim)


def test_a_linear_part_subtracts_the_mean_and_multiplies() -> None:
    linear = a_linear(6, 4)
    x = np.random.default_rng(1).standard_normal((5, 6)).astype(np.float32)
    expected = [(row - linear.mean) @ linear.matrix for row in x.astype(np.float64)]
    found = linear.apply(x)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_what_was_written_reads_as_the_same() -> None:
    linear = a_linear(6, 4)
    read = Linear.from_bytes(linear.to_bytes(), spec_of(linear))
    np.testing.assert_array_equal(read.mean, linear.mean)
    np.testing.assert_array_equal(read.matrix, linear.matrix)


def test_equal_parts_have_equal_bytes_whatever_their_layout() -> None:
    linear = a_linear(6, 4)
    turned = Linear(linear.mean, np.asfortranarray(linear.matrix))
    assert turned.to_bytes() == linear.to_bytes()


def test_other_bytes_than_the_model_names_are_refused() -> None:
    linear = a_linear(6, 4)
    data, spec = linear.to_bytes(), spec_of(linear)
    flipped = data[:-1] + bytes([data[-1] ^ 1])
    for other in (flipped, data[:-1], b"", a_linear(6, 4, seed=9).to_bytes()):
        with pytest.raises(DataLoss) as refused:
            Linear.from_bytes(other, spec)
        assert refused.value.reason == "LINEAR_DAMAGED"
        assert spec.sha256 in refused.value.message


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"no safetensors", id="format"),
        pytest.param(b"", id="empty"),
        pytest.param(save({"matrix": np.ones((6, 4), np.float32)}), id="without mean"),
        pytest.param(save({"mean": np.ones(6), "matrix": np.ones((6, 4))}), id="float64"),
        pytest.param(
            save({"mean": np.ones(5, np.float32), "matrix": np.ones((6, 4), np.float32)}),
            id="other mean",
        ),
        pytest.param(
            save({"mean": np.ones(6, np.float32), "matrix": np.full((6, 4), np.nan, np.float32)}),
            id="not finite",
        ),
        pytest.param(a_linear(6, 5).to_bytes(), id="other dimension"),
        pytest.param(a_linear(7, 4).to_bytes(), id="other input"),
    ],
)
def test_bytes_that_are_no_such_linear_part_are_refused_although_named(data: bytes) -> None:
    with pytest.raises(DataLoss) as refused:
        Linear.from_bytes(data, spec_of_bytes(data))
    assert refused.value.reason == "LINEAR_DAMAGED"


def test_a_linear_part_that_gives_more_than_it_takes_cannot_be_made() -> None:
    with pytest.raises(InvalidArgument) as refused:
        Linear(np.zeros(3, np.float32), np.zeros((3, 4), np.float32))
    assert refused.value.reason == "INVALID_LINEAR"


def test_a_store_gives_back_every_part_of_a_model(tmp_path: Path) -> None:
    store = LinearStore(FileObjects(tmp_path))
    linear = a_linear(6, 4)
    sha256 = store.put(linear)
    model = single(an_embedder(6), spec_of(linear))
    assert sha256 == spec_of(linear).sha256
    found = store.of(model)
    assert found.keys() == {sha256}
    np.testing.assert_array_equal(found[sha256].matrix, linear.matrix)
    assert store.of(single(an_embedder(6))) == {}


def test_a_store_reads_a_part_once_and_forgets_the_one_that_waited_longest(tmp_path: Path) -> None:
    objects = FileObjects(tmp_path)
    store = LinearStore(objects, most=2)
    parts = [a_linear(6, 4, seed=each) for each in range(3)]
    models = [single(an_embedder(6), spec_of(each)) for each in parts]
    for each in parts:
        store.put(each)
    for model in models:
        store.of(model)
    for each in parts:
        objects.delete(linear_key(spec_of(each).sha256))
    for kept in models[1:]:
        assert store.of(kept)
    with pytest.raises(NotFound):
        store.of(models[0])


def test_a_store_takes_a_part_for_no_other_shape_than_it_has(tmp_path: Path) -> None:
    store = LinearStore(FileObjects(tmp_path))
    linear = a_linear(6, 4)
    store.put(linear)
    store.of(single(an_embedder(6), spec_of(linear)))
    wrong = replace(spec_of(linear), output_dim=3)
    with pytest.raises(DataLoss):
        store.of(single(an_embedder(6), wrong))
