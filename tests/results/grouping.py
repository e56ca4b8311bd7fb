"""Photos that repeat each other are told apart from others, and never part company in a split."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tests.results.thumbnails import Float32

Int64 = npt.NDArray[np.int64]

ALIKE = 0.6  # of thumbnails: where the probe of Grocery's train photos is what val to train gives


def alike_groups(thumbnails: Float32, products: Sequence[str], least: float = ALIKE) -> Int64:
    """A group for every photo, int64 [n]: those of one product that are connected by pairs with a
    similarity of at least `least`. Groups of different products differ."""
    groups = np.full(len(products), -1, np.int64)
    names = np.array(products)
    for product in sorted(set(products)):
        members = np.flatnonzero(names == product)
        alike = thumbnails[members] @ thumbnails[members].T >= least
        groups[members] = _components(alike) + groups.max() + 1
    return groups


def hold_out(
    groups: Int64, products: Sequence[str], share: float, seed: int
) -> npt.NDArray[np.bool_]:
    """Which photos are held out, bool [n]: of every product whole groups, at random, until they
    have `share` of its photos. A group that would leave the product little stays."""
    random = np.random.default_rng(seed)
    held = np.zeros(len(products), bool)
    names = np.array(products)
    for product in sorted(set(products)):
        members = np.flatnonzero(names == product)
        wanted, most = share * len(members), (1 + share) / 2 * len(members)
        count = 0
        for group in random.permutation(np.unique(groups[members])):
            burst = members[groups[members] == group]
            if count < wanted and count + len(burst) <= most:
                held[burst] = True
                count += len(burst)
    return held


def spread(groups: Int64, products: Sequence[str], most: int, seed: int) -> Int64:
    """At most `most` photos of every product, ascending, from as many groups as there are."""
    random = np.random.default_rng(seed)
    taken: list[int] = []
    names = np.array(products)
    for product in sorted(set(products)):
        members = random.permutation(np.flatnonzero(names == product))
        turns = [
            int((groups[members[:at]] == groups[each]).sum()) for at, each in enumerate(members)
        ]
        taken += [int(each) for each in members[np.argsort(turns, kind="stable")[:most]]]
    return np.array(sorted(taken), np.int64)


def leak(
    queries: Float32, gallery: Float32, wanted: Sequence[str], products: Sequence[str]
) -> float:
    """Share of queries whose nearest thumbnail in the gallery is of their product, from 0 to 1:
    high where the two sides have photos of one burst."""
    nearest = (queries @ gallery.T).argmax(axis=1)
    return float(np.mean([products[at] == each for at, each in zip(nearest, wanted, strict=True)]))


def _components(alike: npt.NDArray[np.bool_]) -> Int64:
    """The connected component of every row of the symmetric bool [n, n], int64 [n] from 0."""
    found = np.full(len(alike), -1, np.int64)
    for start in range(len(alike)):
        if found[start] >= 0:
            continue
        component, edge = found.max() + 1, np.arange(len(alike)) == start
        while edge.any():
            found[edge] = component
            edge = alike[edge].any(axis=0) & (found < 0)
    return found
