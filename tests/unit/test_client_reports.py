"""The HTML page about an import: complete, self-contained, and deaf to hostile values."""

import base64
import html.parser
import io
import re
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from services.core import error_report
from services.core.shard_files import RejectedRow
from shelflens.cli.main import run
from shelflens.errors import DataLoss, InvalidArgument
from shelflens.images import ImageProblem
from shelflens.reports import thumbnails as limits
from shelflens.reports.page import SHOWN, import_page
from shelflens.reports.picture_size import picture_size
from shelflens.reports.rejections import read_rejections
from shelflens.reports.thumbnails import Thumbnails
from shelflens.values import ImportCounts, Operation, PruneResult, Rejection, StageTime
from tests.unit.test_client_server import MemoryServer, serving

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'></td><iframe src=//evil.example>",
    "<style>@import url(//evil.example)</style>",
    "&lt;b&gt; \x00 \ud800 ]]>",
)


def operation(**values: object) -> Operation:
    counts = ImportCounts(
        rows_read=1234, rows_rejected=7, rejected_by_reason={"SKU_MISSING": 2, "NO_IMAGE": 8}
    )
    known = {"name": "operations/x", "kind": "import", "done": True, "state": "SUCCEEDED"}
    return Operation(**known | {"counts": counts} | values)  # type: ignore[arg-type]


def rejection(row: int, value: str = "a.jpg", field: str = "images", sku: str = "s") -> Rejection:
    return Rejection(row, "IMAGE_TRUNCATED", field, value, sku, False)


def page(found: Operation, *lines: Rejection, pictures: Thumbnails | None = None) -> str:
    return "".join(import_page(found, lines, pictures))


