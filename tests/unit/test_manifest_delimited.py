"""CSV and TSV manifests."""

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shelflens.errors import InvalidManifest
from shelflens.manifests import ColumnMap, SourceRow, open_manifest


def read(
    path: Path, text: str | bytes, name: str = "m.csv", separator: str = "|"
) -> list[SourceRow]:
    file = path / name
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return list(open_manifest(file, separator=separator))


def reasons(rows: list[SourceRow]) -> list[str]:
    return [row.problem.reason if row.problem else "" for row in rows]


def test_a_row_has_the_fields_of_its_columns_and_its_images(tmp_path: Path) -> None:
    rows = read(tmp_path, "sku,title,price,image\nA,Tea,1.50,a.jpg|b.jpg\n")
    assert rows == [SourceRow(1, {"sku": "A", "title": "Tea", "price": "1.50"}, ["a.jpg", "b.jpg"])]


def test_without_an_image_column_images_are_none_and_with_an_empty_cell_they_are_empty(
    tmp_path: Path,
) -> None:
    assert read(tmp_path, "sku,title\nA,Tea\n")[0].images is None
    assert read(tmp_path, "sku,image\nA,\n")[0].images == []


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(tmp_path: Path, delimiter: str) -> None:
    text = "sku,title,description\nA,x,y\nB,x,y\n".replace(",", delimiter)
    assert [row.fields["sku"] for row in read(tmp_path, text)] == ["A", "B"]


def test_commas_in_a_semicolon_file_do_not_mislead(tmp_path: Path) -> None:
    rows = read(tmp_path, 'sku;title;price\nA;"tea, green, big";1,5\nB;a, b;2\n')
    assert rows[0].fields["title"] == "tea, green, big"
    assert rows[0].fields["price"] == "1,5"


def test_a_list_separator_in_cells_is_not_taken_for_the_delimiter(tmp_path: Path) -> None:
    rows = read(tmp_path, "sku,labels\nA,x|y|z\nB,x|y\n")
    assert rows[0].fields["labels"] == ["x", "y", "z"]


def test_a_tsv_file_is_cut_at_tabs_only(tmp_path: Path) -> None:
    assert read(tmp_path, "sku\ttitle\nA\tx,y,z\n", "m.tsv")[0].fields["title"] == "x,y,z"


def test_quoted_newlines_stay_inside_their_cell(tmp_path: Path) -> None:
    rows = read(tmp_path, 'sku,title\r\nA,"two\r\nlines"\r\nB,"say ""hi"""\r\n')
    assert [row.fields["title"] for row in rows] == ["two\r\nlines", 'say "hi"']


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]
)
def test_unicode_encodings_are_recognised(tmp_path: Path, encoding: str) -> None:
    rows = read(tmp_path, "sku,title\nA,Käse große Stücke\n".encode(encoding))
    assert rows[0].fields == {"sku": "A", "title": "Käse große Stücke"}


def test_latin1_is_the_fallback_and_is_announced(tmp_path: Path) -> None:
    file = tmp_path / "m.csv"
    file.write_bytes("sku,title\nA,Käse\n".encode("latin-1"))
    manifest = open_manifest(file)
    assert any("Latin-1" in note for note in manifest.notes)
    assert next(iter(manifest)).fields["title"] == "Käse"


def test_one_damaged_byte_rejects_its_row_only(tmp_path: Path) -> None:
    good = "sku,title\n" + "".join(f"K{n},Käse\n" for n in range(5))
    rows = read(tmp_path, good.encode() + b"BAD,K\xe4se\nZ,fine\n")
    assert reasons(rows) == [""] * 5 + ["TEXT_UNDECODABLE", ""]
    assert rows[5].fields == {"sku": "BAD"}
    assert rows[5].problem is not None
    assert rows[5].problem.field == "title"
    rows[5].problem.value.encode()


def test_a_truncated_utf16_file_ends_with_a_problem_not_an_exception(tmp_path: Path) -> None:
    rows = read(tmp_path, "sku,title\nA,x\nB,yy".encode("utf-16") + b"\x41")
    assert reasons(rows) == ["", "TEXT_UNDECODABLE"]


