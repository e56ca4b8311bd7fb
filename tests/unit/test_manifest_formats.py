"""JSON Lines, Parquet and directories of images as manifests."""

import json
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shelflens.errors import InvalidManifest
from shelflens.manifests import SourceRow, open_manifest


def read_lines(path: Path, *lines: str | bytes, name: str = "m.jsonl") -> list[SourceRow]:
    file = path / name
    file.write_bytes(b"\n".join(x.encode() if isinstance(x, str) else x for x in lines))
    return list(open_manifest(file))


def read_parquet(path: Path, **columns: Any) -> list[SourceRow]:
    pq.write_table(pa.table(columns), path / "m.parquet", row_group_size=2)
    return list(open_manifest(path / "m.parquet"))


def problem(row: SourceRow) -> str:
    return row.problem.reason if row.problem else ""


@pytest.mark.parametrize("name", ["m.jsonl", "m.ndjson", "m.json", "m.JSONL", "noextension"])
def test_an_object_a_line_is_a_row_a_line(tmp_path: Path, name: str) -> None:
    line = {
        "sku": 12,
        "title": "Tea",
        "categories": ["Drinks > Tea", "Hot"],
        "labels": "a|b",
        "price": 1.5,
        "stock": None,
        "images": ["a.jpg", "b|c.jpg"],
        "attributes": {"colour": "green", "grams": 250},
    }
    rows = read_lines(tmp_path, json.dumps(line), name=name)
    fields: dict[str, object] = {
        "sku": "12",
        "title": "Tea",
        "categories": ["Drinks > Tea", "Hot"],
        "labels": ["a", "b"],
        "price": "1.5",
        "stock": "",
        "attributes": {"colour": "green", "grams": "250"},
    }
    assert rows == [SourceRow(1, fields, ["a.jpg", "b|c.jpg"])]


def test_numbers_keep_their_digits(tmp_path: Path) -> None:
    rows = read_lines(tmp_path, '{"sku": 0, "price": 1.10, "stock": 1e3}', '{"sku": NaN}')
    assert rows[0].fields == {"sku": "0", "price": "1.10", "stock": "1e3"}
    assert rows[1].fields == {"sku": "NaN"}


def test_a_key_that_an_object_lacks_is_no_field_and_null_is_an_empty_one(tmp_path: Path) -> None:
    rows = read_lines(tmp_path, '{"sku": "A", "title": null}', '{"sku": "B"}')
    assert rows[0].fields == {"sku": "A", "title": ""}
    assert rows[1].fields == {"sku": "B"}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "BAD_JSON"),
        ("[" * 100_000, "BAD_JSON"),
        ('["sku"]', "NOT_AN_OBJECT"),
        (b'{"sku": "\xff"}', "TEXT_UNDECODABLE"),
        ('{"sku": "\\ud800"}', "TEXT_UNDECODABLE"),
        ('{"sku": {"a": 1}}', "CELL_NOT_TEXT"),
        ('{"sku": "B", "attributes": [1]}', "ATTRIBUTES_NOT_AN_OBJECT"),
        ('{"sku": "B", "title": "' + "x" * ((1 << 20) + 1) + '"}', "CELL_TOO_LARGE"),
        ('{"sku": "' + "9" * 10_000 + '"}', ""),
        ('{"sku": ' + "9" * 10_000 + "}", ""),
    ],
)
def test_a_bad_line_is_a_problem_and_reading_goes_on(
    tmp_path: Path, line: str | bytes, reason: str
) -> None:
    first = '{"sku": "A", "title": "Käse", "attributes": {}}'
    rows = read_lines(tmp_path, first, line, '{"sku": "Z"}')
    assert [problem(row) for row in rows] == ["", reason, ""]
    assert rows[2].fields == {"sku": "Z"}


def test_a_json_array_is_refused_with_a_hint(tmp_path: Path) -> None:
    with pytest.raises(InvalidManifest, match="JSON Lines"):
        read_lines(tmp_path, "[", '{"sku": "A"},', "]")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
