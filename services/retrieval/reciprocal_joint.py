"""k-reciprocal re-ranking with all queries and the whole gallery in one graph, offline.

Zhong et al. (2017), as the paper has it: queries help each other, so the ranking of one depends on
which others are asked, and the figures are not those of a search. What the paper leaves open is
settled as in services.retrieval.reciprocal, which ranks the candidates of one query alone.

Vectors that are equal become one node that counts as many times: their rows are equal as well, and
a picture that a thousand products share does not make a graph of a million edges.
"""

from dataclasses import dataclass

import numpy as np

from services.core.domain.stages import Reranking
from services.core.ports import Float32
from services.retrieval.linear import Float64
from services.retrieval.pairwise import (
    check_distance,
    check_vectors,
    pair_distances,
    prepared,
    raw_distances,
)
from services.retrieval.reciprocal import TIE, half, normalised
from services.retrieval.sparse_rows import Int64, SparseRows, added_up, batches, contains, summed

# Values that are held at once in any step, beside the graph and the result.
_VALUES = 1 << 21


@dataclass(frozen=True, eq=False)
class _Nodes:
    """Distinct vectors float64 [n, d] as prepared, how often each occurs float64 [n], and which one
    each of the given vectors is, int64 [given]."""

    vectors: Float64
    counts: Float64
    of: Int64
    distance: str

    def __len__(self) -> int:
        return len(self.vectors)


@dataclass(frozen=True, eq=False)
class _Neighbours:
    """N(p, k1), N(p, k1 / 2) and N(p, k2) of every node, and its largest raw distance [n]."""

    wide: SparseRows
    narrow: SparseRows
    few: SparseRows
    largest: Float64


def rerank_joint(
    queries: Float32, gallery: Float32, reranking: Reranking, distance: str
) -> Float32:
    """Final distances float32 [q, g] in [0, 1], lower is nearer: weight * original + (1 - weight) *
    Jaccard distance.

    The original distance is that of `reciprocal.rerank`, over the largest from the query to any
    other query or image. Memory: the result, both arrays in float64, and the graph, which grows
    with (q + g) * k1 * k2. Time grows with (q + g)^2.

    Args:
        queries: [q, d].
        gallery: [g, d].
        reranking: k1, k2 and the weight; `candidates` is not used, the whole gallery is taken.
        distance: of the model.

    Raises ValueError for arrays that do not fit.
    """
    check_distance(distance)
    check_vectors("queries", queries)
    check_vectors("gallery", gallery, queries.shape[1])
    if not len(queries) or not len(gallery):
        return np.zeros((len(queries), len(gallery)), np.float32)
    nodes = _distinct(np.concatenate([queries, gallery]), distance)
    neighbours = _neighbours(nodes, reranking)
    encoded = _encoded(nodes, neighbours)
    return _final(nodes, encoded, neighbours.largest, len(queries), reranking.weight)


def _distinct(vectors: Float32, distance: str) -> _Nodes:
    known: dict[bytes, int] = {}
    positive = vectors + np.float32(0.0)  # -0.0 has other bytes than 0.0
    of = np.array([known.setdefault(row.tobytes(), len(known)) for row in positive], np.int64)
    first = np.unique(of, return_index=True)[1]
    counts = np.bincount(of).astype(np.float64)
    return _Nodes(prepared(vectors[first], distance), counts, of, distance)


def _neighbours(nodes: _Nodes, reranking: Reranking) -> _Neighbours:
    ranks = (reranking.k1, half(reranking.k1), reranking.k2 - 1)
    found: list[list[Int64]] = [[], [], []]
    largest = np.empty(len(nodes))
    for rows in batches(np.full(len(nodes), len(nodes)), _VALUES):
        raw = raw_distances(nodes.vectors[rows], nodes.vectors, nodes.distance)
        largest[rows] = raw.max(axis=1)
        for keys, each in zip(found, _nearest(raw, nodes.counts, ranks), strict=True):
            keys.append(each + rows.start * len(nodes))
    wide, narrow, few = (SparseRows.of_keys(len(nodes), np.concatenate(each)) for each in found)
    return _Neighbours(wide, narrow, few, largest)


def _nearest(raw: Float64, counts: Float64, ranks: tuple[int, ...]) -> list[Int64]:
    """For each rank, counted from 0, the keys row * n + column of those in raw distances [r, n]
    that are at most as far as the one of that rank, the largest rank first."""
    size = raw.shape[1]
    place = min(ranks[0], size - 1)
    slack = TIE * raw.max(axis=1)
    # A node stands for one vector or more: more than these are never needed.
    rows, columns = np.nonzero(raw <= (np.partition(raw, place, axis=1)[:, place] + slack)[:, None])
    distances = raw[rows, columns]
    order = np.lexsort((distances, rows))
    starts = np.searchsorted(rows, np.arange(len(raw) + 1))
    reached = np.cumsum(counts[columns[order]])
    before = np.concatenate([[0.0], reached])[starts[:-1]]
    keys = []
    for rank in ranks:
        last = np.minimum(np.searchsorted(reached, before + rank, side="right"), starts[1:] - 1)
        near = distances <= (distances[order[last]] + slack)[rows]
        keys.append((rows * size + columns)[near].astype(np.int64))
    return keys


