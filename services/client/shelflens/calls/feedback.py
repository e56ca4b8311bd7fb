"""What users say about search results."""

from shelflens import convert, values
from shelflens.calls.call import Call, Pages, new_request_id
from shelflens.calls.images import Photo
from shelflens.images import MAX_PHOTO_BYTES, read_upload
from shelflens.names import catalog_name, feedback_name, product_name
from shelflens.v1 import search_pb2 as pb


def record_feedback(
    catalog: str,
    token: str,
    product: str,
    *,
    right: bool,
    expected: str = "",
    image: str = "",
    photo: Photo | None = None,
) -> Call[values.Feedback]:
    """Notes whether `product` (a full name, or its SKU) was right in the answer with that
    `feedback_token`, and which product was `expected` instead.

    The photo is kept only where the catalogue keeps photos of feedback.
    """
    request = pb.RecordFeedbackRequest(
        parent=catalog_name(catalog),
        feedback_token=token,
        product=_product(catalog, product),
        image=image,
        right=right,
        expected_product=_product(catalog, expected) if expected else "",
        photo=b"" if photo is None else read_upload(photo, MAX_PHOTO_BYTES),
        request_id=new_request_id(),
    )
    return Call("search", "RecordFeedback", request, convert.feedback)


def list_feedback(catalog: str, *, page_size: int = 0) -> Pages[values.Feedback]:
    """What users said about a catalogue's results, oldest first."""
    request = pb.ListFeedbackRequest(parent=catalog_name(catalog), page_size=page_size)
    return Pages("search", "ListFeedback", request, "feedback", convert.feedback)


def photo_request(feedback: str) -> pb.DownloadFeedbackPhotoRequest:
    """Of DownloadFeedbackPhoto."""
    return pb.DownloadFeedbackPhotoRequest(name=feedback_name(feedback))


def _product(catalog: str, product: str) -> str:
    if product.startswith("catalogs/"):
        return product
    return product_name(f"{catalog_name(catalog).removeprefix('catalogs/')}/{product}")
