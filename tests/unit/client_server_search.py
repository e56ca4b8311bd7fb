# ruff: noqa: N802 - the methods are named by the contract
"""How the tests' server searches: everything matches."""

import hashlib
from collections.abc import Iterator
from typing import Any

from shelflens.v1 import search_pb2
from tests.unit.test_client_server_state import ServerState, make_status


class SearchMethods(ServerState):
    """Answers with the products in the order of their names; `searches` are the requests.

    `feedback` is what was recorded, `photos` what came with it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.verdict: search_pb2.Verdict | None = None
        self.feedback: dict[str, search_pb2.Feedback] = {}
        self.photos: dict[str, bytes] = {}

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
        if request.stages.HasField("rerank"):
            for result in answer.results:
                result.reranked = 0.25
        for result in answer.results[: request.explain_results]:
            result.explanation = b"\x89PNG"
        if request.stages.HasField("diversify"):
            answer.skipped_stages.append("diversify")
        if self.verdict is not None:
            answer.verdict.CopyFrom(self.verdict)
            answer.warnings.append("the gallery has grown")
        answer.feedback_token = "token-1"
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

    def RecordFeedback(self, request: search_pb2.RecordFeedbackRequest, context: Any) -> Any:
        self.enter("RecordFeedback", context, request)
        self.find(context, "products", request.product)
        name = f"{request.parent}/feedback/f{len(self.feedback)}"
        noted = search_pb2.Feedback(
            name=name,
            photo_sha256=hashlib.sha256(request.photo).hexdigest(),
            product=request.product,
            image=request.image,
            right=request.right,
            expected_product=request.expected_product,
            model_digest="d" * 64,
        )
        noted.create_time.FromSeconds(1_700_000_000)
        if request.photo:
            noted.photo_expire_time.FromSeconds(1_800_000_000)
            self.photos[name] = request.photo
        self.feedback[name] = noted
        return noted

    def ListFeedback(self, request: search_pb2.ListFeedbackRequest, context: Any) -> Any:
        self.enter("ListFeedback", context)
        items, token = self.page(request, self.feedback)
        return search_pb2.ListFeedbackResponse(feedback=items, next_page_token=token)

    def DownloadFeedbackPhoto(
        self, request: search_pb2.DownloadFeedbackPhotoRequest, context: Any
    ) -> Iterator[Any]:
        self.enter("DownloadFeedbackPhoto", context)
        photo = self.find(context, "photos", request.name)
        for at in range(0, len(photo), 3):
            yield search_pb2.DownloadFeedbackPhotoResponse(data=photo[at : at + 3])
