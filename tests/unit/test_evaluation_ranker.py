"""Rankings through stages are those of plain calls, query by query."""

import numpy as np
import pytest

from services.core.domain.ranking import GroupBy, Hit, group_hits
from services.core.domain.stages import Diversity, Expansion, Folding, Reranking, Stages
from services.core.ports import Float32
from services.evaluation.ranker import MOST_CANDIDATES, Int64, Ranker
from services.retrieval.diversity import diversify
from services.retrieval.expansion import expand
from services.retrieval.folding import fold
from services.retrieval.reciprocal import rerank
from tests.unit.evaluation_world import clusters

EXPAND, RERANK = Expansion(neighbours=4), Reranking(candidates=30, k1=6, k2=3)
FOLD, DIVERSIFY = Folding(similarity=0.8), Diversity(relevance=0.5, results=10)
COMBINATIONS = [
    Stages(),
    Stages(expand=EXPAND),
    Stages(rerank=RERANK),
    Stages(fold=FOLD),
    Stages(diversify=DIVERSIFY),
    Stages(EXPAND, RERANK, FOLD, DIVERSIFY),
]


def gallery() -> tuple[Float32, Float32, Int64]:
    """Vectors of queries and of a gallery, shuffled, and the products of the gallery."""
    _, queries, found, vectors = clusters(25, 4, 2, noise=1.0)
    order = np.random.default_rng(1).permutation(len(vectors))
    products = np.array([int(each.product[1:]) for each in found])
    return queries, vectors[order], products[order]


def similarities(query: Float32, vectors: Float32, distance: str) -> Float32:
    if distance == "cosine":
        return vectors @ query
    power = 2 if distance == "euclidean" else 1
    scores: Float32 = -np.linalg.norm(vectors - query, ord=power, axis=1)
    return scores


def plainly(
    query: Float32, vectors: Float32, products: Int64, stages: Stages, distance: str
) -> tuple[list[int], list[int], Float32]:
    """Images, best images of products and scores of these, as a search makes them of one query."""
    scores = similarities(query, vectors, distance)
    if stages.expand:
        best = np.argsort(-scores)[: stages.expand.neighbours]
        query = expand(query, vectors[best], scores[best], stages.expand, distance)
        scores = similarities(query, vectors, distance)
    images = np.argsort(-scores).tolist()
    values = {image: float(scores[image]) for image in images}
    if stages.rerank:
        first = images[: stages.rerank.candidates]
        found = rerank(query, vectors[first], stages.rerank, distance).tolist()
        # Those behind keep their order below all that were re-ranked.
        values = {image: -1.0 - at for at, image in enumerate(images)}
        values |= dict(zip(first, found, strict=True))
        images.sort(key=lambda image: -values[image])
    hits = [Hit(str(products[image]), "", str(image), values[image]) for image in images]
    answers = [int(group.best.sha256) for group in group_hits(hits, GroupBy.PRODUCT)]
    if stages.fold:
        into = fold(vectors[answers], stages.fold.similarity)
        answers = [answer for at, answer in enumerate(answers) if into[at] == at]
    if stages.diversify:
        relevance = np.array([values[each] for each in answers], np.float32)
        if stages.rerank:
            least = min(value for value in values.values() if value >= 0)
            relevance = np.maximum(relevance, np.float32(least))
        answers = [answers[at] for at in diversify(relevance, vectors[answers], stages.diversify)]
    return images, answers, scores[answers]


@pytest.mark.parametrize("distance", ["cosine", "euclidean", "manhattan"])
@pytest.mark.parametrize("stages", COMBINATIONS, ids=lambda each: "+".join(each.names) or "none")
def test_rankings_are_those_of_plain_calls(stages: Stages, distance: str) -> None:
    queries, vectors, products = gallery()
    ranked = Ranker(vectors, products, distance, stages, seed=3).rank(queries, 0)
    assert ranked.images.shape == (len(queries), len(vectors))
    for row, query in enumerate(queries):
        images, answers, scores = plainly(query, vectors, products, stages, distance)
        assert ranked.images[row].tolist() == images
        found = ranked.answers[row]
        assert found[found >= 0].tolist() == answers
        assert (found[len(answers) :] == -1).all()
        np.testing.assert_allclose(ranked.scores[row, : len(answers)], scores, atol=1e-5)


def test_every_product_comes_once_with_its_best_image() -> None:
    queries, vectors, products = gallery()
    ranked = Ranker(vectors, products, "cosine", Stages(), seed=0).rank(queries, 0)
    for answers, images in zip(ranked.answers, ranked.images, strict=True):
        shown = products[answers[answers >= 0]]
        assert sorted(shown) == sorted(set(products))
        firsts = list(dict.fromkeys(products[images].tolist()))
        assert shown.tolist() == firsts


def test_no_more_images_are_ranked_than_a_search_looks_at() -> None:
    random = np.random.default_rng(0)
    vectors = random.standard_normal((MOST_CANDIDATES + 50, 8)).astype(np.float32)
    products = np.arange(len(vectors))
    ranked = Ranker(vectors, products, "euclidean", Stages(), seed=0).rank(vectors[:3], 0)
    assert ranked.images.shape == (3, MOST_CANDIDATES)
    assert ranked.answers[:, 0].tolist() == [0, 1, 2]
