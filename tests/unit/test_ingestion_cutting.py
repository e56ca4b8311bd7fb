"""Cutting manifests: every line is in exactly one shard."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.core.adapters.file_objects import FileObjects
from services.core.domain.errors import NotFound
from services.core.messages import IngestManifest
from services.core.outcomes import ManifestCut
from services.ingestion.handlers import Ingestor


class Bench:
    """An ingestor over files."""

    def __init__(self, folder: Path) -> None:
        self.objects = FileObjects(folder)

    def cut(self, data: bytes, cursor: int = 0, before: int = 0, **options: Any) -> ManifestCut:
        self.objects.put("manifest", data)
        message = IngestManifest(
            id="m", operation="o", revision=1, manifest="manifest",
            cursor=cursor, rows_before=before,
        )  # fmt: skip
        return Ingestor(self.objects, **options).cut_manifest(message)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def shards_of(data: bytes, cut: ManifestCut) -> list[bytes]:
    return [data[offset : offset + length] for offset, length, _, _ in cut.shards]


def test_a_manifest_is_cut_every_256_rows(bench: Bench) -> None:
    data = b"".join(b'{"row": %d}\n' % number for number in range(1000))
    cut = bench.cut(data)
    assert b"".join(shards_of(data, cut)) == data
    assert [(first, rows) for _, _, first, rows in cut.shards] == [
        (1, 256), (257, 256), (513, 256), (769, 232),
    ]  # fmt: skip
    assert (cut.rows, cut.cursor, cut.finished) == (1000, len(data), True)


def test_a_last_line_without_an_end_counts(bench: Bench) -> None:
    assert bench.cut(b"a\nb").rows == 2
    assert bench.cut(b"a").rows == 1
    assert bench.cut(b"\n\n").rows == 2


def test_an_empty_manifest_is_finished_without_shards(bench: Bench) -> None:
    cut = bench.cut(b"")
    assert (cut.shards, cut.rows, cut.cursor, cut.finished) == ((), 0, 0, True)


def test_a_missing_manifest_is_not_found(bench: Bench) -> None:
    message = IngestManifest(id="m", operation="o", revision=1, manifest="nothing")
    with pytest.raises(NotFound):
        Ingestor(bench.objects).cut_manifest(message)


def test_long_rows_make_smaller_shards(bench: Bench) -> None:
    data = b"".join([b"x" * 999 + b"\n"] * 100)
    cut = bench.cut(data, shard_bytes=10_000)
    assert {rows for _, _, _, rows in cut.shards} == {10}
    assert b"".join(shards_of(data, cut)) == data


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lines=st.lists(st.binary(max_size=40).map(lambda each: each.replace(b"\n", b"")), max_size=60),
    ended=st.booleans(),
    rows=st.integers(1, 9),
    size=st.integers(1, 200),
    limit=st.integers(1, 5),
)
def test_cuts_with_cursors_cover_every_line_exactly_once(
    bench: Bench, lines: list[bytes], ended: bool, rows: int, size: int, limit: int
) -> None:
    data = b"\n".join(lines) + (b"\n" if ended else b"")
    expected = data.count(b"\n") + (bool(data) and not data.endswith(b"\n"))
    cursor = before = 0
    shards: list[tuple[int, int, int, int]] = []
    finished = False
    while not finished:
        cut = bench.cut(data, cursor, before, shard_rows=rows, shard_bytes=size, cut_shards=limit)
        assert len(cut.shards) <= limit
        assert cut.finished or cut.cursor > cursor
        shards += cut.shards
        cursor, before, finished = cut.cursor, before + cut.rows, cut.finished
    assert before == sum(each[3] for each in shards) == expected
    assert b"".join(data[offset : offset + length] for offset, length, _, _ in shards) == data
    assert all(one[2] + one[3] == two[2] for one, two in pairwise(shards))
    assert all(each[3] <= rows for each in shards)


def test_a_cut_whose_time_is_up_still_moves_on(bench: Bench) -> None:
    data = b"".join(b"%d\n" % number for number in range(1_000_000))  # several pieces
    times = iter(range(0, 10**9, 1000))
    seen, cursor, before = 0, 0, 0
    finished = False
    while not finished:
        cut = bench.cut(data, cursor, before, shard_rows=10**7, monotonic=lambda: next(times))
        cursor, before, finished = cut.cursor, before + cut.rows, cut.finished
        seen += 1
    assert (before, cursor) == (1_000_000, len(data))
    assert seen > 3
