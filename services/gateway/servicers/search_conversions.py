"""Search requests and answers between domain and proto."""

import math

import numpy as np

from services.core.domain import names
from services.core.domain.errors import InvalidArgument
from services.core.domain.filters import NumericRange, SearchFilter
from services.core.domain.ranking import GroupBy, Hit
from services.core.domain.stages import Stages
from services.gateway.handlers.budgets import EXPLAIN
from services.gateway.handlers.candidates import Found, Wanted
from services.gateway.handlers.feedback_tokens import Answered, write_token
from services.gateway.handlers.queries import Photo, Query, StoredImage, Vector
from services.gateway.handlers.search import Answer
from services.gateway.handlers.verdicts import Verdict
from services.gateway.servicers.conversions import timestamp
from services.gateway.servicers.pagination import Page
from services.gateway.servicers.stage_conversions import stages_of
from services.gateway.settings import GatewayLimits
from shelflens.v1 import search_pb2 as pb

_MOST_PHOTOS = 7  # beside the first one
_MOST_EXPLAINED = 10
_LONGEST_BUDGET = 600_000  # milliseconds
_GROUPS = {
    pb.SearchProductsRequest.GROUP_BY_UNSPECIFIED: GroupBy.PRODUCT,
    pb.SearchProductsRequest.GROUP_BY_PRODUCT: GroupBy.PRODUCT,
    pb.SearchProductsRequest.GROUP_BY_PARENT: GroupBy.PARENT,
}


def read_query(request: pb.SearchProductsRequest, catalog: str) -> Query:
    """Raises InvalidArgument, with QUERY_MISSING when none is set."""
    kind = request.WhichOneof("query")
    if request.more_photos and kind != "photo":
        raise InvalidArgument.field(
            "more_photos", "come with `photo`, the first one", reason="PHOTO_MISSING"
        )
    match kind:
        case "photo":
            _bounded("more_photos", len(request.more_photos), 0, _MOST_PHOTOS)
            return Photo(request.photo, tuple(request.more_photos))
        case "image":
            pattern = "catalogs/*/products/*/images/*"
            owner, product, sha256 = names.parse(request.image, pattern, "image")
            if owner != catalog:
                raise InvalidArgument.field(
                    "image", f"is not of {names.catalog_name(catalog)}", reason="OTHER_CATALOG"
                )
            return StoredImage(product, names.check_digest(sha256, "image"))
        case "embedding":
            return Vector(np.array(request.embedding.values, np.float32))
        case _:
            raise InvalidArgument.field(
                "query", "set photo, image or embedding", reason="QUERY_MISSING"
            )


def read_wanted(
    request: pb.SearchProductsRequest, page: Page | None, limits: GatewayLimits
) -> Wanted:
    """What to rank and which part of it to read. Raises InvalidArgument."""
    top_k = _bounded("top_k", request.top_k, limits.top_k, limits.max_top_k)
    if request.group_by not in _GROUPS:
        raise InvalidArgument.field("group_by", f"{request.group_by} is unknown")
    threshold = request.score_threshold if request.HasField("score_threshold") else None
    if threshold is not None and math.isnan(threshold):
        raise InvalidArgument.field("score_threshold", "is not a number")
    stages = stages_of(request.stages)
    offset, settled = _offset(page, stages) if page else (0, None)
    return Wanted(
        top_k=top_k,
        offset=offset,
        count=page.size if page else top_k,
        group_by=_GROUPS[request.group_by],
        where=_filter(request.filter) or None,
        score_threshold=threshold,
        stages=stages,
        latency_budget=_bounded("latency_budget_ms", request.latency_budget_ms, 0, _LONGEST_BUDGET),
        settled=settled,
        explain=_explained(request),
    )


def read_hits_per_result(request: pb.SearchProductsRequest, limits: GatewayLimits) -> int:
    """Raises InvalidArgument."""
    given, default = request.hits_per_result, limits.hits_per_result
    return _bounded("hits_per_result", given, default, limits.max_hits_per_result)


