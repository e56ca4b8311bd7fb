"""The embeddings of a catalogue, a row per searchable image."""

from collections.abc import Iterator
from typing import Any

from shelflens.client import Client
from shelflens.exporting.records import Column

EMBEDDINGS: tuple[Column, ...] = (
    Column("image", "text"),
    Column("sku", "text"),
    Column("values", "vector"),
)


def embeddings(client: Client, catalog: str) -> Iterator[dict[str, Any]]:
    """Rows with the values of EMBEDDINGS by name and the model's digest, in no promised order."""
    for each in client.export_embeddings(catalog):
        yield {
            "image": each.image,
            "sku": each.sku,
            "values": each.values,
            "model_digest": each.model_digest,
        }
