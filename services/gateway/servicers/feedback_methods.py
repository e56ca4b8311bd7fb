"""The part of SearchService that is about feedback."""

# ruff: noqa: N802 - the methods are named in the proto.

import json
from collections.abc import AsyncIterator

from services.core.domain import names
from services.core.domain.errors import InvalidArgument
from services.core.domain.stages import Stages
from services.core.evaluation_ports import Feedback
from services.gateway.handlers.feedback import Said, UserFeedback
from services.gateway.handlers.feedback_tokens import read_token
from services.gateway.servicers.conversions import timestamp
from services.gateway.servicers.deadlines import Context
from services.gateway.servicers.pagination import read_page
from services.gateway.servicers.repeats import once
from services.gateway.servicers.stage_conversions import stages_message
from services.gateway.settings import GatewayLimits
from shelflens.v1 import search_pb2 as pb

_CATALOG = "catalogs/*"
_PRODUCT = "catalogs/*/products/*"
_IMAGE = "catalogs/*/products/*/images/*"
_FEEDBACK = "catalogs/*/feedback/*"


class FeedbackMethods:
    """Users say whether results are right."""

    _feedback: UserFeedback
    _limits: GatewayLimits

    async def RecordFeedback(
        self, request: pb.RecordFeedbackRequest, context: Context
    ) -> pb.Feedback:
        (catalog,) = names.parse(request.parent, _CATALOG, "parent")
        call = once(request, request.request_id, pb.Feedback, _message)
        answered, said = read_token(request.feedback_token), _said(request, catalog)
        return await self._feedback.record(catalog, answered, said, call)

    async def ListFeedback(
        self, request: pb.ListFeedbackRequest, context: Context
    ) -> pb.ListFeedbackResponse:
        (catalog,) = names.parse(request.parent, _CATALOG, "parent")
        page = read_page(
            request,
            request.page_size,
            request.page_token,
            self._limits.page_size,
            self._limits.max_page_size,
        )
        found = await self._feedback.page(catalog, page.after, page.size + 1)
        shown, token = page.split(found, lambda each: each.id)
        return pb.ListFeedbackResponse(feedback=map(_message, shown), next_page_token=token)

    async def DownloadFeedbackPhoto(
        self, request: pb.DownloadFeedbackPhotoRequest, context: Context
    ) -> AsyncIterator[pb.DownloadFeedbackPhotoResponse]:
        async for piece in self._feedback.photo(*names.parse(request.name, _FEEDBACK)):
            yield pb.DownloadFeedbackPhotoResponse(data=piece)


def _said(request: pb.RecordFeedbackRequest, catalog: str) -> Said:
    """Raises InvalidArgument, with OTHER_CATALOG for names of another one."""
    product = _product(request.product, catalog, "product")
    image = ""
    if request.image:
        *owner, image = names.parse(request.image, _IMAGE, "image")
        if owner != [catalog, product]:
            raise InvalidArgument.field(
                "image", f"is not of {request.product}", reason="OTHER_PRODUCT"
            )
        names.check_digest(image, "image")
    expected = request.expected_product
    return Said(
        product=product,
        image=image,
        right=request.right,
        expected=_product(expected, catalog, "expected_product") if expected else "",
        photo=request.photo,
    )


def _product(name: str, catalog: str, field: str) -> str:
    owner, product = names.parse(name, _PRODUCT, field)
    if owner != catalog:
        raise InvalidArgument.field(
            field, f"is not of {names.catalog_name(catalog)}", reason="OTHER_CATALOG"
        )
    return product


def _message(feedback: Feedback) -> pb.Feedback:
    catalog, product, image = feedback.catalog, feedback.product, feedback.image
    expected = feedback.expected
    return pb.Feedback(
        name=names.feedback_name(catalog, feedback.id),
        photo_sha256=feedback.photo,
        product=names.product_name(catalog, product),
        image=names.image_name(catalog, product, image) if image else "",
        right=feedback.right,
        expected_product=names.product_name(catalog, expected) if expected else "",
        model_digest=feedback.model_digest,
        stages=stages_message(Stages.from_dict(json.loads(feedback.stages))),
        create_time=timestamp(feedback.create_time),
        photo_expire_time=timestamp(feedback.expire_time),
    )