def answer_message(
    answer: Answer, hits_per_result: int, timings: bool, next_page_token: str
) -> pb.SearchProductsResponse:
    pictures = iter(answer.explanations)
    return pb.SearchProductsResponse(
        results=[
            _result(found, hits_per_result, next(pictures, b"")) for found in answer.ranked.page
        ],
        model=names.model_name(answer.deployment.model),
        model_digest=answer.deployment.model_digest,
        index_time=timestamp(answer.deployment.index_time),
        truncated=answer.ranked.truncated,
        timings=[
            pb.StageTiming(stage=stage, milliseconds=milliseconds)
            for stage, milliseconds in (answer.timings if timings else {}).items()
        ],
        next_page_token=next_page_token,
        verdict=_verdict(answer.verdict) if answer.verdict else None,
        skipped_stages=answer.skipped,
        feedback_token=_feedback_token(answer) if answer.photo else "",
        warnings=answer.warnings,
    )


def next_offset(end: int, answer: Answer) -> str:
    """What the token of the page that begins at `end` holds: also what the first page skipped, so
    that all pages are of one ranking."""
    skipped = [each for each in answer.skipped if each != EXPLAIN]
    return ",".join([str(end), *skipped])


def _explained(request: pb.SearchProductsRequest) -> int:
    count = _bounded("explain_results", request.explain_results, 0, _MOST_EXPLAINED)
    if count and request.WhichOneof("query") == "embedding":
        raise InvalidArgument.field(
            "explain_results",
            "an embedding has no regions to show: search with `photo` or `image`, or leave it 0",
            reason="PHOTO_MISSING",
        )
    return count


def _verdict(verdict: Verdict) -> pb.Verdict:
    return pb.Verdict(
        probability=verdict.probability,
        no_match=verdict.no_match,
        threshold=verdict.threshold,
        calibration=verdict.calibration,
    )


def _feedback_token(answer: Answer) -> str:
    deployment = answer.deployment
    answered = Answered(
        deployment.catalog, deployment.model_digest, answer.stages.key, answer.photo
    )
    return write_token(answered)


def _hit(catalog: str, hit: Hit) -> pb.Hit:
    image = names.image_name(catalog, hit.product, hit.sha256)
    return pb.Hit(image=image, score=hit.score, reranked=hit.reranked)


def _result(found: Found, hits_per_result: int, explanation: bytes) -> pb.SearchResult:
    product, fields, best = found.product, found.product.fields, found.group.best
    hits = [_hit(product.catalog, hit) for hit in found.group.hits[:hits_per_result]]
    return pb.SearchResult(
        product=names.product_name(product.catalog, product.id),
        sku=fields.sku,
        title=fields.title,
        category=fields.categories[0] if fields.categories else "",
        score=best.score,
        image=hits[0].image,
        hits=hits,
        parent=fields.parent,
        price=fields.price,
        stock=fields.stock,
        reranked=best.reranked,
        folded_products=[names.product_name(product.catalog, each) for each in found.group.folded],
        explanation=explanation,
    )


def _filter(message: pb.SearchFilter) -> SearchFilter:
    return SearchFilter(
        categories=tuple(message.categories),
        labels=tuple(message.labels),
        skus=tuple(message.skus),
        ranges=tuple(
            NumericRange(
                each.field,
                each.min if each.HasField("min") else None,
                each.max if each.HasField("max") else None,
            )
            for each in message.ranges
        ),
    )


def _bounded(field: str, value: int, default: int, most: int) -> int:
    if not 0 <= value <= most:
        raise InvalidArgument.field(
            field, f"{value} is not from {min(default, 1)} to {most}", reason="OUT_OF_RANGE"
        )
    return value or default


def _offset(page: Page, stages: Stages) -> tuple[int, tuple[str, ...] | None]:
    """Where the page begins, and what the first page skipped; None for the first page."""
    if not page.after:
        return 0, None
    offset, *skipped = page.after.split(",")
    if not offset.isdecimal() or not set(skipped) <= set(stages.names):
        raise InvalidArgument.field(
            "page_token", "is not a token of this request", reason="PAGE_TOKEN_INVALID"
        )
    return int(offset), tuple(skipped)
