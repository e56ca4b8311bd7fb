"""Exports of Magento."""

import csv
from pathlib import Path

from shelflens.manifests import ColumnMap, SourceRow, open_manifest

COLUMNS = [
    "sku",
    "store_view_code",
    "attribute_set_code",
    "product_type",
    "categories",
    "name",
    "description",
    "short_description",
    "product_online",
    "price",
    "special_price",
    "base_image",
    "additional_images",
    "qty",
    "additional_attributes",
    "configurable_variations",
]


def export(folder: Path, *rows: dict[str, str]) -> Path:
    path = folder / "products.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="")
        writer.writeheader()
        writer.writerows({"product_type": "simple", "product_online": "1", **row} for row in rows)
    return path


def read(folder: Path, *rows: dict[str, str]) -> list[SourceRow]:
    return list(open_manifest(export(folder, *rows)))


def test_an_export_is_recognised_and_said_to_be_one(tmp_path: Path) -> None:
    path = export(tmp_path, {"sku": "A", "name": "Tea"})
    first, second, *_ = open_manifest(path).notes
    assert (
        first == "looks like a Magento export: using preset magento; --preset none to turn that off"
    )
    assert "title = name" in second
    assert not any("magento" in each for each in open_manifest(path, preset="none").notes)


def test_a_row_is_read_whole(tmp_path: Path) -> None:
    (row,) = read(
        tmp_path,
        {
            "sku": "T-1",
            "name": "Kettle",
            "description": "<p>Boils\nwater.</p>\n<p>&bull; Big<br />&bull; Steel &amp; glass</p>",
            "categories": "Default Category/Kitchen/Kettles,Default Category/Sale,Default Category",
            "price": "29.5000",
            "special_price": "19.0000",
            "qty": "7.0000",
            "base_image": "/k/e/kettle.jpg",
            "additional_images": "/k/e/kettle_b.jpg,/k/e/kettle.jpg,no_selection",
            "additional_attributes": "has_options=0,color=Red,note=one, two,climate=Hot|Cool",
        },
    )
    assert row == SourceRow(
        1,
        {
            "sku": "T-1",
            "title": "Kettle",
            "description": "Boils water.\n• Big\n• Steel & glass",
            "categories": ["Kitchen > Kettles", "Sale"],
            "parent": "",
            "price": "29.5000",
            "stock": "7.0000",
            "attributes": {
                "color": "Red",
                "note": "one, two",
                "climate": "Hot|Cool",
                "product_type": "simple",
                "special_price": "19.0000",
            },
        },
        ["k/e/kettle.jpg", "k/e/kettle_b.jpg"],
    )


def test_a_slash_within_the_name_of_a_category_does_not_cut_it(tmp_path: Path) -> None:
    (row,) = read(tmp_path, {"sku": "A", "categories": r"Default Category/Tops/T\/Shirts"})
    assert row.fields["categories"] == ["Tops > T/Shirts"]


def test_variants_know_the_parent_that_comes_after_them(tmp_path: Path) -> None:
    rows = read(
        tmp_path,
        {"sku": "P-S", "base_image": "/p.jpg"},
        {"sku": "P-M", "base_image": "/p.jpg"},
        {
            "sku": "P",
            "product_type": "configurable",
            "configurable_variations": "sku=P-S,size=S|sku=P-M,size=M",
        },
        {"sku": "other"},
    )
    assert [row.fields["parent"] for row in rows] == ["P", "P", "", ""]
    assert rows[0].images == rows[1].images == ["p.jpg"]


def test_disabled_products_and_other_store_views_are_left_out_and_counted(tmp_path: Path) -> None:
    manifest = open_manifest(
        export(
            tmp_path,
            {"sku": "A"},
            {"sku": "A", "store_view_code": "de", "product_online": ""},
            {"sku": "B", "product_online": "2"},
            {"sku": "C"},
        )
    )
    assert [(row.row, row.fields["sku"]) for row in manifest] == [(1, "A"), (4, "C")]
    assert manifest.closing_notes() == (
        "1 rows were left out: 'store_view_code' is none of (empty)",
        "1 rows were left out: 'product_online' is none of 1, (empty)",
    )


def test_stock_below_nothing_is_nothing(tmp_path: Path) -> None:
    rows = read(tmp_path, {"sku": "A", "qty": "-3.0000"}, {"sku": "B", "qty": ""})
    assert [row.fields["stock"] for row in rows] == ["0", ""]


def test_an_absolute_reference_stays_absolute_without_the_preset(tmp_path: Path) -> None:
    path = export(tmp_path, {"sku": "A", "base_image": "/etc/passwd"})
    plain = open_manifest(path, ColumnMap.parse(["image=base_image"]), preset="none")
    assert next(iter(plain)).images == ["/etc/passwd"]
    assert next(iter(open_manifest(path))).images == ["etc/passwd"]


def test_the_users_own_columns_win_over_the_preset(tmp_path: Path) -> None:
    path = export(tmp_path, {"sku": "A", "name": "long", "short_description": "short", "qty": "1"})
    mapping = ColumnMap.parse(["title=short_description", "stock=", "labels=attribute_set_code"])
    (row,) = open_manifest(path, mapping)
    assert row.fields["title"] == "short"
    assert row.fields["labels"] == []
    assert "stock" not in row.fields
    assert row.fields["sku"] == "A"


def test_a_row_of_another_width_is_a_problem_that_knows_its_sku(tmp_path: Path) -> None:
    path = export(tmp_path, {"sku": "A"}, {"sku": "B"})
    path.write_text(path.read_text() + "C,x\n")
    rows = list(open_manifest(path))
    assert rows[2].problem is not None
    assert rows[2].problem.reason == "WRONG_COLUMN_COUNT"
    assert rows[2].fields == {"sku": "C"}
