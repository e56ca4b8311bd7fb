# ruff: noqa: N802 - the methods are named by the contract
"""How the tests' server searches: everything matches."""

from collections.abc import Iterator
from typing import Any

from shelflens.v1 import search_pb2
from tests.unit.test_client_server_state import ServerState, make_status


class SearchMethods(ServerState):
    """Answers with the products in the order of their names; `searches` are the requests."""

    def SearchProducts(self, request: search_pb2.SearchProductsRequest, context: Any) -> Any:
        self.enter("SearchProducts", context)
        self.find(context, "catalogs", request.parent)
        self.searches.append(request)
        return self.answer(request)

    def answer(self, request: search_pb2.SearchProductsRequest) -> Any:
        answer = search_pb2.SearchProductsResponse(model="models/base", model_digest="d" * 64)
        answer.index_time.FromSeconds(1_700_000_000)
        for name, product in sorted(self.products.items())[: request.top_k]:
            hit = search_pb2.Hit(image=f"{name}/images/{'a' * 64}", score=0.5)
            answer.results.add(
                product=name, sku=product.sku, title=product.title, score=0.5, hits=[hit]
            )
        if request.include_timings:
            answer.timings.add(stage="total", milliseconds=1.5)
        return answer

    def StreamSearchProducts(self, requests: Iterator[Any], context: Any) -> Iterator[Any]:
        self.enter("StreamSearchProducts", context)
        for each in requests:
            answer = search_pb2.StreamSearchProductsResponse(correlation_id=each.correlation_id)
            if each.request.photo.startswith(b"good"):
                answer.response.CopyFrom(self.answer(each.request))
            else:
                status = make_status("INVALID_ARGUMENT", "IMAGE_UNDECODABLE", "no picture")
                answer.status.CopyFrom(status)
            yield answer
