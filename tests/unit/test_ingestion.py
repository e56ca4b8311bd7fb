"""Checking rows: every line is counted once, whatever is in it."""

import hashlib
import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.core.adapters.file_objects import FileObjects
from services.core.domain.catalog import ProductFields
from services.core.domain.errors import DataLoss
from services.core.domain.keys import image_key
from services.core.messages import IngestShard
from services.core.shard_files import AcceptedRow, RejectedRow, read_accepted, read_rejected
from services.ingestion.handlers import Ingestor

MIB = 1 << 20
MISSING = "f" * 64


class Bench:
    """An ingestor over files, with one stored image."""

    def __init__(self, folder: Path) -> None:
        self.objects = FileObjects(folder)
        self.image = hashlib.sha256(b"picture").hexdigest()
        self.objects.put(image_key(self.image), b"picture")

    def ingest(
        self, data: bytes, first_row: int = 1, **options: Any
    ) -> tuple[list[AcceptedRow], list[RejectedRow]]:
        self.objects.put("manifest", b"before\n" + data + b"after\n")
        message = IngestShard(
            id="s", operation="o", revision=1, sequence=0, manifest="manifest",
            offset=7, length=len(data), first_row=first_row, accepted="acc", rejected="rej",
        )  # fmt: skip
        outcome = Ingestor(self.objects, **options).ingest_shard(message)
        accepted = read_accepted(self.objects.get("acc"))
        rejected = read_rejected(self.objects.get("rej")) if outcome.report_lines else []
        lines = data.count(b"\n") + (not data.endswith(b"\n") and bool(data))
        assert outcome.rows_read == lines == outcome.accepted + outcome.rejected
        assert len(accepted) == outcome.accepted
        assert sum(each.row_rejected for each in rejected) == outcome.rejected
        return accepted, rejected

    def one(self, **row: Any) -> tuple[list[AcceptedRow], list[RejectedRow]]:
        return self.ingest(json.dumps({"row": 5, **row}).encode() + b"\n")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_row_becomes_product_fields_and_images(bench: Bench) -> None:
    image = {"source": "a/ä.jpg", "sha256": bench.image}
    ((row,), rejected) = bench.one(
        fields={
            "sku": " A1 ", "title": "Juice", "categories": ["Drinks>Juice"], "labels": "bio",
            "price": "1 299,00 kr", "stock": 3, "attributes": {"size": 5, "none": None},
            "unknown": [1],
        },
        images=[image, image],
    )  # fmt: skip
    assert rejected == []
    assert row.row == 5
    assert (row.sha256s, row.sources) == ((bench.image,), ("a/ä.jpg",))
    assert set(row.given) == {
        "sku", "title", "categories", "labels", "price", "stock", "attributes", "images",
    }  # fmt: skip
    fields = ProductFields(**row.fields)
    assert (fields.sku, fields.price, fields.stock) == ("A1", 1299.0, 3.0)
    assert (fields.categories, fields.labels) == (("Drinks > Juice",), ("bio",))
    assert fields.attributes == {"size": "5", "none": ""}


def test_a_row_of_a_manifest_without_an_image_column_needs_none(bench: Bench) -> None:
    ((row,), rejected) = bench.one(fields={"sku": "A", "price": ""})
    assert rejected == []
    assert row.given == ("sku", "price")
    assert row.fields == {"sku": "A", "price": None}
    assert row.sha256s == ()


@pytest.mark.parametrize(
    ("fields", "reason", "field", "value"),
    [
        ({"title": "x"}, "SKU_MISSING", "sku", ""),
        ({"sku": "  "}, "SKU_MISSING", "sku", "  "),
        ({"sku": "A", "price": "1.299"}, "PRICE_UNREADABLE", "price", "1.299"),
        ({"sku": "A", "price": "-1"}, "NUMBER_OUT_OF_RANGE", "price", "-1"),
        ({"sku": "A", "price": 1e300}, "NUMBER_OUT_OF_RANGE", "price", "1e+300"),
        ({"sku": "A", "price": [1]}, "PRICE_UNREADABLE", "price", "[1]"),
        ({"sku": "A", "stock": "many"}, "STOCK_UNREADABLE", "stock", "many"),
        ({"sku": "A", "title": "x" * 2_000}, "FIELD_TOO_LONG", "title", "x" * 200),
        ({"sku": "A", "title": {"en": "x"}}, "FIELD_NOT_TEXT", "title", '{"en": "x"}'),
        ({"sku": "A", "title": "\ud800"}, "FIELD_NOT_TEXT", "title", "?"),
        ({"sku": "A", "labels": [["x"]]}, "FIELD_NOT_TEXT", "labels", '["x"]'),
        ({"sku": "A", "attributes": ["x"]}, "FIELD_NOT_TEXT", "attributes", '["x"]'),
        (
            {"sku": "A", "attributes": {"k": "v" * 30_000}},
            "FIELD_TOO_LONG", "attributes.k", "v" * 200,
        ),
    ],
)  # fmt: skip
def test_a_bad_field_rejects_its_row_with_reason_and_value(
    bench: Bench, fields: dict[str, Any], reason: str, field: str, value: str
) -> None:
    accepted, (line,) = bench.one(fields=fields)
    assert accepted == []
    assert (line.row, line.reason, line.field, line.value) == (5, reason, field, value)
    assert line.row_rejected


