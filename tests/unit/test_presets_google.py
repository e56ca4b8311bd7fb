"""Product feeds of Google Merchant Center: TSV, CSV, RSS and Atom."""

from pathlib import Path

import pytest

from shelflens.errors import InvalidManifest
from shelflens.manifests import SourceRow, open_manifest

RSS = """<?xml version="1.0" encoding="UTF-8"?>
<rss version="2.0" xmlns:g="http://base.google.com/ns/1.0"><channel><title>Shop</title>
{items}</channel></rss>
"""
ITEM = """<item><g:id>{id}</g:id><title>Käse &amp; Brot</title>
<description><![CDATA[<p>Fine <b>tea</b></p>]]></description><link>https://x/a</link>
<g:image_link>https://x/a.jpg</g:image_link>
<g:additional_image_link>https://x/b.jpg</g:additional_image_link>
<g:additional_image_link>https://x/c,d.jpg</g:additional_image_link>
<g:price>12.90 EUR</g:price><g:product_type>Home &gt; Food, fresh</g:product_type>
<g:item_group_id>G</g:item_group_id><g:brand>Acme</g:brand><g:availability>in_stock</g:availability>
<g:shipping><g:price>3 EUR</g:price></g:shipping></item>
"""


def feed(folder: Path, text: str | bytes, name: str = "feed.xml") -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def rss(count: int = 2) -> str:
    return RSS.format(items="".join(ITEM.format(id=f"A{n}") for n in range(count)))


def reasons(rows: list[SourceRow]) -> list[str]:
    return [row.problem.reason if row.problem else "" for row in rows]


def test_an_rss_item_is_read_whole(tmp_path: Path) -> None:
    manifest = open_manifest(feed(tmp_path, rss(1)))
    assert manifest.notes[0].startswith("looks like a Google Merchant product feed")
    assert list(manifest) == [
        SourceRow(
            1,
            {
                "sku": "A0",
                "title": "Käse & Brot",
                "description": "Fine tea",
                "categories": ["Home > Food, fresh"],
                "parent": "G",
                "price": "12.90",
                "attributes": {
                    "link": "https://x/a",
                    "brand": "Acme",
                    "availability": "in_stock",
                },
            },
            ["https://x/a.jpg", "https://x/b.jpg", "https://x/c,d.jpg"],
        )
    ]
    assert manifest.complete()


@pytest.mark.parametrize("encoding", ["utf-16", "iso-8859-1", "windows-1252"])
def test_xml_is_read_in_the_encoding_that_it_announces(tmp_path: Path, encoding: str) -> None:
    text = rss().replace("UTF-8", encoding).encode(encoding)
    assert [row.fields["title"] for row in open_manifest(feed(tmp_path, text))] == [
        "Käse & Brot"
    ] * 2


def test_an_atom_entry_gives_its_links_address(tmp_path: Path) -> None:
    atom = (
        '<feed xmlns="http://www.w3.org/2005/Atom" xmlns:g="http://base.google.com/ns/1.0"><entry>'
        '<g:id>1</g:id><title>T</title><summary>S</summary><link href="https://x/1"/>'
        "<g:image_link>a.jpg</g:image_link></entry></feed>"
    )
    (row,) = open_manifest(feed(tmp_path, atom, "noextension"))
    assert row.fields == {
        "sku": "1",
        "title": "T",
        "description": "S",
        "attributes": {"link": "https://x/1"},
    }
    assert row.images == ["a.jpg"]


@pytest.mark.parametrize(("name", "delimiter"), [("feed.txt", "\t"), ("feed.csv", ",")])
def test_a_feed_as_a_table_is_read_alike(tmp_path: Path, name: str, delimiter: str) -> None:
    header = [
        "id",
        "title",
        "link",
        "image link",
        "additional image link",
        "price",
        "item group id",
    ]
    cells = ["1", "Tea", "https://x", "a.jpg", '"b.jpg,c.jpg"', "EUR 12.90", "G"]
    text = "\n".join(delimiter.join(each) for each in (header, cells)) + "\n"
    (row,) = open_manifest(feed(tmp_path, text, name))
    assert row.images == ["a.jpg", "b.jpg", "c.jpg"]
    assert (row.fields["price"], row.fields["parent"]) == ("12.90", "G")


def test_a_picture_that_only_a_late_item_has_is_taken(tmp_path: Path) -> None:
    plain = "<g:id>{n}</g:id><title>t</title><link>l</link><g:image_link>a.jpg</g:image_link>"
    early = "".join(f"<item>{plain.format(n=n)}</item>" for n in range(1200))
    items = early + ITEM.format(id="late")
    rows = list(open_manifest(feed(tmp_path, RSS.format(items=items))))
    assert rows[-1].images == ["https://x/a.jpg", "https://x/b.jpg", "https://x/c,d.jpg"]
    assert rows[-1].fields["parent"] == "G"
    assert "parent" not in rows[0].fields


@pytest.mark.parametrize("cut", [12, 300, 700])
def test_a_feed_that_ends_early_has_a_last_problem_and_is_not_complete(
    tmp_path: Path, cut: int
) -> None:
    manifest = open_manifest(feed(tmp_path, rss(5)[:-cut]))
    rows = list(manifest)
    assert reasons(rows)[-1] == "BAD_XML"
    assert not any(reasons(rows)[:-1])
    assert not manifest.complete()


@pytest.mark.parametrize(
    "declared",
    [
        '<!DOCTYPE x [<!ENTITY a "b"><!ENTITY c "&a;&a;&a;&a;">]>',
        '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE x SYSTEM "http://127.0.0.1:9/x.dtd">',
    ],
)
def test_entities_and_references_to_other_files_are_refused(tmp_path: Path, declared: str) -> None:
    text = rss().replace("?>\n", f"?>{declared}", 1)
    with pytest.raises(InvalidManifest, match="declares entities or refers to other files"):
        open_manifest(feed(tmp_path, text))


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (ITEM.replace("Käse", "x" * (2 << 20)), ["", "CELL_TOO_LARGE", ""]),
        ("<item>" + "<a>x</a>" * 5000 + "</item>", ["", "ROW_TOO_LONG", ""]),
        ("<item><g:id>B</g:id>" + "<a>" * 200 + "</a>" * 200 + "</item>", ["", "BAD_XML"]),
        (f'<item a="{"x" * (6 << 20)}"/>', ["", "BAD_XML"]),
        ("<item><g:id>&nbsp;</g:id></item>", ["", "BAD_XML"]),
        ("<item><g:id>\0</g:id></item>", ["", "BAD_XML"]),
    ],
)
def test_a_hostile_item_costs_itself_or_ends_the_reading(
    tmp_path: Path, item: str, expected: list[str]
) -> None:
    items = ITEM.format(id="A") + item.replace("{id}", "B") + ITEM.format(id="C")
    assert reasons(list(open_manifest(feed(tmp_path, RSS.format(items=items))))) == expected


@pytest.mark.parametrize("text", ["", "sku,title\n", "<html><body/></html>"])
def test_what_is_no_feed_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(InvalidManifest, match="no item or entry"):
        open_manifest(feed(tmp_path, text))


def test_a_feed_without_links_is_known_by_its_images(tmp_path: Path) -> None:
    item = "<item><g:id>A</g:id><title>t</title><g:image_link>a.jpg</g:image_link></item>"
    manifest = open_manifest(feed(tmp_path, RSS.format(items=item)))
    assert manifest.notes[0].startswith("looks like a Google Merchant product feed")
    assert [row.images for row in manifest] == [["a.jpg"]]