class Elements(html.parser.HTMLParser):
    """All start tags with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for name, form in (("a.jpg", "JPEG"), ("a.png", "PNG"), ("a.webp", "WEBP"), ("a.avif", "AVIF")):
        Image.new("RGB", (40, 30), (9, 99, 200)).save(folder / name, form)
    (tmp_path / "secret.jpg").write_bytes((folder / "a.jpg").read_bytes())
    return folder


def test_the_page_has_counts_reasons_with_bars_stages_and_the_prune_result() -> None:
    text = page(
        operation(
            stages=(StageTime("embed", 3, 600, 2.0),),
            prune=PruneResult(9, 0, 1, "TOO_MANY_REMOVALS", "be careful"),
        ),
        rejection(5),
    )
    assert "<b>1,234</b>rows read" in text
    assert '<code>NO_IMAGE</code><td class=n>8<td><div class=bar><i style="width:100%">' in text
    assert '<code>SKU_MISSING</code><td class=n>2<td><div class=bar><i style="width:25%">' in text
    assert "<tr><td>embed<td class=n>3<td class=n>600<td class=n>2.0<td class=n>300</tr>" in text
    assert "TOO_MANY_REMOVALS: be careful" in text
    assert "shelflens operations errors operations/x -o rejected.csv" in text


@pytest.mark.parametrize("value", HOSTILE)
def test_hostile_values_become_text(value: str) -> None:
    hostile = operation(
        display_name=value,
        catalog=value,
        name=value,
        counts=ImportCounts(rejected_by_reason={value: 1}),
        stages=(StageTime(value, 1, 1, 1.0),),
        prune=PruneResult(1, 0, 0, value, value),
    )
    lines = [Rejection(1, value, value, value, value, True), rejection(2, value)]
    text = page(hostile, *lines)
    safe = page(operation(stages=(StageTime("s", 1, 1, 1.0),), prune=PruneResult(1, 0, 0, "A", "")))
    allowed = {tag for tag, _ in Elements(safe).tags} | {"code", "h2", "table", "tr", "td", "th"}
    assert {tag for tag, _ in Elements(text).tags} <= allowed
    text.encode("utf-8", "replace")


def test_the_page_needs_no_network_and_no_scripts(root: Path) -> None:
    text = page(operation(), rejection(1), pictures=Thumbnails(root))
    elements = Elements(text)
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in elements.tags}
    for tag, attributes in elements.tags:
        assert not [name for name in attributes if name.startswith("on")]
        assert not attributes.get("href")
        if tag == "img":
            assert str(attributes["src"]).startswith("data:image/jpeg;base64,")
    assert "http" not in re.sub(r"http-equiv", "", text)
    assert "default-src 'none'; img-src data:" in text


def test_beyond_some_hundreds_the_page_says_how_many_more_there_are() -> None:
    lines = [rejection(row, field="sku") for row in range(1, SHOWN + 124)]
    text = page(operation(), *lines)
    assert text.count("<td>IMAGE_TRUNCATED") == SHOWN
    assert "123 more are not shown" in text
    assert f"All {SHOWN + 123} as CSV" in text
    assert "Nothing was rejected" in page(operation())


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.avif"])
def test_small_pictures_of_the_four_formats_are_shown_as_they_are(root: Path, name: str) -> None:
    kind, _, data = Thumbnails(root).uri(name).partition(";base64,")
    assert kind == "data:image/" + {"jpg": "jpeg"}.get(name[2:], name[2:])
    assert base64.b64decode(data) == (root / name).read_bytes()


@pytest.mark.parametrize(
    "reference",
    ["../secret.jpg", "/etc/passwd", "none.jpg", "link.jpg", "https://a.example/x.jpg", ".", "p"],
)
def test_nothing_outside_the_root_is_read(root: Path, reference: str) -> None:
    (root / "link.jpg").symlink_to(root.parent / "secret.jpg")
    (root / "p").mkdir()
    with pytest.raises(ImageProblem):
        Thumbnails(root).uri(reference)
    text = page(operation(), rejection(1, reference), pictures=Thumbnails(root))
    assert "<img" not in text
    assert "<div class=none>" in text


def _huge_png() -> bytes:
    return b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + struct.pack(">II", 60_000, 60_000) + b"\x08\2"


@pytest.mark.parametrize(
    "data",
    [
        b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
        b"GIF89a" + bytes(50),
        b"\xff\xd8\xff" + bytes(50),
        b"\x89PNG\r\n\x1a\n",
        _huge_png(),
        b"RIFF\0\0\0\0WEBPJUNK",
        b"",
    ],
)
def test_files_that_a_browser_might_not_show_safely_are_left_out(root: Path, data: bytes) -> None:
    (root / "x.jpg").write_bytes(data)
    with pytest.raises(ImageProblem):
        Thumbnails(root).uri("x.jpg")


def test_large_files_and_many_files_do_not_blow_the_page_up(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = (root / "a.jpg").stat().st_size
    monkeypatch.setattr(limits, "MAX_PAGE_BYTES", 2 * size)
    text = page(operation(), *(rejection(n) for n in range(5)), pictures=Thumbnails(root))
    assert text.count("<img") == 2
    (root / "big.jpg").write_bytes((root / "a.jpg").read_bytes() + bytes(limits.MAX_FILE_BYTES))
    with pytest.raises(ImageProblem, match="shown up to"):
        Thumbnails(root).uri("big.jpg")


@pytest.mark.parametrize("size", [(1, 1), (40, 30), (777, 1234)])
def test_sizes_are_read_as_pillow_reads_them(size: tuple[int, int]) -> None:
    variants: tuple[tuple[str, dict[str, bool]], ...]
    variants = (("jpeg", {}), ("jpeg", {"progressive": True}), ("png", {}), ("webp", {}))
    for kind, options in (*variants, ("webp", {"lossless": True}), ("avif", {})):
        file = io.BytesIO()
        Image.new("RGB", size, (200, 99, 9)).save(file, kind, **options)
        assert picture_size(file.getvalue(), kind) == size, (kind, options)
    file = io.BytesIO()
    Image.new("RGBA", size, (200, 99, 9, 0)).save(file, "webp")
    assert picture_size(file.getvalue(), "webp") == size


@pytest.mark.parametrize("cut", range(0, 200, 7))
def test_cut_files_have_a_size_or_none(root: Path, cut: int) -> None:
    for kind, name in (("jpeg", "a.jpg"), ("png", "a.png"), ("webp", "a.webp"), ("avif", "a.avif")):
        assert picture_size((root / name).read_bytes()[:cut], kind) in (None, (40, 30))


def test_what_the_server_writes_is_read_back() -> None:
    values = ["=1+1", "@x", "-5", "+cmd|' /C calc'!A0", "\tx", "\rx", "plain", 'a"b,\nc', "", "'=x"]
    rows = [
        RejectedRow(n, "R", f"f{n}", value, value, n % 2 == 0) for n, value in enumerate(values)
    ]
    data = error_report.HEADER + error_report.csv_lines(rows)
    pieces = [data[at : at + 3] for at in range(0, len(data), 3)]
    read = list(read_rejections(iter(pieces)))
    assert [each.value for each in read[:-1]] == values[:-1]
    assert [each.row_rejected for each in read] == [n % 2 == 0 for n in range(len(values))]


@pytest.mark.parametrize("data", [b"", b"a,b\r\n", b"\xff\xfe"])
def test_another_report_is_refused(data: bytes) -> None:
    with pytest.raises(DataLoss):
        list(read_rejections([data]))


def test_an_image_root_must_be_a_folder(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument):
        Thumbnails(tmp_path / "none")


@pytest.fixture
def imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    server = MemoryServer()
    (tmp_path / "m.csv").write_text("sku,image\nA,a.jpg\nB,none.jpg\n")
    (tmp_path / "a.jpg").write_bytes(b"good picture")
    with serving(server) as target:
        monkeypatch.setenv("SHELFLENS_TARGET", target)
        assert run(["import", "shop", str(tmp_path / "m.csv")]) == 0
        yield next(iter(server.operations))


def test_the_command_writes_the_page_of_an_import(
    imported: str, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "report.html"
    assert run(["operations", "get", imported, "--html", str(file), "--images", str(root)]) == 0
    text = file.read_text()
    assert "none.jpg" in text
    assert "no such file below" in text
    assert capsys.readouterr().err.endswith(f"wrote {file}\n")
