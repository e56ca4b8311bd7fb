"""Resource names, and the short forms that people type.

`shop` is `catalogs/shop`; `shop/SKU 12` is the product with that SKU (or that id) in it, and
`shop/SKU 12/<sha256>` one of its images. Full names are left as they are.
"""

import hashlib
import re
import unicodedata

from shelflens.errors import InvalidArgument

_ID = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def catalog_name(catalog: str) -> str:
    """`shop` or `catalogs/shop` -> `catalogs/shop`."""
    return catalog if catalog.startswith("catalogs/") else f"catalogs/{catalog}"


def catalog_id(catalog: str) -> str:
    """`shop` or `catalogs/shop` -> `shop`."""
    return catalog.removeprefix("catalogs/")


def model_name(model: str) -> str:
    """`clip` or `models/clip` -> `models/clip`."""
    return model if model.startswith("models/") else f"models/{model}"


def model_id(model: str) -> str:
    """`clip` or `models/clip` -> `clip`. Raises InvalidArgument (INVALID_NAME)."""
    short = model.removeprefix("models/")
    if not _ID.fullmatch(short):
        raise InvalidArgument(
            f"'{model}' is not a model: use 1 to 63 lower-case letters, digits and hyphens",
            reason="INVALID_NAME",
        )
    return short


def dataset_name(dataset: str) -> str:
    """With or without `datasets/` in front."""
    return dataset if dataset.startswith("datasets/") else f"datasets/{dataset}"


def dataset_id(dataset: str) -> str:
    """`val` or `datasets/val` -> `val`. Raises InvalidArgument (INVALID_NAME)."""
    short = dataset.removeprefix("datasets/")
    if not _ID.fullmatch(short):
        raise InvalidArgument(
            f"'{dataset}' is not a dataset: use 1 to 63 lower-case letters, digits and hyphens",
            reason="INVALID_NAME",
        )
    return short


def evaluation_name(evaluation: str) -> str:
    """With or without `evaluations/` in front."""
    prefix = "evaluations/"
    return evaluation if evaluation.startswith(prefix) else f"{prefix}{evaluation}"


def feedback_name(feedback: str) -> str:
    """A full name of feedback. Raises InvalidArgument (INVALID_NAME)."""
    parts = feedback.split("/")
    if len(parts) != 4 or (parts[0], parts[2]) != ("catalogs", "feedback"):
        raise InvalidArgument(
            f"'{feedback}' is no feedback: write catalogs/CATALOG/feedback/ID as the list has it",
            reason="INVALID_NAME",
        )
    return feedback


def deployment_name(catalog: str, number: int) -> str:
    """Deployment 2 of `shop` or `catalogs/shop` -> `catalogs/shop/deployments/2`."""
    return f"{catalog_name(catalog)}/deployments/{number}"


def product_id(sku: str) -> str:
    """The id of a product: its SKU where that is an id, else a slug and a piece of its hash.

    The same rule as on the server (see Product.name in the proto); ids map to themselves.
    """
    if _ID.fullmatch(sku):
        return sku
    ascii_text = unicodedata.normalize("NFKD", sku).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", ascii_text).strip("-")[:50].strip("-")
    digest = hashlib.sha256(sku.encode("utf-8", "surrogatepass")).hexdigest()[:10]
    return f"{slug}-{digest}" if slug else f"sku-{digest}"


def product_name(product: str) -> str:
    """A full product name, or `catalog/SKU`."""
    if product.startswith("catalogs/"):
        return product
    catalog, slash, sku = product.partition("/")
    if not (catalog and slash and sku):
        raise InvalidArgument(
            f"'{product}' is not a product: write CATALOG/SKU or its full name",
            reason="INVALID_NAME",
        )
    return f"catalogs/{catalog}/products/{product_id(sku)}"


def image_name(image: str) -> str:
    """A full image name, or `catalog/SKU/<sha256>`."""
    if image.startswith("catalogs/"):
        return image
    product, _, sha256 = image.rpartition("/")
    if not _SHA256.fullmatch(sha256):
        raise InvalidArgument(
            f"'{image}' is not an image: write CATALOG/SKU/SHA256 or its full name",
            reason="INVALID_NAME",
        )
    return f"{product_name(product)}/images/{sha256}"


def content_name(content: str) -> str:
    """A product or an image, by its full name or as CATALOG/SKU or CATALOG/SKU/SHA256."""
    short = not content.startswith("catalogs/")
    if short and content.count("/") > 1 and _SHA256.fullmatch(content.rpartition("/")[2]):
        return image_name(content)
    return product_name(content)


def operation_name(operation: str) -> str:
    """With or without `operations/` in front."""
    return operation if operation.startswith("operations/") else f"operations/{operation}"


def dead_letter_name(letter: str) -> str:
    """With or without `deadLetters/` in front."""
    return letter if letter.startswith("deadLetters/") else f"deadLetters/{letter}"
