"""Catalogues."""

from google.protobuf.field_mask_pb2 import FieldMask

from shelflens import convert, values
from shelflens.calls.call import Call, Pages, new_request_id
from shelflens.names import catalog_id, catalog_name, model_name
from shelflens.v1 import catalogs_pb2


def create_catalog(
    catalog: str,
    *,
    display_name: str = "",
    model: str = "",
    embedding_dimension: int = 0,
    embedding_distance: str = "cosine",
) -> Call[values.Catalog]:
    """Creates a catalogue. `catalog` is its id; `model` defaults to the built-in one.

    With `embedding_dimension`, `model` is the name of one that runs elsewhere: imports bring its
    embeddings.
    """
    external = None
    if embedding_dimension:
        external = catalogs_pb2.ExternalModel(
            model=model_name(model), dimension=embedding_dimension, distance=embedding_distance
        )
    request = catalogs_pb2.CreateCatalogRequest(
        catalog_id=catalog_id(catalog),
        catalog=catalogs_pb2.Catalog(
            display_name=display_name,
            model=model_name(model) if model and external is None else "",
        ),
        request_id=new_request_id(),
        external_model=external,
    )
    return Call("catalogs", "CreateCatalog", request, convert.catalog)


def get_catalog(catalog: str) -> Call[values.Catalog]:
    """Reads one catalogue."""
    request = catalogs_pb2.GetCatalogRequest(name=catalog_name(catalog))
    return Call("catalogs", "GetCatalog", request, convert.catalog)


def list_catalogs(*, page_size: int = 0) -> Pages[values.Catalog]:
    """All catalogues, in the order of their names."""
    request = catalogs_pb2.ListCatalogsRequest(page_size=page_size)
    return Pages("catalogs", "ListCatalogs", request, "catalogs", convert.catalog)


def update_catalog(
    catalog: str, *, display_name: str | None = None, feedback_photo_days: int | None = None
) -> Call[values.Catalog]:
    """Changes what is given: the display name; for how many days users' photos are kept with their
    feedback (0: not at all)."""
    changes = {"display_name": display_name, "feedback_photo_days": feedback_photo_days}
    request = catalogs_pb2.UpdateCatalogRequest(
        catalog=catalogs_pb2.Catalog(
            name=catalog_name(catalog),
            display_name=display_name or "",
            feedback_photo_days=feedback_photo_days or 0,
        ),
        update_mask=FieldMask(paths=[name for name, value in changes.items() if value is not None]),
    )
    return Call("catalogs", "UpdateCatalog", request, convert.catalog)


def delete_catalog(catalog: str, *, force: bool = False) -> Call[values.Operation]:
    """Starts deleting a catalogue; one with products only with `force`."""
    request = catalogs_pb2.DeleteCatalogRequest(
        name=catalog_name(catalog), force=force, request_id=new_request_id()
    )
    return Call("catalogs", "DeleteCatalog", request, convert.operation)
