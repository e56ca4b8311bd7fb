"""Manifests that break the rules of their format, by accident or on purpose."""

import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shelflens.errors import InvalidManifest
from shelflens.manifests import SourceRow, open_manifest

MIB = 1 << 20
# Reads the manifest with 128 MiB more than the interpreter has after its imports.
_BOUNDED = """
import resource, sys
from pathlib import Path
from shelflens.manifests import open_manifest
pages = int(open("/proc/self/statm").read().split()[0])
limit = pages * resource.getpagesize() + (128 << 20)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
for row in open_manifest(Path(sys.argv[1])):
    print(row.problem.reason if row.problem else "ok")
"""


def write(folder: Path, text: str | bytes, name: str = "m.csv") -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def read(folder: Path, text: str | bytes, name: str = "m.csv") -> list[SourceRow]:
    return list(open_manifest(write(folder, text, name)))


def reasons(rows: list[SourceRow]) -> list[str]:
    return [row.problem.reason if row.problem else "" for row in rows]


def refusal(path: Path) -> str:
    with pytest.raises(InvalidManifest) as caught:
        open_manifest(path)
    return caught.value.reason


def bounded(path: Path) -> list[str]:
    found = subprocess.run(
        [sys.executable, "-c", _BOUNDED, str(path)], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stderr
    return found.stdout.split()


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf16_without_a_mark_is_told_by_its_header(tmp_path: Path, encoding: str) -> None:
    text = "sku,title\n" + "".join(f"{n},商品の説明です\n" for n in range(500))
    rows = read(tmp_path, text.encode(encoding))
    assert len(rows) == 500
    assert rows[0].fields == {"sku": "0", "title": "商品の説明です"}


@pytest.mark.parametrize("delimiter", ["^", "~", "\x01", "\x1f"])
def test_odd_delimiters_are_found(tmp_path: Path, delimiter: str) -> None:
    text = "sku|title|description\nA|b,c|d;e\n".replace("|", delimiter)
    (row,) = read(tmp_path, text)
    assert row.fields == {"sku": "A", "title": "b,c", "description": "d;e"}


@pytest.mark.parametrize("first", ["sep=;\n", '"sep=;"\r\n'])
def test_a_delimiter_that_is_announced_is_taken(tmp_path: Path, first: str) -> None:
    manifest = open_manifest(write(tmp_path, f"{first}sku;a,b,c,d\nA;x,y,z,w\n"))
    assert [(row.row, row.fields) for row in manifest] == [(1, {"sku": "A"})]
    assert manifest.complete()


def test_the_signs_of_windows_are_kept(tmp_path: Path) -> None:
    (row,) = read(tmp_path, "sku,title\nA,„Käse“ 5 €\n".encode("cp1252"))
    assert row.fields["title"] == "„Käse“ 5 €"


@pytest.mark.parametrize(
    ("name", "text"),
    [("m.csv", "sku,title\rA,x\rB,y\r"), ("m.jsonl", '{"sku":"A"}\r{"sku":"B"}\r')],
)
def test_a_carriage_return_ends_a_line(tmp_path: Path, name: str, text: str) -> None:
    assert [row.fields["sku"] for row in read(tmp_path, text, name)] == ["A", "B"]


def test_a_nul_within_a_cell_cuts_nothing_off(tmp_path: Path) -> None:
    rows = read(tmp_path, "sku,title\nA,x\nB,a\0b\nC,x\n")
    assert [row.fields["title"] for row in rows] == ["x", "a\0b", "x"]


@pytest.mark.parametrize(
    "cell", ["x" * (10 * MIB), '"' + "a line of text\n" * (10 * MIB // 15) + '"']
)
def test_a_cell_of_ten_mebibytes_harms_no_neighbour(tmp_path: Path, cell: str) -> None:
    rows = read(tmp_path, f"sku,title,description\nA,x,y\nB,x,{cell}\nC,x,y\n")
    assert reasons(rows) == ["", "CELL_TOO_LARGE", ""]
    assert rows[1].fields == {"sku": "B"}
    assert rows[1].problem is not None
    assert rows[1].problem.field == "description"
    assert len(rows[1].problem.value) <= 200


def test_two_stray_quotes_far_apart_cost_their_own_lines_only(tmp_path: Path) -> None:
    between = "".join(f"{n},some title\n" for n in range(100_000))
    rows = read(tmp_path, f'sku,title\nA,"x\n{between}B,"y\nC,z\n')
    assert len(rows) == 100_003
    assert [row.fields["sku"] for row in rows if row.problem] == ["A", "B"]


@pytest.mark.parametrize("header", ["sku" + ",x" * 1_000_000, ",".join(map(str, range(1_000_000)))])
def test_a_million_columns_are_refused(tmp_path: Path, header: str) -> None:
    assert refusal(write(tmp_path, f"{header}\n1,2\n")) == "TOO_MANY_COLUMNS"


@pytest.mark.parametrize("cells", [1_000_000, 15 * MIB])
def test_a_row_of_a_million_cells_is_rejected_with_a_short_value(
    tmp_path: Path, cells: int
) -> None:
    rows = read(tmp_path, "sku,title\nA,x\nB" + "," * cells + "\nC,x\n")
    assert reasons(rows) == ["", "WRONG_COLUMN_COUNT", ""]
    assert rows[1].fields == {"sku": "B"}
    assert rows[1].problem is not None
    assert len(rows[1].problem.value) <= 200


@pytest.mark.parametrize("start", ["", "sku,title\nA,x\n"])
def test_a_line_without_end_is_read_in_bounded_memory(tmp_path: Path, start: str) -> None:
    path = write(tmp_path, start + "x")
    with path.open("r+b") as file:
        file.truncate(200 * MIB)  # a sparse file
    if start:
        assert bounded(path) == ["ok", "ROW_TOO_LONG"]
    else:
        assert refusal(path) == "HEADER_MISSING"


def test_an_undecodable_header_is_readable_in_notes_and_on_the_wire(tmp_path: Path) -> None:
    manifest = open_manifest(write(tmp_path, b"sku,attributes.K\xe4se,\xc3\xa4\xc3\xa4\nA,x,y\n"))
    "".join(manifest.notes).encode()
    (row,) = manifest
    assert row.fields["attributes"] == {"K\\udce4se": "x"}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"sku":"A","sku":"B"}', "KEY_TWICE"),
        ('{"sku":"A","attributes":{"a":1,"a":2}}', "KEY_TWICE"),
        ('{"sku":' + "[" * 900 + "]" * 900 + "}", "CELL_NOT_TEXT"),
        ('{"sku":' + "[" * 9000 + "]" * 9000 + "}", "BAD_JSON"),
        ('{"sku":"A","price":NaN}', ""),
        ('{"sku":"A","price":' + "9" * 100_000 + "}", ""),
    ],
)
def test_a_json_object_with_traps_costs_itself(tmp_path: Path, line: str, reason: str) -> None:
    first = '{"sku":"F","title":"","price":1,"attributes":{}}'
    rows = read(tmp_path, f'{first}\n{line}\n{{"sku":"Z"}}\n', "m.jsonl")
    assert reasons(rows) == ["", reason, ""]