def _encoded(nodes: _Nodes, neighbours: _Neighbours) -> SparseRows:
    """Each node by its k-reciprocal neighbours, after local query expansion (sections 3.2, 3.3 and
    3.5 of the paper)."""
    keys = _expanded(nodes, _mutual(neighbours.wide), _mutual(neighbours.narrow))
    weights = SparseRows.of_keys(len(nodes), keys, _weights(nodes, keys, neighbours.largest))
    return _averaged(nodes, weights, neighbours.few)


def _mutual(neighbours: SparseRows) -> SparseRows:
    backwards = neighbours.columns * neighbours.size + neighbours.rows
    return neighbours.kept(contains(neighbours.keys, backwards))


def _expanded(nodes: _Nodes, reciprocal: SparseRows, smaller: SparseRows) -> Int64:
    """R*: the keys of R(p, k1), and of R(q, k1 / 2) of each q in it that has two thirds of its own
    in R(p, k1)."""
    sizes = smaller.sums(nodes.counts)
    keys = [reciprocal.keys]
    for edges in batches(smaller.lengths[reciprocal.columns], _VALUES):
        near = reciprocal.columns[edges]
        owners, entries = smaller.entries_of(near)
        columns = smaller.columns[entries]
        reached = reciprocal.rows[edges][owners] * len(nodes) + columns
        shared = nodes.counts[columns] * contains(reciprocal.keys, reached)
        taken = 3.0 * np.bincount(owners, shared, len(near)) >= 2.0 * sizes[near]
        keys.append(np.unique(reached[taken[owners]]))
    return np.unique(np.concatenate(keys))


def _weights(nodes: _Nodes, keys: Int64, largest: Float64) -> Float64:
    """exp(-original distance) of each pair of nodes."""
    rows, columns = np.divmod(keys, len(nodes))
    weights = np.empty(len(keys))
    for some in batches(np.full(len(keys), nodes.vectors.shape[1]), _VALUES):
        ours, theirs = nodes.vectors[rows[some]], nodes.vectors[columns[some]]
        raw = pair_distances(ours, theirs, nodes.distance)[:, None]
        weights[some] = np.exp(-normalised(raw, largest[rows[some]], nodes.distance)[:, 0])
    return weights


def _averaged(nodes: _Nodes, weights: SparseRows, few: SparseRows) -> SparseRows:
    """Every row becomes the mean of those of its nearest."""
    totals = few.sums(nodes.counts)
    costs = np.bincount(few.rows, weights.lengths[few.columns], len(nodes)).astype(np.int64)
    keys, values = [], []
    for rows in batches(costs, _VALUES):
        edges = slice(few.starts[rows.start], few.starts[rows.stop])
        owners, entries = weights.entries_of(few.columns[edges])
        ours = few.rows[edges][owners]
        shares = nodes.counts[few.columns[edges]][owners] / totals[ours]
        reached = ours * len(nodes) + weights.columns[entries]
        some, sums = added_up(reached, shares * weights.values[entries])
        keys.append(some)
        values.append(sums)
    return SparseRows.of_keys(len(nodes), np.concatenate(keys), np.concatenate(values))


def _final(
    nodes: _Nodes, encoded: SparseRows, largest: Float64, queries: int, weight: float
) -> Float32:
    """An inverted index over the gallery's rows finds what a query shares with them: rows without a
    common neighbour are never touched."""
    asked, stored = nodes.of[:queries], nodes.of[queries:]
    theirs = np.unique(stored)
    places = np.searchsorted(theirs, stored)
    index = encoded.kept(np.isin(encoded.rows, theirs)).transposed()
    sums = encoded.sums(nodes.counts)
    reached = np.bincount(encoded.rows, index.lengths[encoded.columns], len(nodes)).astype(np.int64)
    final = np.empty((queries, len(stored)), np.float32)
    for rows in batches(reached[asked] + len(nodes), _VALUES):
        ours = asked[rows]
        shared = _shared(nodes, encoded, index, ours)[:, theirs]
        jaccard = 1.0 - shared / (sums[ours][:, None] + sums[theirs] - shared)
        raw = raw_distances(nodes.vectors[ours], nodes.vectors[theirs], nodes.distance)
        original = normalised(raw, largest[ours], nodes.distance)
        final[rows] = (weight * original + (1.0 - weight) * jaccard)[:, places]
    return final


def _shared(nodes: _Nodes, encoded: SparseRows, index: SparseRows, rows: Int64) -> Float64:
    """Sums of the smaller of both values [r, n], between rows [r] of `encoded` and all nodes."""
    owners, entries = encoded.entries_of(rows)
    columns, values = encoded.columns[entries], encoded.values[entries]
    which, found = index.entries_of(columns)
    smaller = np.minimum(values[which], index.values[found]) * nodes.counts[columns][which]
    keys = owners[which] * len(nodes) + index.columns[found]
    return summed(keys, smaller, len(rows) * len(nodes)).reshape(len(rows), len(nodes))
