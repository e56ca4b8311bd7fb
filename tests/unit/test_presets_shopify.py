"""Exports of Shopify: one product over several rows."""

import csv
from pathlib import Path

from shelflens.manifests import SourceRow, open_manifest

COLUMNS = [
    "Handle",
    "Title",
    "Body (HTML)",
    "Vendor",
    "Product Category",
    "Type",
    "Tags",
    "Option1 Name",
    "Option1 Value",
    "Variant SKU",
    "Variant Inventory Qty",
    "Variant Price",
    "Variant Barcode",
    "Image Src",
    "Variant Image",
    "Status",
]
SHIRT = {
    "Handle": "shirt",
    "Title": "Shirt",
    "Body (HTML)": "<p>Soft</p>",
    "Vendor": "Acme",
    "Product Category": "Apparel > Tops",
    "Tags": "new, cotton",
    "Option1 Name": "Color",
    "Option1 Value": "Red",
    "Variant SKU": "S-R",
    "Variant Inventory Qty": "-2",
    "Variant Price": "19.90",
    "Image Src": "https://x/red.jpg",
    "Variant Image": "https://x/red.jpg",
    "Status": "active",
}
BLUE = {
    "Handle": "shirt",
    "Option1 Value": "Blue",
    "Variant SKU": "S-B",
    "Variant Price": "21.90",
    "Image Src": "https://x/blue.jpg",
    "Variant Image": "https://x/blue.jpg",
}
DETAIL = {"Handle": "shirt", "Image Src": "https://x/detail.jpg"}


def read(folder: Path, *rows: dict[str, str]) -> list[SourceRow]:
    path = folder / "export.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return list(open_manifest(path))


def test_variants_are_products_with_the_handle_as_parent(tmp_path: Path) -> None:
    red, blue, _ = read(tmp_path, SHIRT, BLUE, DETAIL)
    assert red == SourceRow(
        1,
        {
            "sku": "S-R",
            "title": "Shirt",
            "description": "Soft",
            "categories": ["Apparel > Tops"],
            "labels": ["new", "cotton"],
            "parent": "shirt",
            "price": "19.90",
            "stock": "0",
            "attributes": {"Color": "Red", "brand": "Acme"},
        },
        ["https://x/red.jpg", "https://x/detail.jpg"],
    )
    assert blue.fields["title"] == "Shirt"
    assert blue.fields["price"] == "21.90"
    assert blue.fields["stock"] == ""
    assert blue.fields["attributes"] == {"Color": "Blue", "brand": "Acme"}


def test_a_variant_has_its_own_picture_and_those_of_no_other_variant(tmp_path: Path) -> None:
    _, blue, _ = read(tmp_path, SHIRT, BLUE, DETAIL)
    assert blue.images == ["https://x/blue.jpg", "https://x/detail.jpg"]


def test_a_row_with_a_picture_only_adds_it_to_the_first_variant(tmp_path: Path) -> None:
    *_, detail = read(tmp_path, SHIRT, BLUE, DETAIL)
    assert detail.row == 3
    assert detail.fields["sku"] == "S-R"
    assert detail.fields["title"] == "Shirt"
    assert detail.images == ["https://x/detail.jpg"]


def test_variants_without_pictures_share_those_of_the_product(tmp_path: Path) -> None:
    small = {**SHIRT, "Option1 Value": "S", "Variant SKU": "1", "Variant Image": ""}
    large = {"Handle": "shirt", "Option1 Value": "L", "Variant SKU": "2"}
    rows = read(tmp_path, small, large, DETAIL)
    both = ["https://x/red.jpg", "https://x/detail.jpg"]
    assert [row.images for row in rows] == [both, both, ["https://x/detail.jpg"]]


def test_a_variant_without_sku_is_called_after_handle_and_options(tmp_path: Path) -> None:
    only = {**SHIRT, "Handle": "mug", "Variant SKU": "", "Option1 Value": "Default Title"}
    rows = read(tmp_path, {**SHIRT, "Variant SKU": ""}, {**BLUE, "Variant SKU": ""}, only)
    assert [row.fields["sku"] for row in rows] == ["shirt/Red", "shirt/Blue", "mug"]
    assert rows[2].fields["attributes"] == {"brand": "Acme"}


def test_the_apostrophe_that_protects_numbers_is_no_part_of_the_sku(tmp_path: Path) -> None:
    (row,) = read(tmp_path, {**SHIRT, "Variant SKU": "'0012", "Variant Barcode": "'400"})
    assert row.fields["sku"] == "0012"
    attributes = row.fields["attributes"]
    assert isinstance(attributes, dict)
    assert attributes["gtin"] == "400"


def test_drafts_are_left_out_with_all_their_rows(tmp_path: Path) -> None:
    draft = {**SHIRT, "Handle": "draft", "Status": "draft", "Variant SKU": "D"}
    rows = read(tmp_path, draft, {**DETAIL, "Handle": "draft"}, SHIRT)
    assert [row.fields["sku"] for row in rows] == ["S-R"]


def test_a_product_of_very_many_rows_is_cut_and_keeps_its_title(tmp_path: Path) -> None:
    many = [
        {"Handle": "shirt", "Variant SKU": str(n), "Option1 Value": str(n)} for n in range(7000)
    ]
    rows = read(tmp_path, SHIRT, *many)
    assert [row.row for row in rows] == list(range(1, 7002))
    assert {row.fields["title"] for row in rows} == {"Shirt"}


def test_a_bad_row_within_a_product_harms_no_other(tmp_path: Path) -> None:
    rows = read(tmp_path, SHIRT, {**BLUE, "Body (HTML)": "x" * ((1 << 20) + 1)}, DETAIL)
    assert [row.problem.reason if row.problem else "" for row in rows] == ["", "CELL_TOO_LARGE", ""]
    assert rows[1].fields == {"sku": "S-B"}
