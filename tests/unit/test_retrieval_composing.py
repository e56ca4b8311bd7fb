"""Embeddings of models from those of their members, against Algorithm 1 of Han 2022 by hand."""

import numpy as np
import pytest

from services.core.domain.errors import InvalidArgument
from services.core.domain.model import Member, Model
from services.core.ports import Float32
from services.retrieval.composing import Part, compose, join
from services.retrieval.fitting import fit_whitening
from services.retrieval.linear import Float64, Linear
from services.retrieval.moments import Moments
from tests.unit.retrieval_models import a_linear, an_embedder, single, spec_of

ROWS = 40


def a_part(dimension: int, seed: int, rows: int = ROWS) -> Part:
    """Embeddings of length 1 and the lengths that they had."""
    random = np.random.default_rng(seed)
    raw = random.standard_normal((rows, dimension)) + 1.0
    norms = np.linalg.norm(raw, axis=1)
    return (raw / norms[:, None]).astype(np.float32), norms.astype(np.float32)


def named(*linears: Linear) -> dict[str, Linear]:
    return {spec_of(each).sha256: each for each in linears}


def unit(vector: Float64) -> Float64:
    length: float = np.sqrt((vector**2).sum())
    return vector / length


def by_hand(linear: Linear, vector: Float32 | Float64) -> Float64:
    result: Float64 = (vector.astype(np.float64) - linear.mean) @ linear.matrix.astype(np.float64)
    return result


DUO_LINEARS = (a_linear(8, 5, 1), a_linear(11, 4, 2))
DUO = Model(
    (
        Member(an_embedder(8, name="one"), spec_of(DUO_LINEARS[0])),
        Member(an_embedder(6, name="two")),
    ),
    spec_of(DUO_LINEARS[1]),
)
DUO_PARTS = (a_part(8, 3), a_part(6, 4))


@pytest.mark.parametrize("normalised", [True, False])
def test_the_embeddings_of_a_plain_model_are_unchanged_to_the_bit(normalised: bool) -> None:
    model = Model.plain(an_embedder(8, normalised=normalised))
    embeddings, norms = a_part(8, 1)
    embeddings *= 3.7
    found = compose(model, [(embeddings, norms)], {})
    assert found.dtype == np.float32
    assert found.tobytes() == embeddings.tobytes()


def test_a_whitened_embedding_is_brought_to_length_one_after_the_whitening() -> None:
    linear = a_linear(8, 5)
    part = a_part(8, 1)
    found = compose(single(an_embedder(8), spec_of(linear)), [part], named(linear))
    expected = [unit(by_hand(linear, row)) for row in part[0]]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_linear_part_gets_the_length_from_before_where_it_wants_it() -> None:
    linear = a_linear(8, 5)
    model = single(an_embedder(8), spec_of(linear, norms=True))
    embeddings, norms = a_part(8, 1)
    expected = [
        unit(by_hand(linear, row * norm)) for row, norm in zip(embeddings, norms, strict=True)
    ]
    found = compose(model, [(embeddings, norms)], named(linear))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    other = compose(single(an_embedder(8), spec_of(linear)), [(embeddings, norms)], named(linear))
    assert np.abs(found - other).max() > 0.01


def test_an_embedder_that_keeps_lengths_is_not_given_them_twice() -> None:
    linear = a_linear(8, 5)
    embeddings, norms = a_part(8, 1)
    raw = embeddings * norms[:, None]
    embedder = an_embedder(8, normalised=False)
    found = compose(single(embedder, spec_of(linear, norms=True)), [(raw, norms)], named(linear))
    np.testing.assert_allclose(found, [unit(by_hand(linear, row)) for row in raw], atol=1e-6)


def test_a_model_that_is_not_normalised_keeps_the_lengths_of_its_linear_part() -> None:
    linear = a_linear(8, 5)
    model = Model((Member(an_embedder(8), spec_of(linear)),), None, "euclidean", False)
    part = a_part(8, 1)
    np.testing.assert_allclose(
        compose(model, [part], named(linear)), [by_hand(linear, row) for row in part[0]], atol=1e-5
    )


