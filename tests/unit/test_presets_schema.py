"""The YAML of presets: what it can say, and what is said about mistakes in it."""

from pathlib import Path

import pytest

from shelflens import presets
from shelflens.errors import InvalidArgument
from shelflens.manifests import ColumnMap, SourceRow, open_manifest
from shelflens.manifests.html_text import to_text

OWN = """
name: mine
description: of a shop of our own
none: {colour: ["-", n/a]}
only: {state: ["on", ""]}
fields:
  sku: {columns: [ean, number], value: "{supplier}-{code}"}
  title: [name_en, name_de]
  description: {columns: text, html: true}
  categories: {columns: [group1, group2], separator: ";", path: "|", drop: [All]}
  labels: {value: imported}
  parent: {columns: style, prefix: "style-"}
  price: {columns: eur, number: true}
  stock: {columns: left, minimum: 0}
  image: {columns: [front, back], separator: " ", prefix: media/}
  attributes: {columns: more, separator: ";", equals: ":"}
  attributes.colour: colour
"""


def own(folder: Path, text: str = OWN) -> Path:
    path = folder / "mine.yaml"
    path.write_text(text)
    return path


def read(folder: Path, text: str, preset: str = OWN) -> list[SourceRow]:
    (folder / "m.csv").write_text(text)
    return list(open_manifest(folder / "m.csv", preset=own(folder, preset)))


def test_a_preset_of_ones_own_is_used_by_its_path(tmp_path: Path) -> None:
    header = "number,name_en,name_de,text,group1,group2,style,eur,left,front,back,more,colour,state"
    cells = (
        "7,,Tee,<b>x</b>,All|Hot;All,New|Tea,9,EUR 3,-1,a.jpg https://x/b.jpg,c.jpg,m:1;n:2,n/a,ON"
    )
    (row,) = read(tmp_path, f"{header}\n{cells}\n")
    assert row == SourceRow(
        1,
        {
            "sku": "7",
            "title": "Tee",
            "description": "x",
            "categories": ["Hot", "New > Tea"],
            "labels": ["imported"],
            "parent": "style-9",
            "price": "3",
            "stock": "0",
            "attributes": {"m": "1", "n": "2"},
        },
        ["media/a.jpg", "https://x/b.jpg", "media/c.jpg"],
    )


def test_a_template_stands_in_for_columns_without_a_value(tmp_path: Path) -> None:
    rows = read(tmp_path, "ean,supplier,code\n1,S,5\n,S,5\n,S,\n")
    assert [row.fields["sku"] for row in rows] == ["1", "S-5", ""]


def test_fields_without_a_column_are_left_as_they_are_stored(tmp_path: Path) -> None:
    (row,) = read(tmp_path, "ean\n1\n")
    assert row.fields == {"sku": "1", "labels": ["imported"]}
    assert row.images is None


def test_a_preset_reads_json_lines_too(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    path.write_text('{"ean": 1, "name_en": "Tea", "front": ["a b.jpg"]}\n{"ean": 2, "eur": 1.50}\n')
    first, second = open_manifest(path, preset=own(tmp_path))
    assert first.images == ["media/a b.jpg"]
    assert second.fields["price"] == "1.50"
    assert second.fields["title"] == ""


def test_a_mapped_column_replaces_the_rule_of_one_field(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("ean,name_en,eur,was\n1,Tea,2 EUR,3\n")
    mapping = ColumnMap.parse(["price=was"])
    (row,) = open_manifest(tmp_path / "m.csv", mapping, preset=own(tmp_path))
    assert (row.fields["price"], row.fields["title"]) == ("3", "Tea")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("fields: {sku: a}", "'name' must be a text"),
        ("name: x", "'fields' is missing"),
        ("name: x\nfields: {title: a}", "'fields.sku' is missing"),
        ("name: x\nfields: {sku: a}\ncolour: red", "'colour' is no key"),
        ("name: x\nfields: {sku: {colums: a}}", "'fields.sku.colums' is no key"),
        ("name: x\nfields: {sku: a, colour: b}", "'fields.colour' is no field"),
        ("name: x\nfields: {sku: a, title: {path: b}}", "'fields.title.path' is no key"),
        ("name: x\nfields: {sku: [1]}", "'fields.sku.columns' must be a text"),
        ("name: x\nnone: {a: -1}\nfields: {sku: a}", "'none.a' must be a text"),
        ("name: x\nfields: {sku: a, description: {html: 'yes'}}", "must be true or false"),
        ("name: x\nfields: {sku: a}\nsplits: {t: {csv: t}}", "'splits.t.csv' is no key"),
        ("name: x\nfields: {sku: a}\ngroups: {repeat: a}", "'groups.key' must be a text"),
        ("name: x\nfields: {sku: a}\ndetect: [a]", "detect must have keys"),
        ("- a", "the file must have keys"),
        ("name: [", "is no YAML"),
        ("!!python/object/apply:os.getcwd []", "is no YAML"),
        ("", "'name' must be a text"),
    ],
)
def test_a_mistake_is_named_with_its_key_and_file(tmp_path: Path, text: str, named: str) -> None:
    path = own(tmp_path, text)
    with pytest.raises(InvalidArgument) as caught:
        presets.find(path)
    assert caught.value.reason == "INVALID_PRESET"
    assert named in caught.value.message
    assert str(path) in caught.value.message


def test_a_pattern_of_paths_without_sense_is_named(tmp_path: Path) -> None:
    text = 'name: x\nfields: {sku: sku}\nfiles: ["a/**/b"]'
    with pytest.raises(InvalidArgument, match="no pattern of paths"):
        open_manifest(tmp_path, preset=own(tmp_path, text))


def test_the_documented_example_is_a_preset(tmp_path: Path) -> None:
    page = Path(__file__).parents[2] / "docs" / "presets.md"
    example = page.read_text().partition("```yaml\n")[2].partition("```")[0]
    assert set(presets.find(own(tmp_path, example)).fields) >= {"sku", "image", "attributes"}


def test_every_built_in_preset_says_what_it_assumes() -> None:
    assert set(presets.builtin_names()) == {
        "capg-gp",
        "eproduct",
        "google-merchant",
        "grocery-store",
        "grozi120",
        "image-folder",
        "magento",
        "products10k",
        "shopify",
    }
    for name in presets.builtin_names():
        preset = presets.find(name)
        assert preset.name == name
        assert len(preset.description) > 80


def test_a_built_in_preset_copied_to_a_file_is_the_same(tmp_path: Path) -> None:
    for name in presets.builtin_names():
        assert presets.find(own(tmp_path, presets.text_of(name))) == presets.find(name)


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("plain a < b & c", "plain a < b & c"),
        ("<p>one</p>\n\n<p>two\nlines</p>", "one\ntwo lines"),
        ("a<br/>b<BR>c", "a\nb\nc"),
        ("x <b>bold</b>er &lt;tag&gt; &amp;amp; &nbsp;y", "x bolder <tag> &amp; y"),
        ("a<script>if (a<b) {}</script>b<style>p{}</style>c<!-- d <p> -->e", "a\nb\nce"),
        ("<ul><li>one</li><li>two</li></ul>", "one\ntwo"),
        ("never <script>closed", "never"),
        ("cut <a href=", "cut <a href="),
    ],
)
def test_html_becomes_the_text_that_people_see(html: str, text: str) -> None:
    assert to_text(html) == text
