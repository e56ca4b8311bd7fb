"""Results of queries as files."""

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from services.core.adapters.file_objects import FileObjects
from services.core.domain.errors import DataLoss
from services.evaluation.result_files import (
    QueryResults,
    read_results,
    read_results_part,
    results_part_key,
    write_results,
    write_results_part,
)

PREFIX = "evaluations/e/0/"


@pytest.fixture
def objects(tmp_path: Path) -> FileObjects:
    return FileObjects(tmp_path / "objects")


def some_results(count: int) -> QueryResults:
    random = np.random.default_rng(count)
    names = [f"{n:04d}" for n in range(count)]
    return QueryResults(
        sha256=names,
        product=names[::-1],
        category=["", *names[1:]],
        cluster=names,
        absent=random.random(count) < 0.3,
        first_image=names,
        first_product=names,
        score=random.random(count).astype(np.float32),
        margin=random.random(count).astype(np.float32),
        probability=np.where(random.random(count) < 0.5, np.nan, 0.25),
        held_out=random.random(count) < 0.5,
        right=random.random(count) < 0.5,
        rank=random.integers(0, 9, count),
        metrics={"product/map@10": random.random(count), "image/recall@1": np.full(count, np.nan)},
    )


def assert_same(found: QueryResults, expected: QueryResults) -> None:
    for each in fields(QueryResults):
        if each.name != "metrics":
            first, second = getattr(found, each.name), getattr(expected, each.name)
            np.testing.assert_array_equal(first, second)
            assert type(first) is type(second)
            assert getattr(first, "dtype", None) == getattr(second, "dtype", None)
    assert found.metrics.keys() == expected.metrics.keys()
    for name, values in expected.metrics.items():
        np.testing.assert_array_equal(found.metrics[name], values)


def test_results_come_back_as_they_were_written_in_parts(objects: FileObjects) -> None:
    results = some_results(10)
    write_results(objects, PREFIX, results, chunk=4)
    assert len(list(objects.keys(PREFIX))) == 3
    assert_same(read_results(objects, PREFIX), results)
    assert_same(results.where(np.arange(10) >= 7), results.part(7, 10))


def test_parts_of_something_else_are_no_checkpoints(objects: FileObjects) -> None:
    write_results_part(objects, PREFIX, 0, some_results(3), "one")
    assert read_results_part(objects, PREFIX, 0, "two") is None
    assert read_results_part(objects, PREFIX, 1, "one") is None
    kept = read_results_part(objects, PREFIX, 0, "one")
    assert kept is not None
    assert_same(kept, some_results(3))


def test_damaged_and_missing_results_say_so(objects: FileObjects) -> None:
    with pytest.raises(DataLoss) as missing:
        read_results(objects, PREFIX)
    objects.put(results_part_key(PREFIX, 0), b"no parquet")
    with pytest.raises(DataLoss) as damaged:
        read_results(objects, PREFIX)
    assert {missing.value.reason, damaged.value.reason} == {"RESULTS_DAMAGED"}


def test_results_may_be_of_no_metrics(objects: FileObjects) -> None:
    write_results(objects, PREFIX, replace(some_results(3), metrics={}))
    assert read_results(objects, PREFIX).metrics == {}
