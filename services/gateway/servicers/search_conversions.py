"""Search requests and answers between domain and proto."""

import math

import numpy as np

from services.core.domain import names
from services.core.domain.errors import InvalidArgument
from services.core.domain.filters import NumericRange, SearchFilter
from services.core.domain.ranking import GroupBy
from services.gateway.handlers.candidates import Found, Wanted
from services.gateway.handlers.queries import Photo, Query, StoredImage, Vector
from services.gateway.handlers.search import Answer
from services.gateway.servicers.conversions import timestamp
from services.gateway.servicers.pagination import Page
from services.gateway.settings import GatewayLimits
from shelflens.v1 import search_pb2 as pb

_GROUPS = {
    pb.SearchProductsRequest.GROUP_BY_UNSPECIFIED: GroupBy.PRODUCT,
    pb.SearchProductsRequest.GROUP_BY_PRODUCT: GroupBy.PRODUCT,
    pb.SearchProductsRequest.GROUP_BY_PARENT: GroupBy.PARENT,
}


def read_query(request: pb.SearchProductsRequest, catalog: str) -> Query:
    """Raises InvalidArgument, with QUERY_MISSING when none is set."""
    match request.WhichOneof("query"):
        case "photo":
            return Photo(request.photo)
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
    return Wanted(
        top_k=top_k,
        offset=_offset(page) if page else 0,
        count=page.size if page else top_k,
        group_by=_GROUPS[request.group_by],
        where=_filter(request.filter) or None,
        score_threshold=threshold,
    )


def read_hits_per_result(request: pb.SearchProductsRequest, limits: GatewayLimits) -> int:
    """Raises InvalidArgument."""
    given, default = request.hits_per_result, limits.hits_per_result
    return _bounded("hits_per_result", given, default, limits.max_hits_per_result)


def answer_message(
    answer: Answer, hits_per_result: int, timings: bool, next_page_token: str
) -> pb.SearchProductsResponse:
    return pb.SearchProductsResponse(
        results=[_result(found, hits_per_result) for found in answer.ranked.page],
        model=names.model_name(answer.deployment.model),
        model_digest=answer.deployment.model_digest,
        index_time=timestamp(answer.deployment.index_time),
        truncated=answer.ranked.truncated,
        timings=[
            pb.StageTiming(stage=stage, milliseconds=milliseconds)
            for stage, milliseconds in (answer.timings if timings else {}).items()
        ],
        next_page_token=next_page_token,
    )


def _result(found: Found, hits_per_result: int) -> pb.SearchResult:
    product, fields, best = found.product, found.product.fields, found.group.best
    hits = [
        pb.Hit(image=names.image_name(product.catalog, hit.product, hit.sha256), score=hit.score)
        for hit in found.group.hits[:hits_per_result]
    ]
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
            field, f"{value} is not from 1 to {most}", reason="OUT_OF_RANGE"
        )
    return value or default


def _offset(page: Page) -> int:
    if not page.after:
        return 0
    if not page.after.isdecimal():
        raise InvalidArgument.field(
            "page_token", "is not a token of this request", reason="PAGE_TOKEN_INVALID"
        )
    return int(page.after)
