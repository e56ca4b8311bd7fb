"""Products. Their names may be written short: `catalog/SKU`."""

from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf.field_mask_pb2 import FieldMask

from shelflens import convert, values
from shelflens.calls.call import Call, Pages, new_request_id
from shelflens.names import catalog_name, product_name
from shelflens.v1 import catalogs_pb2


def create_product(
    catalog: str,
    sku: str,
    *,
    title: str | None = None,
    description: str | None = None,
    categories: Sequence[str] | None = None,
    labels: Sequence[str] | None = None,
    parent: str | None = None,
    price: float | None = None,
    stock: float | None = None,
    attributes: Mapping[str, str] | None = None,
) -> Call[values.Product]:
    """Creates a product without images; `upload_image` adds those."""
    fields = _given(locals())
    request = catalogs_pb2.CreateProductRequest(
        parent=catalog_name(catalog),
        product=catalogs_pb2.Product(sku=sku, **fields),
        request_id=new_request_id(),
    )
    return Call("catalogs", "CreateProduct", request, convert.product)


def get_product(product: str) -> Call[values.Product]:
    """Reads one product."""
    request = catalogs_pb2.GetProductRequest(name=product_name(product))
    return Call("catalogs", "GetProduct", request, convert.product)


def list_products(catalog: str, *, page_size: int = 0) -> Pages[values.Product]:
    """All products of a catalogue, in the order of their ids."""
    request = catalogs_pb2.ListProductsRequest(parent=catalog_name(catalog), page_size=page_size)
    return Pages("catalogs", "ListProducts", request, "products", convert.product)


def update_product(
    product: str,
    *,
    title: str | None = None,
    description: str | None = None,
    categories: Sequence[str] | None = None,
    labels: Sequence[str] | None = None,
    parent: str | None = None,
    price: float | None = None,
    stock: float | None = None,
    attributes: Mapping[str, str] | None = None,
    clear: Sequence[str] = (),
) -> Call[values.Product]:
    """Changes the fields that are given and empties those named in `clear`."""
    fields = _given(locals())
    request = catalogs_pb2.UpdateProductRequest(
        product=catalogs_pb2.Product(name=product_name(product), **fields),
        update_mask=FieldMask(paths=[*fields, *(each for each in clear if each not in fields)]),
    )
    return Call("catalogs", "UpdateProduct", request, convert.product)


def delete_product(product: str) -> Call[int]:
    """Deletes a product with its images. Returns the catalogue's revision after that."""
    request = catalogs_pb2.DeleteProductRequest(
        name=product_name(product), request_id=new_request_id()
    )
    return Call("catalogs", "DeleteProduct", request, _revision)


_FIELDS = (
    "title",
    "description",
    "categories",
    "labels",
    "parent",
    "price",
    "stock",
    "attributes",
)


def _given(arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {name: arguments[name] for name in _FIELDS if arguments[name] is not None}


def _revision(answer: catalogs_pb2.DeleteProductResponse) -> int:
    return answer.revision
