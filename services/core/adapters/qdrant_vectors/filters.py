"""Search filters and revision guards as Qdrant conditions."""

from collections.abc import Iterable, Sequence

from services.core.adapters.qdrant_vectors.payload_indexes import CATALOG
from services.core.adapters.qdrant_vectors.stubs import q
from services.core.adapters.qdrant_vectors.wire import point_ids
from services.core.domain.filters import NumericRange, SearchFilter


def search_conditions(where: SearchFilter | None, catalog: str | None) -> q.Filter | None:
    """All of the conditions, None where there is none; within one list any value matches.

    Payloads hold every prefix of a category path, so a category also finds its sub-categories.
    """
    conditions = [] if catalog is None else list(of_catalog(catalog).must)
    if where is not None:
        lists = (("categories", where.categories), ("labels", where.labels), ("sku", where.skus))
        conditions += [_any_of(field, values) for field, values in lists if values]
        conditions += [_within(each) for each in where.ranges]
    return q.Filter(must=conditions) if conditions else None


def of_catalog(catalog: str) -> q.Filter:
    """The points of one catalogue in a shared collection."""
    field = q.FieldCondition(key=CATALOG, match=q.Match(keyword=catalog))
    return q.Filter(must=[q.Condition(field=field)])


def not_newer_than(revision: int, ids: Sequence[str] | None = None) -> q.Filter:
    """Points whose stored revision is at most `revision`, of `ids` where given."""
    guard = q.FieldCondition(key="revision", range=q.Range(lte=revision))
    conditions = [q.Condition(field=guard)]
    if ids is not None:
        has_id = q.HasIdCondition(has_id=point_ids(ids))
        conditions.append(q.Condition(has_id=has_id))
    return q.Filter(must=conditions)


def _any_of(field: str, values: Iterable[str]) -> q.Condition:
    match = q.Match(keywords=q.RepeatedStrings(strings=values))
    return q.Condition(field=q.FieldCondition(key=field, match=match))


def _within(bounds: NumericRange) -> q.Condition:
    limits = q.Range(gte=bounds.min, lte=bounds.max)
    return q.Condition(field=q.FieldCondition(key=bounds.field, range=limits))


def with_parent() -> q.Filter:
    """Points whose product has a parent; text that is empty is none."""
    return q.Filter(must_not=_no_parent())


def without_parent() -> q.Filter:
    """The other points."""
    return q.Filter(should=_no_parent())


def _no_parent() -> list[q.Condition]:
    absent = q.Condition(is_empty=q.IsEmptyCondition(key="parent"))
    return [_any_of("parent", [""]), absent]
