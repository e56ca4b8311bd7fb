"""Rankings of a whole gallery for many queries, through the stages that a search goes through."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from services.core.domain.stages import Expansion, Reranking, Stages
from services.core.ports import Float32
from services.retrieval.diversity import diversify
from services.retrieval.expansion import expand
from services.retrieval.folding import fold
from services.retrieval.nearest import nearest
from services.retrieval.reciprocal import rerank

MOST_CANDIDATES = 1_000  # images, as in the gateway
Bools = npt.NDArray[np.bool_]
Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Rankings:
    """Of each of q queries, best first, positions in the gallery: `images` int64 [q, k], and
    `answers` [q, k], the best image of each product, filled up with -1. `scores` float32 [q, k] are
    raw scores of the answers by the model."""

    images: Int64
    answers: Int64
    scores: Float32


class Ranker:
    """Searches `vectors` float32 [g, d], which show `products` int64 [g].

    Equal scores come in an order drawn from `seed`: embeddings that say nothing rank at chance.
    """

    def __init__(
        self, vectors: Float32, products: Int64, distance: str, stages: Stages, seed: int
    ) -> None:
        self._vectors = vectors
        self._products = products
        self._distance = distance
        self._stages = stages
        self._seed = seed

    def rank(self, queries: Float32, part: int) -> Rankings:
        """The rankings of `queries` float32 [q, d]; `part` tells chunks of queries apart.

        At most MOST_CANDIDATES images; expand, rerank, fold, diversify as the stages say. Raises
        DataLoss (EMBEDDING_NOT_FINITE).
        """
        if self._stages.expand:
            queries = self._expanded(queries, self._stages.expand, part)
        scores, images = self._nearest(queries, MOST_CANDIDATES, part)
        values = scores
        if self._stages.rerank:
            scores, images, values = self._reranked(queries, scores, images, self._stages.rerank)
        answers = Rankings(images, *_best_of_products(self._products[images], images, scores))
        if self._stages.fold or self._stages.diversify:
            for row in range(len(queries)):
                self._arrange(answers, row, values[row])
        return answers

    def _nearest(self, queries: Float32, k: int, part: int) -> tuple[Float32, Int64]:
        return nearest(queries, self._vectors, k, self._distance, seed=self._seed + part)

    def _expanded(self, queries: Float32, wanted: Expansion, part: int) -> Float32:
        scores, images = self._nearest(queries, wanted.neighbours, part)
        expanded = np.empty_like(queries)
        for row, query in enumerate(queries):
            neighbours = self._vectors[images[row]]
            expanded[row] = expand(query, neighbours, scores[row], wanted, self._distance)
        return expanded

    def _reranked(
        self, queries: Float32, scores: Float32, images: Int64, wanted: Reranking
    ) -> tuple[Float32, Int64, Float32]:
        """Scores and images in their new order, and what they are in the order of, never rising."""
        scores, images = scores.copy(), images.copy()
        some = min(wanted.candidates, images.shape[1])
        values = np.empty(images.shape, np.float32)
        for row, query in enumerate(queries):
            found = rerank(query, self._vectors[images[row, :some]], wanted, self._distance)
            order = np.argsort(-found, kind="stable")
            scores[row, :some] = scores[row, order]
            images[row, :some] = images[row, order]
            values[row, :some] = found[order]
        # The rest has values of another scale, and comes after the last of these.
        values[:, some:] = values[:, some - 1 : some]
        return scores, images, values

    def _arrange(self, ranked: Rankings, row: int, values: Float32) -> None:
        """Folds and diversifies the answers of a query; `values` [k] are those of its images."""
        answers = ranked.answers[row][ranked.answers[row] >= 0]
        place = {image: at for at, image in enumerate(ranked.images[row].tolist())}
        vectors = self._vectors[answers]
        chosen = np.arange(len(answers))
        if self._stages.fold:
            into = np.array(fold(vectors, self._stages.fold.similarity), np.int64)
            chosen = chosen[into == chosen]
        if self._stages.diversify and len(chosen) > 1:
            relevance = values[[place[each] for each in answers[chosen].tolist()]]
            order = diversify(relevance, vectors[chosen], self._stages.diversify)
            chosen = chosen[order]
        scores = ranked.scores[row, chosen]
        ranked.answers[row], ranked.scores[row] = -1, np.nan
        ranked.answers[row, : len(chosen)] = answers[chosen]
        ranked.scores[row, : len(chosen)] = scores


def _best_of_products(products: Int64, images: Int64, scores: Float32) -> tuple[Int64, Float32]:
    """Of each row of `images` [q, k] the first image of every product, in their order, and its
    score; -1 and nan fill the rest."""
    order = np.argsort(products, axis=1, kind="stable")
    ordered = np.take_along_axis(products, order, axis=1)
    fresh = np.ones(products.shape, np.bool_)
    fresh[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    first = np.zeros_like(fresh)
    np.put_along_axis(first, order, fresh, axis=1)
    front = np.argsort(~first, axis=1, kind="stable")
    kept = np.take_along_axis(first, front, axis=1)
    answers = np.where(kept, np.take_along_axis(images, front, axis=1), -1)
    return answers, np.where(kept, np.take_along_axis(scores, front, axis=1), np.float32(np.nan))
