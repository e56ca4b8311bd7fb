"""Searching by photo."""

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Sequence
from typing import Any, Literal, TypedDict, Unpack

from shelflens import convert, values
from shelflens.calls.call import Call
from shelflens.calls.images import Photo
from shelflens.convert.stages import stages_message
from shelflens.errors import InvalidArgument, ShelflensError
from shelflens.faults import from_status
from shelflens.images import MAX_PHOTO_BYTES, read_upload
from shelflens.names import catalog_name, image_name
from shelflens.v1 import search_pb2

_GROUP_BY = {
    "product": search_pb2.SearchProductsRequest.GROUP_BY_PRODUCT,
    "parent": search_pb2.SearchProductsRequest.GROUP_BY_PARENT,
}


class SearchOptions(TypedDict, total=False):
    """How to search; each may be left out.

    `top_k` results (10), hits below `threshold` left out, `hits_per_result` (3), grouped by
    product or parent; filters: any of `categories` (or a sub-category), any of `labels`, any of
    `skus`, and ranges of price and stock; `timings` asks for the time that each stage took.
    `stages` are run between the nearest images and the answer, as far as `latency_budget_ms` lets
    them; `more_photos` show the same product; `explain` adds a picture to so many of the first
    results.
    """

    top_k: int
    categories: Sequence[str]
    labels: Sequence[str]
    skus: Sequence[str]
    min_price: float | None
    max_price: float | None
    min_stock: float | None
    max_stock: float | None
    threshold: float | None
    group_by: Literal["product", "parent"]
    hits_per_result: int
    timings: bool
    stages: values.RankingStages
    latency_budget_ms: int
    more_photos: Sequence[Photo]
    explain: int


def search_products(
    catalog: str,
    photo: Photo | None = None,
    *,
    image: str = "",
    embedding: Sequence[float] = (),
    **options: Unpack[SearchOptions],
) -> Call[values.SearchResponse]:
    """Finds the products that look most like the query.

    Give one of: a photo (bytes or a path, at most 7 MiB), the name of a stored `image`, or an
    `embedding` made by the catalogue's model. `SearchOptions` describes the rest.
    """
    if sum((photo is not None, bool(image), len(embedding) > 0)) != 1:
        raise InvalidArgument("give a photo, an image name or an embedding", reason="QUERY_MISSING")
    request = _request(catalog, options)
    if photo is not None:
        request.photo = read_upload(photo, MAX_PHOTO_BYTES)
    elif image:
        request.image = image_name(image)
    else:
        request.embedding.values.extend(embedding)
    return Call("search", "SearchProducts", request, convert.search_response)


Answer = tuple[str, values.SearchResponse | ShelflensError]


class PhotoStream:
    """The two directions of one search stream: requests for photos, answers with their ids.

    A photo that cannot be read here is sent as a request without a query. The server refuses that,
    in turn with the others, and the answer says what was wrong with the file.
    """

    def __init__(self, catalog: str, options: SearchOptions) -> None:
        self._template = _request(catalog, options)
        self._unreadable: dict[str, ShelflensError] = {}
        self._photos_failed: Exception | None = None

    def requests(self, photos: Iterable[tuple[str, Photo]]) -> Iterator[Any]:
        """The messages for `photos`. When `photos` raises, they end and the error is kept."""
        try:
            for correlation_id, photo in photos:
                yield self.request(correlation_id, photo)
        except Exception as error:  # gRPC would log it and say no more than "UNKNOWN"
            self._photos_failed = error

    async def requests_async(self, photos: AsyncIterable[tuple[str, Photo]]) -> AsyncIterator[Any]:
        """As `requests`."""
        try:
            async for correlation_id, photo in photos:
                yield self.request(correlation_id, photo)
        except Exception as error:
            self._photos_failed = error

    def raise_if_photos_failed(self) -> None:
        """Raises what the caller's own `photos` raised."""
        if self._photos_failed is not None:
            raise self._photos_failed

    def request(self, correlation_id: str, photo: Photo) -> Any:
        """The message for one photo."""
        message = search_pb2.StreamSearchProductsRequest(
            correlation_id=correlation_id, request=self._template
        )
        try:
            message.request.photo = read_upload(photo, MAX_PHOTO_BYTES)
        except ShelflensError as error:
            self._unreadable[correlation_id] = error
        return message

    def answer(self, message: search_pb2.StreamSearchProductsResponse) -> Answer:
        """The outcome for one photo."""
        correlation_id = message.correlation_id
        if error := self._unreadable.pop(correlation_id, None):
            return correlation_id, error
        if message.HasField("status"):
            return correlation_id, from_status(message.status)
        return correlation_id, convert.search_response(message.response)


def _request(catalog: str, options: SearchOptions) -> search_pb2.SearchProductsRequest:
    group_by = options.get("group_by", "product")
    if group_by not in _GROUP_BY:
        raise InvalidArgument(f"group_by is '{group_by}'; use product or parent")
    return search_pb2.SearchProductsRequest(
        parent=catalog_name(catalog),
        top_k=options.get("top_k", 10),
        score_threshold=options.get("threshold"),
        hits_per_result=options.get("hits_per_result", 0),
        group_by=_GROUP_BY[group_by],
        include_timings=options.get("timings", False),
        stages=stages_message(stages) if (stages := options.get("stages")) else None,
        latency_budget_ms=options.get("latency_budget_ms", 0),
        more_photos=[read_upload(each, MAX_PHOTO_BYTES) for each in options.get("more_photos", ())],
        explain_results=options.get("explain", 0),
        filter=search_pb2.SearchFilter(
            categories=options.get("categories", ()),
            labels=options.get("labels", ()),
            skus=options.get("skus", ()),
            ranges=_ranges(options),
        ),
    )


def _ranges(options: SearchOptions) -> Iterator[search_pb2.NumericRange]:
    for field, low, high in (
        ("price", options.get("min_price"), options.get("max_price")),
        ("stock", options.get("min_stock"), options.get("max_stock")),
    ):
        if low is not None or high is not None:
            yield search_pb2.NumericRange(field=field, min=low, max=high)
