"""From the embeddings of a model's members to those of the model (Han 2022, Algorithm 1)."""

from collections.abc import Mapping, Sequence

import numpy as np

from services.core.domain.errors import InvalidArgument
from services.core.domain.model import Member, Model
from services.core.ports import Float32
from services.retrieval.linear import Float64, Linear

Part = tuple[Float32, Float32]
_SHORTEST = np.finfo(np.float64).tiny


def compose(model: Model, parts: Sequence[Part], linears: Mapping[str, Linear]) -> Float32:
    """float32 [n, model.embedding_dim] from the embeddings of each member.

    `parts` are, member by member, the embeddings [n, d_i] as stored and the norms [n] that they had
    before they were brought to length 1; `linears` holds the model's linear parts by SHA-256. The
    embeddings of a plain model come back unchanged; a row does not depend on the other rows, and
    zeros stay finite. Raises InvalidArgument (DIMENSION_MISMATCH).
    """
    if model.is_plain:
        return _checked(model, parts)[0][0]
    joined = join(model, parts, linears)
    last = model.linear or (model.members[0].linear if len(model.members) == 1 else None)
    vectors = linears[last.sha256].precise(joined) if last else joined
    return (_unit(vectors) if model.normalised else vectors).astype(np.float32)


def join(
    model: Model, parts: Sequence[Part], linears: Mapping[str, Linear], *, norms: bool = False
) -> Float64:
    """What the last linear part of a model takes, whether it has one or not: float64 [n, d].

    Of a single member these are its embeddings, with the length that they had before they were
    brought to 1 where its linear part wants that, or with `norms`. Several members are each brought
    to length 1, put one after the other and scaled to length 1 together. Raises as `compose`.
    """
    parts = _checked(model, parts)
    if len(model.members) == 1:
        (member,) = model.members
        return _lengthened(member, parts[0], norms or bool(member.linear and member.linear.norms))
    units = [
        _unit(_of_member(member, part, linears))
        for member, part in zip(model.members, parts, strict=True)
    ]
    joined: Float64 = np.concatenate(units, axis=1) / np.sqrt(len(units))
    return joined


def _of_member(member: Member, part: Part, linears: Mapping[str, Linear]) -> Float64:
    if member.linear is None:
        return _lengthened(member, part, False)
    return linears[member.linear.sha256].precise(_lengthened(member, part, member.linear.norms))


def _lengthened(member: Member, part: Part, norms: bool) -> Float64:
    embeddings = part[0].astype(np.float64)
    # An embedder that brings nothing to length 1 stores its embeddings as long as they were.
    return embeddings * part[1][:, None] if norms and member.embedder.normalised else embeddings


def _unit(vectors: Float64) -> Float64:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Float64 = vectors / np.maximum(lengths, _SHORTEST)
    return unit


def _checked(model: Model, parts: Sequence[Part]) -> list[Part]:
    """`parts` as they are, once their shapes are what the model's embedders give."""
    found = [(each[0].shape, each[1].shape) for each in parts]
    rows = len(parts[0][0]) if parts else 0
    wanted = [((rows, each.embedding_dim), (rows,)) for each in model.embedders]
    if found != wanted:
        raise InvalidArgument.field(
            "parts",
            f"embeddings and norms are {found}, the model's embedders give {wanted}",
            reason="DIMENSION_MISMATCH",
        )
    return list(parts)