def test_members_are_whitened_brought_to_one_and_concatenated_before_the_last_part() -> None:
    found = compose(DUO, DUO_PARTS, named(*DUO_LINEARS))
    assert found.shape == (ROWS, DUO.embedding_dim)
    for row in range(ROWS):
        whitened = unit(by_hand(DUO_LINEARS[0], DUO_PARTS[0][0][row]))
        joined = np.concatenate([whitened, DUO_PARTS[1][0][row]]) / np.sqrt(2)
        expected = unit(by_hand(DUO_LINEARS[1], joined))
        np.testing.assert_allclose(found[row], expected, atol=1e-6)


def test_the_similarity_of_an_ensemble_is_the_mean_of_its_members() -> None:
    model = Model((Member(an_embedder(8, name="one")), Member(an_embedder(6, name="two"))))
    found = compose(model, DUO_PARTS, {})
    mean = (DUO_PARTS[0][0] @ DUO_PARTS[0][0].T + DUO_PARTS[1][0] @ DUO_PARTS[1][0].T) / 2
    np.testing.assert_allclose(found @ found.T, mean, atol=1e-5)


def test_members_of_other_lengths_count_the_same() -> None:
    model = Model((Member(an_embedder(8, normalised=False)), Member(an_embedder(6, name="two"))))
    (embeddings, norms), second = DUO_PARTS
    long = compose(model, [(embeddings * 1000, norms), second], {})
    short = compose(model, [(embeddings, norms), second], {})
    np.testing.assert_allclose(long, short, atol=1e-6)


@pytest.mark.parametrize("rows", [1, 2, 7, 33])
def test_a_row_does_not_depend_on_the_rows_beside_it(rows: int) -> None:
    """With a whitening that makes its smallest direction a thousand times wider."""
    random = np.random.default_rng(5)
    widths = np.geomspace(1, 1e-3, 256)
    gallery = (1 + random.standard_normal((2_000, 256)) * widths).astype(np.float32)
    moments = Moments(256)
    moments.add(gallery)
    linear = fit_whitening(moments).linear
    model = single(an_embedder(256, normalised=False), spec_of(linear))
    norms = np.linalg.norm(gallery, axis=1)
    together = compose(model, [(gallery, norms)], named(linear))
    alone = compose(model, [(gallery[:rows], norms[:rows])], named(linear))
    assert np.abs(together[:rows] - alone).max() < 1e-6


def test_zeros_stay_finite_in_every_step() -> None:
    zero = [(np.zeros((3, 8), np.float32), np.zeros(3, np.float32)), a_part(6, 1, rows=3)]
    plain = Model((Member(an_embedder(8, name="one")), Member(an_embedder(6, name="two"))))
    flat = Linear(np.zeros(8, np.float32), np.eye(8, dtype=np.float32))
    whitened = single(an_embedder(8), spec_of(flat, norms=True))
    assert np.isfinite(compose(plain, zero, {})).all()
    assert np.isfinite(compose(DUO, zero, named(*DUO_LINEARS))).all()
    np.testing.assert_array_equal(compose(whitened, zero[:1], named(flat)), 0.0)


def test_no_rows_give_no_rows() -> None:
    empty = [a_part(8, 1, rows=0), a_part(6, 1, rows=0)]
    assert compose(DUO, empty, named(*DUO_LINEARS)).shape == (0, 4)


def test_what_a_linear_part_is_fitted_to_is_what_it_will_be_given() -> None:
    linear = a_linear(8, 5)
    part = a_part(8, 1)
    given = join(single(an_embedder(8)), [part], {}, norms=True)
    model = single(an_embedder(8), spec_of(linear, norms=True))
    np.testing.assert_array_equal(given, join(model, [part], named(linear)))
    np.testing.assert_allclose(
        compose(model, [part], named(linear)),
        [unit(each) for each in linear.precise(given)],
        atol=1e-6,
    )


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param([], id="none"),
        pytest.param(DUO_PARTS[:1], id="a member without"),
        pytest.param(DUO_PARTS[::-1], id="in another order"),
        pytest.param([DUO_PARTS[0], a_part(6, 1, rows=ROWS - 1)], id="fewer rows"),
        pytest.param([DUO_PARTS[0], (DUO_PARTS[1][0], DUO_PARTS[1][1][1:])], id="fewer norms"),
    ],
)
def test_parts_that_are_not_the_members_are_refused(parts: list[Part]) -> None:
    with pytest.raises(InvalidArgument) as refused:
        compose(DUO, parts, named(*DUO_LINEARS))
    assert refused.value.reason == "DIMENSION_MISMATCH"
