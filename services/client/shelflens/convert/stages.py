"""Ranking stages, both ways."""

from shelflens.v1 import search_pb2 as pb
from shelflens.values.stages import Diversify, Expand, Fold, RankingStages, Rerank


def stages(message: pb.RankingStages) -> RankingStages:
    """As the server says: with every parameter set."""
    expand, rerank, diversify = message.expand, message.rerank, message.diversify
    return RankingStages(
        expand=Expand(expand.neighbours, expand.method, expand.alpha)
        if message.HasField("expand")
        else None,
        rerank=Rerank(rerank.candidates, rerank.k1, rerank.k2, rerank.weight)
        if message.HasField("rerank")
        else None,
        fold=Fold(message.fold.similarity) if message.HasField("fold") else None,
        diversify=Diversify(diversify.relevance, diversify.results)
        if message.HasField("diversify")
        else None,
    )


def stages_message(wanted: RankingStages) -> pb.RankingStages:
    message = pb.RankingStages()
    if expand := wanted.expand:
        message.expand.neighbours, message.expand.method = expand.neighbours, expand.method
        message.expand.alpha = expand.alpha
    if rerank := wanted.rerank:
        message.rerank.candidates, message.rerank.weight = rerank.candidates, rerank.weight
        message.rerank.k1, message.rerank.k2 = rerank.k1, rerank.k2
    if wanted.fold:
        message.fold.similarity = wanted.fold.similarity
    if diversify := wanted.diversify:
        message.diversify.relevance = diversify.relevance
        message.diversify.results = diversify.results
    return message
