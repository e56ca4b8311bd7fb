"""Index plans: what a collection must be told so that it shows what the records say."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from services.coordinator.targets import Target
from services.core.deployment_ports import DeploymentState
from services.core.domain import keys
from services.core.domain.catalog import Product, category_prefixes
from services.core.messages import IndexShard
from services.core.ports import ObjectStore
from services.core.record_ports import PlanEntry, Records
from services.core.shard_files import PlannedPoint, write_plan

# Hash -> (object key, row) of each member's embedding.
Places = Mapping[str, tuple[tuple[str, int], ...]]


def make_plans(
    tx: Records,
    objects: ObjectStore,
    where: Sequence[Target],
    products: Sequence[str],
    operation: str,
    sequence: int,
) -> list[IndexShard]:
    """A plan for each target, the live one first, for every unplanned image of these products;
    none when there is none.

    Their revision is newer than that of every earlier plan, and collections let newer plans win:
    whatever order they arrive in, the collections end as the records are. An image that the live
    model has not embedded stays unplanned: somebody is at it.
    """
    live = where[0]
    catalog = live.deployment.catalog
    entries = tx.imports.unplanned(catalog, products)
    found = places(tx, live, [each for each in entries if not each.searchable])
    entries = [e for e in entries if e.deleted or e.searchable or e.sha256 in found]
    if not entries:
        return []
    revision = tx.catalogs.next_revision(catalog)
    plans = []
    for each in where:
        found = found if each is live else places(tx, each, entries)
        points = [_point(each, entry, revision, found) for entry in entries]
        plans.append(write(objects, each, points, revision, operation, sequence))
    tx.imports.planned(catalog, [(entry.product.id, entry.sha256) for entry in entries], revision)
    return plans


def write(
    objects: ObjectStore,
    to: Target,
    points: Iterable[PlannedPoint | None],
    revision: int,
    operation: str,
    sequence: int,
) -> IndexShard:
    """Stores a plan for one target and returns the message that applies it."""
    deployment = to.deployment
    key = keys.plan_key(operation, sequence, deployment.number)
    objects.put(key, write_plan([each for each in points if each is not None]))
    return IndexShard(
        id=f"{operation}/{sequence}/index/{revision}.{deployment.number}",
        operation=operation,
        revision=revision,
        sequence=sequence,
        collection=deployment.collection,
        dimension=deployment.dimension,
        distance=deployment.distance,
        plan=key,
        tenant=deployment.tenant,
        model=to.recipe,
        storage=dict(deployment.storage),
    )


def places(tx: Records, of: Target, entries: Sequence[PlanEntry]) -> Places:
    """Where the embeddings of each member are, of those images that all of them have embedded."""
    hashes = list({each.sha256 for each in entries if not each.deleted})
    by_member = [tx.embeddings.places(digest, hashes) for digest in of.embedders]
    complete = set(hashes).intersection(*by_member)
    return {sha256: tuple(member[sha256] for member in by_member) for sha256 in complete}


def upsert(to: Target, entry: PlanEntry, revision: int, found: Places) -> PlannedPoint:
    """The whole point of an image that has all its embeddings."""
    files, rows = zip(*found[entry.sha256], strict=True)
    body = payload(entry.product, entry.sha256, revision)
    point_id = to.deployment.point_id(entry.product.id, entry.sha256)
    return PlannedPoint("upsert", point_id, revision, body, files, rows)


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


def _point(to: Target, entry: PlanEntry, revision: int, found: Places) -> PlannedPoint | None:
    """None for an image that a target beside the live one cannot have."""
    point_id = to.deployment.point_id(entry.product.id, entry.sha256)
    if entry.deleted:
        return PlannedPoint("delete", point_id, revision, {})
    # Elsewhere than in the live collection the point may be on its way, with an older payload.
    if entry.searchable and to.deployment.state is DeploymentState.LIVE:
        body = payload(entry.product, entry.sha256, revision)
        return PlannedPoint("payload", point_id, revision, body)
    return upsert(to, entry, revision, found) if entry.sha256 in found else None
