"""What a search answers."""

from shelflens import values
from shelflens.convert.fields import optional, time
from shelflens.v1 import search_pb2


def search_response(message: search_pb2.SearchProductsResponse) -> values.SearchResponse:
    """The answer to one photo."""
    return values.SearchResponse(
        results=tuple(_result(each) for each in message.results),
        model=message.model,
        model_digest=message.model_digest,
        index_time=time(message, "index_time"),
        truncated=message.truncated,
        timings_ms={each.stage: each.milliseconds for each in message.timings},
        verdict=_verdict(message.verdict) if message.HasField("verdict") else None,
        skipped_stages=tuple(message.skipped_stages),
        feedback_token=message.feedback_token,
        warnings=tuple(message.warnings),
    )


def _verdict(message: search_pb2.Verdict) -> values.Verdict:
    return values.Verdict(
        probability=message.probability,
        no_match=message.no_match,
        threshold=message.threshold,
        calibration=message.calibration,
    )


def _result(message: search_pb2.SearchResult) -> values.SearchResult:
    return values.SearchResult(
        product=message.product,
        sku=message.sku,
        title=message.title,
        category=message.category,
        score=message.score,
        image=message.image,
        hits=tuple(
            values.Hit(each.image, each.score, optional(each, "reranked")) for each in message.hits
        ),
        parent=message.parent,
        price=optional(message, "price"),
        stock=optional(message, "stock"),
        reranked=optional(message, "reranked"),
        folded_products=tuple(message.folded_products),
        explanation=message.explanation,
    )
