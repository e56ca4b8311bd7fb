"""Index plans: what a collection must be told so that it shows what the records say."""

from collections.abc import Sequence
from typing import Any

from services.core.domain import keys, names
from services.core.domain.catalog import Product, category_prefixes
from services.core.messages import IndexShard
from services.core.ports import ObjectStore
from services.core.record_ports import PlanEntry, Records
from services.core.shard_files import PlannedPoint, write_plan


def make_plan(
    tx: Records,
    objects: ObjectStore,
    catalog: str,
    products: Sequence[str],
    operation: str,
    sequence: int,
) -> IndexShard | None:
    """A plan for every unplanned image of these products; None when there is none.

    Its revision is newer than that of every earlier plan, and the collection lets newer plans win:
    whatever order they arrive in, the collection ends as the records are.
    """
    deployment = tx.catalogs.deployment(catalog)
    entries = tx.imports.unplanned(catalog, deployment.model_digest, products)
    if not entries:
        return None
    revision = tx.catalogs.next_revision(catalog)
    key = keys.plan_key(operation, sequence)
    objects.put(key, write_plan([_point(entry, revision) for entry in entries]))
    tx.imports.planned(catalog, [(entry.product.id, entry.sha256) for entry in entries], revision)
    return IndexShard(
        id=f"{operation}/{sequence}/index/{revision}",
        operation=operation,
        revision=revision,
        sequence=sequence,
        collection=deployment.collection,
        dimension=deployment.dimension,
        distance=deployment.distance,
        plan=key,
    )


def payload(product: Product, sha256: str, revision: int) -> dict[str, Any]:
    """What filters and grouping need to know about one image, and nothing else."""
    fields = product.fields
    known = {
        "product": product.id,
        "sku": fields.sku,
        "sha256": sha256,
        "parent": fields.parent,
        "categories": list(category_prefixes(fields.categories)),
        "labels": list(fields.labels),
        "revision": revision,
    }
    numbers = {"price": fields.price, "stock": fields.stock}
    return known | {name: value for name, value in numbers.items() if value is not None}


def _point(entry: PlanEntry, revision: int) -> PlannedPoint:
    point_id = names.point_id(entry.product.catalog, entry.product.id, entry.sha256)
    if entry.deleted:
        return PlannedPoint("delete", point_id, revision, {})
    body = payload(entry.product, entry.sha256, revision)
    if entry.searchable:
        return PlannedPoint("payload", point_id, revision, body)
    return PlannedPoint("upsert", point_id, revision, body, entry.embeddings, entry.embedding_row)
