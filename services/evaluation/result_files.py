"""What an evaluation keeps of every query, in parts, and the figures of the whole.

Part n is `queries/n` below a prefix, as Parquet: one column a field, one a metric. A part is a
checkpoint: it says what it was made from, and an attempt goes on after those of the one before.
"""

import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from services.core.domain.errors import DataLoss
from services.core.domain.evaluation import Metrics
from services.core.ports import Float32, ObjectStore

CHUNK = 2_048  # queries of a part
_MADE_FROM = b"made_from"

Bools = npt.NDArray[np.bool_]
Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class QueryResults:
    """Parallel over the queries, in the order of the dataset.

    `cluster` is the query's group, or its product where it has none. `absent` queries have no
    relevant image in the gallery. `first_image` (sha256) and `first_product` are what was found
    first, empty where nothing was; `score` is its raw score by the model, nan where nothing was
    found, and `margin` its lead over the second product, 0 where there is none. `probability` (nan
    without calibration) is that of `right`: the first product is the query's. `held_out` ones had
    no part in the calibration. `rank` is the place of the right product, from 1; 0 where it was not
    among the candidates. `metrics` are by level and name, such as "product/map@10"; nan for absent
    queries.
    """

    sha256: list[str]
    product: list[str]
    category: list[str]
    cluster: list[str]
    absent: Bools
    first_image: list[str]
    first_product: list[str]
    score: Float32
    margin: Float32
    probability: Float64
    held_out: Bools
    right: Bools
    rank: Int64
    metrics: dict[str, Float64]

    def __len__(self) -> int:
        return len(self.sha256)

    def part(self, start: int, stop: int) -> "QueryResults":
        """The queries from `start` to before `stop`."""
        return _each(self, lambda values: values[start:stop])

    def where(self, chosen: Bools) -> "QueryResults":
        """Only the queries that are `chosen` [q]."""
        at = np.flatnonzero(chosen)

        def cut(values: Any) -> Any:
            return [values[each] for each in at] if isinstance(values, list) else values[at]

        return _each(self, cut)


_TYPES = {
    "absent": pa.bool_(), "score": pa.float32(), "margin": pa.float32(),
    "probability": pa.float64(), "held_out": pa.bool_(), "right": pa.bool_(), "rank": pa.int64(),
}  # fmt: skip
_FIELDS = tuple(each.name for each in fields(QueryResults) if each.name != "metrics")


def results_part_key(prefix: str, number: int) -> str:
    """Where part `number` lies."""
    return f"{prefix}queries/{number:08d}.parquet"


def metrics_key(prefix: str) -> str:
    """Where the figures of the whole lie."""
    return f"{prefix}metrics.json"


def write_results(
    objects: ObjectStore,
    prefix: str,
    results: QueryResults,
    made_from: str = "",
    chunk: int = CHUNK,
) -> None:
    """In parts of `chunk` queries."""
    for number, start in enumerate(range(0, len(results), chunk)):
        part = results.part(start, start + chunk)
        write_results_part(objects, prefix, number, part, made_from)


def write_results_part(
    objects: ObjectStore, prefix: str, number: int, results: QueryResults, made_from: str = ""
) -> None:
    """Replaces part `number`."""
    columns = {
        name: pa.array(getattr(results, name), _TYPES.get(name, pa.string())) for name in _FIELDS
    }
    columns |= {name: pa.array(values, pa.float64()) for name, values in results.metrics.items()}
    table = pa.table(columns).replace_schema_metadata({_MADE_FROM: made_from})
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    objects.put(results_part_key(prefix, number), sink.getvalue())


def read_results(objects: ObjectStore, prefix: str) -> QueryResults:
    """All parts. Raises DataLoss (RESULTS_DAMAGED), also where there are none."""
    keys = sorted(objects.keys(f"{prefix}queries/"))
    if not keys:
        raise DataLoss(f"no results lie below {prefix}", reason="RESULTS_DAMAGED")
    return join_results([_part(_read(objects, key), key) for key in keys])


def read_results_part(
    objects: ObjectStore, prefix: str, number: int, made_from: str = ""
) -> QueryResults | None:
    """None where part `number` is missing, or was made from something else. Raises DataLoss."""
    key = results_part_key(prefix, number)
    if objects.size(key) is None:
        return None
    table = _read(objects, key)
    found = (table.schema.metadata or {}).get(_MADE_FROM, b"").decode()
    return _part(table, key) if found == made_from else None


def join_results(parts: Sequence[QueryResults]) -> QueryResults:
    """One after the other, of the same metrics; at least one."""
    columns: dict[str, Any] = {}
    for name in _FIELDS:
        listed = [getattr(each, name) for each in parts]
        strings = isinstance(listed[0], list)
        columns[name] = [x for each in listed for x in each] if strings else np.concatenate(listed)
    metrics = {
        name: np.concatenate([each.metrics[name] for each in parts]) for name in parts[0].metrics
    }
    return QueryResults(**columns, metrics=metrics)


def write_metrics(objects: ObjectStore, prefix: str, metrics: Metrics) -> None:
    """As JSON."""
    objects.put(metrics_key(prefix), json.dumps(metrics.to_dict(), allow_nan=False).encode())


def read_metrics(objects: ObjectStore, prefix: str) -> Metrics:
    """Raises NotFound, DataLoss (RESULTS_DAMAGED)."""
    key = metrics_key(prefix)
    try:
        return Metrics.from_dict(json.loads(objects.get(key)))
    except (ValueError, KeyError, TypeError) as error:
        raise DataLoss(f"{key} is damaged: {error}", reason="RESULTS_DAMAGED") from error


def _each(results: QueryResults, cut: Callable[[Any], Any]) -> QueryResults:
    columns = {name: cut(getattr(results, name)) for name in _FIELDS}
    metrics = {name: cut(values) for name, values in results.metrics.items()}
    return QueryResults(**columns, metrics=metrics)


def _read(objects: ObjectStore, key: str) -> pa.Table:
    try:
        return pq.ParquetFile(pa.BufferReader(objects.get(key))).read()
    except pa.ArrowInvalid as error:
        raise DataLoss(f"{key} is damaged: {error}", reason="RESULTS_DAMAGED") from error


def _part(table: pa.Table, key: str) -> QueryResults:
    if missing := set(_FIELDS) - set(table.column_names):
        raise DataLoss(f"{key} lacks {', '.join(sorted(missing))}", reason="RESULTS_DAMAGED")
    columns: dict[str, Any] = {
        name: table[name].to_numpy() if name in _TYPES else table[name].to_pylist()
        for name in _FIELDS
    }
    names = [name for name in table.column_names if name not in _FIELDS]
    metrics = {name: table[name].to_numpy() for name in names}
    return QueryResults(**columns, metrics=metrics)
