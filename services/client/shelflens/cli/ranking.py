"""Ranking stages as people type them: `expand=5,rerank,fold,diversify`."""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from shelflens.errors import InvalidArgument

if TYPE_CHECKING:
    from shelflens.values import RankingStages

T = TypeVar("T")
STAGES = "expand[=N], rerank[=N], fold[=SIMILARITY], diversify[=RELEVANCE]"


def read_stages(text: str) -> "RankingStages":
    """Raises InvalidArgument (INVALID_OPTION)."""
    from shelflens.values import Diversify, Expand, Fold, RankingStages, Rerank

    given: dict[str, str] = {}
    for each in filter(None, (part.strip() for part in text.split(","))):
        name, _, value = each.partition("=")
        if name in given:
            raise _wrong(f"--stages names {name} twice")
        given[name] = value
    if unknown := sorted(given.keys() - {"expand", "rerank", "fold", "diversify"}):
        raise _wrong(f"--stages: '{unknown[0]}' is none of {STAGES}")
    return RankingStages(
        expand=_stage(Expand, int, given.get("expand")),
        rerank=_stage(Rerank, int, given.get("rerank")),
        fold=_stage(Fold, float, given.get("fold")),
        diversify=_stage(Diversify, float, given.get("diversify")),
    )


def stages_text(stages: "RankingStages") -> str:
    """In short, as it is typed; `none` without any."""
    words = [
        f"expand={stages.expand.neighbours}" if stages.expand else "",
        f"rerank={stages.rerank.candidates}" if stages.rerank else "",
        f"fold={stages.fold.similarity:g}" if stages.fold else "",
        f"diversify={stages.diversify.relevance:g}" if stages.diversify else "",
    ]
    return ",".join(filter(None, words)) or "none"


def _stage(kind: Callable[..., T], number: Callable[[str], float], text: str | None) -> T | None:
    """None where it is not named; with its first parameter where that is given."""
    if text is None:
        return None
    try:
        return kind(number(text)) if text else kind()
    except ValueError:
        raise _wrong(f"--stages: '{text}' is no number") from None


def _wrong(message: str) -> InvalidArgument:
    return InvalidArgument(message, reason="INVALID_OPTION")
