"""Catalogues, products and images."""

from collections.abc import Iterator

from shelflens import values
from shelflens.convert.fields import optional, state, time
from shelflens.v1 import catalogs_pb2


def catalog(message: catalogs_pb2.Catalog) -> values.Catalog:
    """A catalogue."""
    return values.Catalog(
        name=message.name,
        display_name=message.display_name,
        model=message.model,
        model_digest=message.model_digest,
        revision=message.revision,
        product_count=message.product_count,
        image_count=message.image_count,
        create_time=time(message, "create_time"),
        update_time=time(message, "update_time"),
        index_time=time(message, "index_time"),
        embedding_dimension=message.embedding_dimension,
        external_embeddings=message.external_embeddings,
        feedback_photo_days=message.feedback_photo_days,
    )


def product(message: catalogs_pb2.Product) -> values.Product:
    """A product."""
    return values.Product(
        name=message.name,
        sku=message.sku,
        title=message.title,
        description=message.description,
        categories=tuple(message.categories),
        labels=tuple(message.labels),
        parent=message.parent,
        price=optional(message, "price"),
        stock=optional(message, "stock"),
        attributes=dict(message.attributes),
        image_count=message.image_count,
        revision=message.revision,
        update_time=time(message, "update_time"),
    )


def image(message: catalogs_pb2.Image) -> values.Image:
    """An image."""
    return values.Image(
        name=message.name,
        sha256=message.sha256,
        state=state(catalogs_pb2.Image.State, message.state, "STATE_"),
        refusal=message.refusal,
        source=message.source,
        create_time=time(message, "create_time"),
        embedding_only=message.embedding_only,
    )


def embeddings(
    message: catalogs_pb2.ExportEmbeddingsResponse,
) -> Iterator[values.ImageEmbedding]:
    """The images of one message."""
    for each in message.embeddings:
        yield values.ImageEmbedding(each.image, each.sku, tuple(each.values), message.model_digest)
