"""SearchService."""

# ruff: noqa: N802 - the methods are named in the proto.

from collections.abc import AsyncIterator
from functools import partial

from services.core.domain import names
from services.core.runtime.grpc_errors import to_status
from services.gateway.handlers.feedback import UserFeedback
from services.gateway.handlers.search import Search
from services.gateway.servicers.deadlines import Context, budget
from services.gateway.servicers.feedback_methods import FeedbackMethods
from services.gateway.servicers.pagination import Page, read_page
from services.gateway.servicers.search_conversions import (
    answer_message,
    next_offset,
    read_hits_per_result,
    read_query,
    read_wanted,
)
from services.gateway.servicers.streams import answered
from services.gateway.settings import GatewayLimits
from shelflens.v1 import search_pb2 as pb
from shelflens.v1 import search_pb2_grpc


class SearchServicer(FeedbackMethods, search_pb2_grpc.SearchServiceServicer):
    """Answers which products look like a photo, and is told whether they do."""

    def __init__(self, search: Search, feedback: UserFeedback, limits: GatewayLimits) -> None:
        self._search = search
        self._feedback = feedback
        self._limits = limits

    async def SearchProducts(
        self, request: pb.SearchProductsRequest, context: Context
    ) -> pb.SearchProductsResponse:
        return await self._answer(request, budget(context, self._limits))

    async def StreamSearchProducts(
        self,
        request_iterator: AsyncIterator[pb.StreamSearchProductsRequest],
        context: Context,
    ) -> AsyncIterator[pb.StreamSearchProductsResponse]:
        item = partial(self._item, context)
        async for each in answered(request_iterator, item, self._limits.stream_searches):
            yield each

    async def _item(
        self, context: Context, item: pb.StreamSearchProductsRequest
    ) -> pb.StreamSearchProductsResponse:
        answer = pb.StreamSearchProductsResponse(correlation_id=item.correlation_id)
        try:
            found = await self._answer(item.request, budget(context, self._limits))
        except Exception as error:  # whatever is wrong with one item must not end the stream
            answer.status.CopyFrom(to_status(error))
        else:
            answer.response.CopyFrom(found)
        return answer

    async def _answer(
        self, request: pb.SearchProductsRequest, seconds: float
    ) -> pb.SearchProductsResponse:
        (catalog,) = names.parse(request.parent, "catalogs/*", "parent")
        page = self._page(request)
        wanted = read_wanted(request, page, self._limits)
        hits_per_result = read_hits_per_result(request, self._limits)
        query = read_query(request, catalog)
        answer = await self._search.search(catalog, query, wanted, seconds)
        end = wanted.offset + wanted.count
        further = page is not None and end < answer.ranked.total
        token = page.token(next_offset(end, answer)) if page and further else ""
        return answer_message(answer, hits_per_result, request.include_timings, token)

    def _page(self, request: pb.SearchProductsRequest) -> Page | None:
        """None when all is on one page: then the photo need not be hashed."""
        if not request.page_size and not request.page_token:
            return None
        most = self._limits.max_top_k
        return read_page(request, request.page_size, request.page_token, most, most)
