"""Ranking stages between domain and proto."""

from services.core.domain.stages import Diversity, Expansion, Folding, Reranking, Stages
from shelflens.v1 import search_pb2 as pb


def stages_of(message: pb.RankingStages) -> Stages:
    """What is unset or 0 becomes the default. Raises InvalidArgument (STAGE_INVALID)."""
    return Stages(
        expand=_expansion(message.expand) if message.HasField("expand") else None,
        rerank=_reranking(message.rerank) if message.HasField("rerank") else None,
        fold=_folding(message.fold) if message.HasField("fold") else None,
        diversify=_diversity(message.diversify) if message.HasField("diversify") else None,
    )


def stages_message(stages: Stages) -> pb.RankingStages:
    """With every parameter set, so that no default is left to read into it."""
    message = pb.RankingStages()
    if expand := stages.expand:
        message.expand.neighbours = expand.neighbours
        message.expand.method = expand.method
        message.expand.alpha = expand.alpha
    if rerank := stages.rerank:
        message.rerank.candidates = rerank.candidates
        message.rerank.k1, message.rerank.k2 = rerank.k1, rerank.k2
        message.rerank.weight = rerank.weight
    if stages.fold:
        message.fold.similarity = stages.fold.similarity
    if diversify := stages.diversify:
        message.diversify.relevance = diversify.relevance
        message.diversify.results = diversify.results
    return message


def _expansion(message: pb.RankingStages.Expand) -> Expansion:
    default = Expansion()
    return Expansion(
        neighbours=message.neighbours or default.neighbours,
        method=message.method or default.method,
        alpha=message.alpha if message.HasField("alpha") else default.alpha,
    )


def _reranking(message: pb.RankingStages.Rerank) -> Reranking:
    default = Reranking()
    return Reranking(
        candidates=message.candidates or default.candidates,
        k1=message.k1 or default.k1,
        k2=message.k2 or default.k2,
        weight=message.weight if message.HasField("weight") else default.weight,
    )


def _folding(message: pb.RankingStages.Fold) -> Folding:
    return Folding(message.similarity or Folding().similarity)


def _diversity(message: pb.RankingStages.Diversify) -> Diversity:
    default = Diversity()
    return Diversity(
        relevance=message.relevance if message.HasField("relevance") else default.relevance,
        results=message.results or default.results,
    )
