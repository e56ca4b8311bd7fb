"""Catalogues, products and images between domain and proto."""

from datetime import datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from services.core.deployment_ports import Deployment
from services.core.domain import names
from services.core.domain.catalog import Catalog, Image, ImageState, Product, ProductFields
from services.core.domain.errors import InvalidArgument
from services.core.domain.external_model import ExternalModel
from services.core.domain.vector_images import is_vector
from services.gateway.handlers.contents import Stored
from services.gateway.handlers.exports import Exported
from services.gateway.handlers.imports import StoredManifest
from shelflens.v1 import catalogs_pb2 as pb

_STATES = {
    ImageState.PENDING: pb.Image.STATE_PENDING,
    ImageState.SEARCHABLE: pb.Image.STATE_SEARCHABLE,
    ImageState.REFUSED: pb.Image.STATE_REFUSED,
    ImageState.WITHHELD: pb.Image.STATE_WITHHELD,
    ImageState.FOLDED: pb.Image.STATE_FOLDED,
}


def timestamp(time: datetime | None) -> Timestamp | None:
    if time is None:
        return None
    message = Timestamp()
    message.FromDatetime(time)
    return message


def model_id(name: str) -> str:
    """The id in `models/{model}`; empty for an empty name. Raises InvalidArgument."""
    return names.parse(name, "models/*", "catalog.model")[0] if name else ""


def created_model(request: pb.CreateCatalogRequest) -> str | ExternalModel:
    """The model that a new catalogue is to have; empty for the built-in one.

    Raises InvalidArgument, also for a model here and one elsewhere (TWO_MODELS).
    """
    if not request.HasField("external_model"):
        return model_id(request.catalog.model)
    if request.catalog.model:
        raise InvalidArgument.field(
            "external_model", "is given instead of catalog.model", reason="TWO_MODELS"
        )
    external = request.external_model
    (name,) = names.parse(external.model, "models/*", "external_model.model")
    distance = external.distance or "cosine"
    return ExternalModel(name=name, dimension=external.dimension, distance=distance)


def catalog_message(catalog: Catalog) -> pb.Catalog:
    return pb.Catalog(
        name=names.catalog_name(catalog.id),
        display_name=catalog.display_name,
        model=names.model_name(catalog.model),
        model_digest=catalog.model_digest,
        revision=catalog.revision,
        product_count=catalog.product_count,
        image_count=catalog.image_count,
        create_time=timestamp(catalog.create_time),
        update_time=timestamp(catalog.update_time),
        index_time=timestamp(catalog.index_time),
        embedding_dimension=catalog.dimension,
        external_embeddings=catalog.external,
        feedback_photo_days=catalog.feedback_photo_days,
    )


def product_message(product: Product) -> pb.Product:
    fields = product.fields
    return pb.Product(
        name=names.product_name(product.catalog, product.id),
        sku=fields.sku,
        title=fields.title,
        description=fields.description,
        categories=fields.categories,
        labels=fields.labels,
        parent=fields.parent,
        price=fields.price,
        stock=fields.stock,
        attributes=fields.attributes,
        image_count=product.image_count,
        revision=product.revision,
        update_time=timestamp(product.update_time),
    )


def product_values(message: pb.Product) -> dict[str, Any]:
    """Arguments of ProductFields, every one."""
    return {
        "sku": message.sku,
        "title": message.title,
        "description": message.description,
        "categories": tuple(message.categories),
        "labels": tuple(message.labels),
        "parent": message.parent,
        "price": message.price if message.HasField("price") else None,
        "stock": message.stock if message.HasField("stock") else None,
        "attributes": dict(message.attributes),
    }


def product_fields(message: pb.Product) -> ProductFields:
    """Raises InvalidArgument."""
    return ProductFields(**product_values(message))


def product_deleted(revision: int) -> pb.DeleteProductResponse:
    return pb.DeleteProductResponse(revision=revision)


def image_message(image: Image) -> pb.Image:
    return pb.Image(
        name=names.image_name(image.catalog, image.product, image.sha256),
        sha256=image.sha256,
        state=_STATES[image.state],
        refusal=image.refusal,
        source=image.source,
        create_time=timestamp(image.create_time),
        embedding_only=is_vector(image.sha256, image.source),
    )


def image_deleted(revision: int) -> pb.DeleteImageResponse:
    return pb.DeleteImageResponse(revision=revision)


def manifest_message(manifest: StoredManifest) -> pb.Manifest:
    name = names.manifest_name(manifest.catalog, manifest.id)
    return pb.Manifest(name=name, size_bytes=manifest.size)


def stored_message(stored: Stored) -> pb.UploadContentsResponse:
    refusals = [
        pb.ContentRefusal(sha256=each.sha256, reason=each.reason, message=each.message)
        for each in stored.refusals
    ]
    return pb.UploadContentsResponse(stored_count=stored.count, refusals=refusals)


def erased_ids(name: str) -> tuple[str, str, str]:
    """Catalogue, product and hash (empty for a whole product). Raises InvalidArgument."""
    if "/images/" in name:
        catalog, product, sha256 = names.parse(name, "catalogs/*/products/*/images/*")
        return catalog, product, names.check_digest(sha256, "name")
    catalog, product = names.parse(name, "catalogs/*/products/*")
    return catalog, product, ""


def exported_message(deployment: Deployment, exported: Exported) -> pb.ExportEmbeddingsResponse:
    return pb.ExportEmbeddingsResponse(
        model_digest=deployment.model_digest,
        embeddings=[
            pb.ImageEmbedding(
                image=names.image_name(deployment.catalog, image.product, image.sha256),
                sku=image.sku,
                values=values.tolist(),
            )
            for image, values in zip(exported.images, exported.embeddings, strict=True)
        ],
    )
