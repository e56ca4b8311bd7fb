"""Qdrant's grouped queries, which qdrant-edge has not, in rounds of plain ones.

A round takes the best points of groups that are not full yet. Once enough groups are known the
best of them are: every round goes down the same order. Then each of those is filled by itself.
"""

from typing import Any

import qdrant_edge as edge

from services.core.adapters.qdrant_vectors.stubs import q
from services.local.vector_server.collection import Collection
from services.local.vector_server.reads import edge_query, scored_point
from services.local.vector_server.refusals import bad_request

_DEFAULT_GROUPS, _DEFAULT_SIZE = 3, 3
_GROWTH = 4  # of a round's points over those of the round before

Hits = dict[str, "list[edge.ScoredPoint]"]


def query_groups(collection: Collection, request: q.QueryPointGroups) -> q.QueryGroupsResponse:
    """Groups by a payload field that holds one text; points without it are in none.

    Payloads have that field besides those asked for. Raises Refused.
    """
    field = request.group_by
    if not field:
        raise bad_request("group_by is empty")
    wanted = request.limit if request.HasField("limit") else _DEFAULT_GROUPS
    size = request.group_size if request.HasField("group_size") else _DEFAULT_SIZE
    if not wanted or not size:
        raise bad_request("limit and group_size are at least 1")
    found = _best_groups(collection, request, wanted, size)
    for group, hits in found.items():
        if len(hits) < size:
            only = edge.FieldCondition(field, match=edge.MatchValue(group))
            found[group] = _points(collection, request, size, edge.Filter(must=[only]))
    groups: Any = [
        {"id": {"string_value": group}, "hits": [scored_point(each) for each in hits]}
        for group, hits in found.items()
    ]
    return q.QueryGroupsResponse(result=q.GroupsResult(groups=groups))


def _best_groups(
    collection: Collection, request: q.QueryPointGroups, wanted: int, size: int
) -> Hits:
    found: Hits = {}
    others: edge.Filter | None = None
    limit = wanted * size
    while True:
        points = _points(collection, request, limit, others)
        for point in points:
            group = (point.payload or {}).get(request.group_by)
            if isinstance(group, str) and len(hits := found.setdefault(group, [])) < size:
                hits.append(point)
        if len(found) >= wanted or len(points) < limit:
            break
        # The next round finds the points of groups that are not full again.
        found = {group: hits for group, hits in found.items() if len(hits) >= size}
        others = _outside(request.group_by, list(found))
        limit *= _GROWTH
    nearer_is_larger = collection.spec.distance == "cosine"
    ordered = sorted(found.items(), key=lambda each: each[1][0].score, reverse=nearer_is_larger)
    return dict(ordered[:wanted])


def _outside(field: str, groups: list[str]) -> edge.Filter:
    absent = edge.IsEmptyCondition(field)
    if not groups:
        return edge.Filter(must_not=[absent])
    return edge.Filter(must_not=[absent, edge.FieldCondition(field, match=edge.MatchAny(groups))])


def _points(
    collection: Collection, request: q.QueryPointGroups, limit: int, also: edge.Filter | None
) -> "list[edge.ScoredPoint]":
    plain = q.QueryPoints(
        query=request.query,
        filter=request.filter if request.HasField("filter") else None,
        params=request.params if request.HasField("params") else None,
        score_threshold=request.score_threshold if request.HasField("score_threshold") else None,
        limit=limit,
    )
    plain.prefetch.extend(request.prefetch)
    asked = request.with_payload
    included = edge.PayloadSelector.Include([request.group_by, *asked.include.fields])
    return collection.shard.query(edge_query(collection, plain, asked.enable or included, also))
