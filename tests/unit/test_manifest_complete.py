"""Whether a source was read to where it ends, or breaks off before."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shelflens.errors import InvalidManifest
from shelflens.manifests import open_manifest


def complete(path: Path) -> bool:
    manifest = open_manifest(path)
    assert not manifest.complete()  # not before it was read
    for _ in manifest:
        assert not manifest.complete()
    said = any("end in the middle" in note for note in manifest.closing_notes())
    assert said is not manifest.complete()
    return manifest.complete()


@pytest.mark.parametrize(
    "text",
    [
        "sku,title\nA,x\n",
        "sku,title\nA,x",
        "sku,title\r\nA,x\r\n",
        "sku,title\rA,x\r",
        'sku,title\nA,"x\ny"',
        "sku,title\n",
        "sku,title\nA\nB,x\n",  # a bad row in the middle
        "sku,title\nA,x\nB\n",  # a bad last row, but its line ends
        "sku,title\nA,x\n\n\n",
    ],
)
def test_a_table_that_ends_with_a_row_is_complete(tmp_path: Path, text: str) -> None:
    (tmp_path / "m.csv").write_text(text, newline="")
    assert complete(tmp_path / "m.csv")


@pytest.mark.parametrize(
    "text",
    [
        b"sku,title\nA,x\nB",
        b"sku,title,price\nA,x,1\nB,x",
        b'sku,title\nA,x\nB,"never closed',
        b'sku,title\nA,x\nB,"never closed\nC,x\n',
        b"sku,title",
        "sku,title\nA,Kä".encode()[:-1],  # in the middle of a character
        b"sku,title\nA,x\n" + b"\0" * 4096,  # a file that was made larger, then not written
    ],
)
def test_a_table_that_breaks_off_is_not_complete(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "m.csv").write_bytes(text)
    assert not complete(tmp_path / "m.csv")


def test_a_table_cut_anywhere_reads_without_error(tmp_path: Path) -> None:
    text = b'sku,title,image\nA,"one ""two""\nthree",a.jpg\nB,x,b.jpg\n'
    whole = len(text)
    for cut in range(len(b"sku,title,image\n"), whole):
        (tmp_path / "m.csv").write_bytes(text[:cut])
        rows = list(open_manifest(tmp_path / "m.csv"))
        assert [row.row for row in rows] == list(range(1, len(rows) + 1))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"sku":"A"}\n', True),
        ('{"sku":"A"}', True),
        ('{"sku":"A"}\nnonsense\n{"sku":"B"}\n', True),
        ('{"sku":"A"}\n{"sku":"B","ti', False),
        ('{"sku":"A"}\n{"sku":"B"', False),
        ('{"sku":"A"}\n{', False),
    ],
)
def test_json_lines_are_complete_when_the_last_one_is(
    tmp_path: Path, text: str, expected: bool
) -> None:
    (tmp_path / "m.jsonl").write_text(text)
    assert complete(tmp_path / "m.jsonl") is expected


def test_parquet_that_can_be_read_to_the_end_is_complete(tmp_path: Path) -> None:
    pq.write_table(pa.table({"sku": ["A", "B"]}), tmp_path / "m.parquet")
    assert complete(tmp_path / "m.parquet")


def test_parquet_that_breaks_on_the_way_is_refused_and_not_complete(tmp_path: Path) -> None:
    path = tmp_path / "m.parquet"
    table = pa.table({"sku": [str(n) for n in range(4000)]})
    pq.write_table(table, path, row_group_size=500, compression="zstd", use_dictionary=False)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 400] = b"\xff" * 400
    path.write_bytes(data)
    manifest = open_manifest(path)
    with pytest.raises(InvalidManifest, match="damaged after row"):
        list(manifest)
    assert not manifest.complete()


def test_a_directory_is_complete_once_it_is_listed(tmp_path: Path) -> None:
    (tmp_path / "A.jpg").write_bytes(b"x")
    manifest = open_manifest(tmp_path)
    list(manifest)
    assert manifest.complete()


def test_a_manifest_left_early_is_not_complete(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("sku\n" + "A\n" * 1000)
    manifest = open_manifest(tmp_path / "m.csv")
    list(manifest)
    assert manifest.complete()
    next(iter(manifest))
    assert not manifest.complete()
