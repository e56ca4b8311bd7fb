"""Erasing for good, and what streams out of the server: error reports and embeddings."""

from shelflens import convert, values
from shelflens.calls.call import Call, new_request_id
from shelflens.names import catalog_name, content_name, operation_name
from shelflens.v1 import catalogs_pb2


def erase(content: str) -> Call[values.Operation]:
    """Removes an image, or a product with all its images, everywhere; search drops it at once.

    The operation (`wait_operation`) ends when points, records, embeddings and stored bytes are
    gone; bytes that another product shows too stay.
    """
    request = catalogs_pb2.EraseContentRequest(
        name=content_name(content), request_id=new_request_id()
    )
    return Call("catalogs", "EraseContent", request, convert.operation)


def errors_request(operation: str) -> catalogs_pb2.DownloadImportErrorsRequest:
    """The request for every rejection of an import."""
    return catalogs_pb2.DownloadImportErrorsRequest(name=operation_name(operation))


def embeddings_request(catalog: str) -> catalogs_pb2.ExportEmbeddingsRequest:
    """The request for the embeddings of a catalogue."""
    return catalogs_pb2.ExportEmbeddingsRequest(parent=catalog_name(catalog))