def test_a_row_with_a_problem_keeps_its_sku_whichever_column_is_read_first(tmp_path: Path) -> None:
    text = f"title,sku\n{'x' * (MIB + 1)},A\nB\n"
    rows = read(tmp_path, text)
    assert [row.fields for row in rows] == [{"sku": "A"}, {}]


def parquet(folder: Path, table: pa.Table) -> Path:
    pq.write_table(table, folder / "m.parquet")
    return folder / "m.parquet"


def test_values_that_parquet_cannot_give_cost_their_own_row(tmp_path: Path) -> None:
    dates = pa.array([2**62, 0], pa.timestamp("us"))
    rows = list(open_manifest(parquet(tmp_path, pa.table({"sku": ["A", "B"], "title": dates}))))
    assert reasons(rows) == ["CELL_NOT_TEXT", ""]
    assert rows[0].fields == {"sku": "A"}


def test_a_parquet_text_that_is_no_utf8_costs_its_own_row(tmp_path: Path) -> None:
    ends = pa.array([0, 2, 4], pa.int32()).buffers()[1]
    texts = pa.Array.from_buffers(pa.string(), 2, [None, ends, pa.py_buffer(b"ok\xff\xfe")])
    rows = list(open_manifest(parquet(tmp_path, pa.table({"sku": ["A", "B"], "title": texts}))))
    assert reasons(rows) == ["", "TEXT_UNDECODABLE"]
    assert rows[1].fields == {"sku": "B"}


def test_nested_parquet_columns_are_no_text(tmp_path: Path) -> None:
    table = pa.table({"sku": ["A"], "title": [{"de": "Tee"}], "image": [["a.jpg"]]})
    assert reasons(list(open_manifest(parquet(tmp_path, table)))) == ["CELL_NOT_TEXT"]


def test_two_parquet_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    arrays = [pa.array(["A"])] * 3
    table = pa.Table.from_arrays(arrays, names=["sku", "title", "title"])
    assert refusal(parquet(tmp_path, table)) == "COLUMN_TWICE"


def test_a_truncated_parquet_file_is_refused(tmp_path: Path) -> None:
    path = parquet(tmp_path, pa.table({"sku": [str(n) for n in range(1000)]}))
    path.write_bytes(path.read_bytes()[:-50])
    assert refusal(path) == "MANIFEST_UNREADABLE"


def test_a_parquet_text_that_many_rows_repeat_is_held_once(tmp_path: Path) -> None:
    pool = pa.default_memory_pool()
    texts = pa.DictionaryArray.from_arrays(pa.array([0] * 1000, pa.int32()), ["x" * (2 * MIB)])
    table = pa.table({"sku": [str(n) for n in range(1000)], "title": texts})
    path = tmp_path / "m.parquet"
    pq.write_table(table, path, store_schema=False)  # to be read as any other writer's
    before = pool.max_memory()
    assert reasons(list(open_manifest(path))) == ["CELL_TOO_LARGE"] * 1000
    assert pool.max_memory() < max(before, 100 * MIB)