keys = st.sampled_from(["title", "labels", "price", "images", "attributes", "other"])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.dictionaries(keys, json_values), max_size=5))
def test_any_objects_become_rows_that_can_travel(
    tmp_path_factory: pytest.TempPathFactory, objects: list[dict[str, Any]]
) -> None:
    path = tmp_path_factory.mktemp("jsonl")
    lines = [json.dumps({"sku": "A", **each}) for each in objects]
    rows = read_lines(path, '{"sku": "A"}', *lines)
    assert len(rows) == len(objects) + 1
    for row in rows:
        json.dumps(row.fields, ensure_ascii=False).encode()


def test_parquet_types_become_fields(tmp_path: Path) -> None:
    rows = read_parquet(
        tmp_path,
        sku=pa.array([1.0, 2.0, None]),
        title=["Tea", None, "x"],
        price=[1.5, 2.0, None],
        labels=[["a", "b"], [], None],
        image=["a.jpg|b.jpg", "", None],
        attributes=pa.array([[("c", "red")], [], None], pa.map_(pa.string(), pa.string())),
        unused=[b"x" * 100] * 3,
    )
    assert rows[0] == SourceRow(
        1,
        {
            "sku": "1",
            "title": "Tea",
            "price": "1.5",
            "labels": ["a", "b"],
            "attributes": {"c": "red"},
        },
        ["a.jpg", "b.jpg"],
    )
    assert rows[1].fields["price"] == "2"
    assert rows[2].fields["sku"] == ""
    assert [row.row for row in rows] == [1, 2, 3]


def test_picture_bytes_in_parquet_are_a_problem_of_each_row(tmp_path: Path) -> None:
    rows = read_parquet(tmp_path, sku=["A"], image=[b"\x89PNG"])
    assert problem(rows[0]) == "CELL_NOT_TEXT"


def test_a_damaged_parquet_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.parquet").write_bytes(b"PAR1 nonsense PAR1")
    with pytest.raises(InvalidManifest, match="no readable Parquet"):
        open_manifest(tmp_path / "m.parquet")


def test_without_pyarrow_the_message_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pq.write_table(pa.table({"sku": ["A"]}), tmp_path / "m.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InvalidManifest, match=r"pip install 'shelflens\[parquet\]'"):
        open_manifest(tmp_path / "m.parquet")


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")


def test_folders_and_files_of_a_directory_are_products(tmp_path: Path) -> None:
    touch(tmp_path, "TEA-1/b.PNG", "TEA-1/a.jpg", "TEA-1/deep/c.webp", "COLA.jpeg")
    touch(tmp_path, "notes.txt", ".hidden.jpg", ".git/x.jpg", "TEA-1/.x.jpg", "EMPTY/readme.md")
    manifest = open_manifest(tmp_path)
    assert list(manifest) == [
        SourceRow(1, {"sku": "COLA"}, ["COLA.jpeg"]),
        SourceRow(2, {"sku": "TEA-1"}, ["TEA-1/a.jpg", "TEA-1/b.PNG", "TEA-1/deep/c.webp"]),
    ]
    assert manifest.closing_notes() == ("2 files with other extensions were left out",)
    assert manifest.position() == 1.0


def test_a_directory_without_images_is_refused(tmp_path: Path) -> None:
    touch(tmp_path, "a.txt")
    with pytest.raises(InvalidManifest) as caught:
        open_manifest(tmp_path)
    assert caught.value.reason == "NO_IMAGES"


def test_a_product_with_very_many_images_is_cut_into_rows_of_one_sku(tmp_path: Path) -> None:
    touch(tmp_path, *(f"A/{n}.jpg" for n in range(1001)))
    rows = list(open_manifest(tmp_path))
    assert [(row.fields, len(row.images or ())) for row in rows] == [
        ({"sku": "A"}, 1000),
        ({"sku": "A"}, 1),
    ]


def test_a_missing_manifest_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(InvalidManifest) as caught:
        open_manifest(tmp_path / "nothing.csv")
    assert caught.value.reason == "MANIFEST_NOT_FOUND"