def test_rows_of_another_width_are_problems_and_keep_their_numbers(tmp_path: Path) -> None:
    rows = read(tmp_path, "sku,title\nA,x\nB\n\nC,x,y\nD,x\n")
    assert reasons(rows) == ["", "WRONG_COLUMN_COUNT", "WRONG_COLUMN_COUNT", ""]
    assert [row.row for row in rows] == [1, 2, 3, 4]


def test_a_cell_over_one_mebibyte_is_a_problem(tmp_path: Path) -> None:
    rows = read(tmp_path, f"sku,title\nA,{'x' * (1 << 20)}\nB,{'x' * ((1 << 20) + 1)}\nC,x\n")
    assert reasons(rows) == ["", "CELL_TOO_LARGE", ""]
    assert rows[1].problem is not None
    assert len(rows[1].problem.value) <= 200


def test_a_line_over_16_mebibytes_is_skipped(tmp_path: Path) -> None:
    rows = read(tmp_path, f"sku,title\nA,{'x,' * (9 << 20)}\nB,x\n")
    assert reasons(rows) == ["ROW_TOO_LONG", ""]


@pytest.mark.parametrize("after", ["", "\n"])
def test_a_stray_quote_costs_its_own_line_only(tmp_path: Path, after: str) -> None:
    lines = [f"{n},{chr(34) if n == 2 else ''}x" for n in range(1, 6)]
    rows = read(tmp_path, "sku,title\n" + "\n".join(lines) + after)
    assert reasons(rows) == ["", "UNCLOSED_QUOTE", "", "", ""]
    assert [row.row for row in rows] == [1, 2, 3, 4, 5]


def test_a_stray_quote_in_a_long_file_costs_its_own_line_only(tmp_path: Path) -> None:
    many = 120_000
    lines = [f"{n},{chr(34) if n == 2 else ''}some title" for n in range(1, many + 1)]
    rows = read(tmp_path, "sku,title\n" + "\n".join(lines))
    assert len(rows) == many
    assert [row.row for row in rows if row.problem] == [2]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "HEADER_MISSING"),
        ("\n\n", "HEADER_MISSING"),
        ("title,price\nx,1\n", "SKU_COLUMN_MISSING"),
        ("sku,sku\nA,B\n", "COLUMN_TWICE"),
    ],
)
def test_a_header_without_use_is_refused_at_once(tmp_path: Path, text: str, reason: str) -> None:
    file = tmp_path / "m.csv"
    file.write_text(text)
    with pytest.raises(InvalidManifest) as caught:
        open_manifest(file)
    assert caught.value.reason == reason


def test_a_header_alone_has_no_rows(tmp_path: Path) -> None:
    assert read(tmp_path, "sku,title") == []


def test_another_separator_may_be_set(tmp_path: Path) -> None:
    rows = read(tmp_path, "sku,title,image\nA,x,a.jpg;b.jpg\n", separator=";")
    assert rows[0].images == ["a.jpg", "b.jpg"]


def test_a_manifest_is_read_twice_alike_and_tells_its_position(tmp_path: Path) -> None:
    file = tmp_path / "m.csv"
    file.write_text("sku,title\n" + "A,x\n" * 1000)
    manifest = open_manifest(file, ColumnMap())
    shares = [manifest.position() for _ in manifest]
    assert shares[-1] == 1.0
    assert len(list(manifest)) == len(shares) == 1000


cells = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=20)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(cells, cells), max_size=8), st.sampled_from(",;\t|"))
def test_whatever_a_csv_writer_writes_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, pairs: list[tuple[str, str]], delimiter: str
) -> None:
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=delimiter, quoting=csv.QUOTE_ALL)
    writer.writerows([("sku", "title"), *pairs])
    rows = read(tmp_path_factory.mktemp("csv"), out.getvalue().encode())
    assert [(row.fields["sku"], row.fields["title"]) for row in rows] == pairs


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300))
def test_no_bytes_after_the_header_end_the_reading(
    tmp_path_factory: pytest.TempPathFactory, junk: bytes
) -> None:
    rows = read(tmp_path_factory.mktemp("csv"), b"sku,title\n" + junk)
    assert [row.row for row in rows] == list(range(1, len(rows) + 1))