@pytest.mark.parametrize(
    "line",
    [b"", b"{", b"[]", b"1", b"null", b'{"row": 9}', b'{"fields": []}', b"\xff\xfe", b"[" * 9_000],
)
def test_an_unreadable_line_is_rejected_under_its_place(bench: Bench, line: bytes) -> None:
    good = json.dumps({"row": 77, "fields": {"sku": "A"}}).encode()
    accepted, rejected = bench.ingest(good + b"\n" + line + b"\n" + good + b"\n", first_row=100)
    assert [each.row for each in accepted] == [77, 77]
    assert [(each.row, each.reason) for each in rejected] == [(101, "ROW_UNREADABLE")]


def test_a_problem_that_the_client_found_is_the_rejection(bench: Bench) -> None:
    problem = {"reason": "ROW_HAS_EXTRA_CELLS", "field": "7", "value": "v" * 300}
    accepted, (line,) = bench.one(fields={"sku": "A"}, problem=problem)
    assert accepted == []
    assert line == RejectedRow(5, "ROW_HAS_EXTRA_CELLS", "7", "v" * 200, "A", True)
    _, (line,) = bench.one(fields={}, problem={"reason": "no reason"})
    assert line.reason == "ROW_UNREADABLE"


def test_each_unusable_image_has_a_line_and_the_row_keeps_the_others(bench: Bench) -> None:
    images = [
        {"source": "x.jpg", "error": "IMAGE_NOT_FOUND", "message": "no such file"},
        {"source": "y.jpg", "sha256": MISSING},
        {"source": "z.jpg", "sha256": "no hash"},
        {"source": "good.jpg", "sha256": bench.image},
        5,
    ]
    ((row,), rejected) = bench.one(fields={"sku": "A"}, images=images)
    assert row.sources == ("good.jpg",)
    assert [(each.reason, each.value, each.row_rejected) for each in rejected] == [
        ("IMAGE_NOT_FOUND", "x.jpg", False),
        ("IMAGE_MISSING", "y.jpg", False),
        ("INVALID_DIGEST", "z.jpg", False),
        ("ROW_UNREADABLE", "5", False),
    ]
    assert {each.field for each in rejected} == {"images"}
    assert {each.sku for each in rejected} == {"A"}


def test_a_row_without_any_usable_image_is_rejected_once_for_the_first_reason(
    bench: Bench,
) -> None:
    images = [{"source": "y.jpg", "sha256": MISSING}, {"source": "x.jpg", "error": "IMAGE_HUGE"}]
    accepted, rejected = bench.one(fields={"sku": "A"}, images=images)
    assert accepted == []
    assert [(each.reason, each.row_rejected) for each in rejected] == [
        ("IMAGE_MISSING", True),
        ("IMAGE_HUGE", False),
    ]
    _, (line,) = bench.one(fields={"sku": "A"}, images=[])
    assert (line.reason, line.field, line.row_rejected) == ("NO_IMAGE", "images", True)


def test_a_line_that_is_too_long_is_one_rejected_row(bench: Bench) -> None:
    good = json.dumps({"fields": {"sku": "A"}}).encode() + b"\n"
    for size in (5 * MIB, 20 * MIB):  # within one piece, and over several
        accepted, rejected = bench.ingest(good + b"x" * size + b"\n" + good)
        assert [each.row for each in accepted] == [1, 3]
        assert [(each.row, each.reason) for each in rejected] == [(2, "ROW_TOO_LONG")]
    assert bench.ingest(b"x" * 50, longest_line=49)[1][0].reason == "ROW_TOO_LONG"


def test_a_manifest_that_lost_bytes_is_data_loss(bench: Bench) -> None:
    bench.objects.put("manifest", b"{}\n")
    message = IngestShard(
        id="s", operation="o", revision=1, sequence=0, manifest="manifest",
        offset=0, length=10, first_row=1, accepted="acc", rejected="rej",
    )  # fmt: skip
    with pytest.raises(DataLoss):
        Ingestor(bench.objects).ingest_shard(message)


texts = st.text(st.characters(), max_size=8)  # lone surrogates included
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
names = ["sku", "title", "categories", "labels", "parent", "price", "stock", "attributes"]
images = st.fixed_dictionaries(
    {}, optional={"source": anything, "sha256": anything, "error": anything, "message": anything}
)
wire_rows = st.fixed_dictionaries(
    {"fields": st.dictionaries(st.sampled_from(names), anything | texts, max_size=5) | anything},
    optional={
        "row": st.integers() | anything,
        "images": st.lists(images | anything, max_size=3) | anything,
        "problem": anything | st.dictionaries(st.sampled_from(["reason", "field"]), anything),
    },
)
json_lines = (wire_rows | anything).map(lambda row: json.dumps(row).encode())


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(json_lines | st.binary(max_size=30), max_size=6))
def test_whatever_the_lines_hold_nothing_is_raised_and_counts_add_up(
    bench: Bench, lines: list[bytes]
) -> None:
    accepted, rejected = bench.ingest(b"\n".join(lines))
    for row in accepted:
        ProductFields(**row.fields)
    assert all(len(each.value) <= 200 for each in rejected)


def test_rows_are_checked_at_thousands_a_second(bench: Bench) -> None:
    def line(number: int) -> bytes:
        fields = {"sku": f"S{number}", "title": "Apple juice", "price": "1.99", "labels": ["bio"]}
        images = [{"source": "a.jpg", "sha256": bench.image}]
        return json.dumps({"row": number, "fields": fields, "images": images}).encode() + b"\n"

    data = b"".join(line(number) for number in range(256))
    best = 1e9
    for _ in range(10):
        started = time.perf_counter()
        bench.ingest(data)
        best = min(best, time.perf_counter() - started)
    assert 256 / best > 3_000  # 20,000 where this was written, with its own reading back
