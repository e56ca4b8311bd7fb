"""Which column gives which field."""

import pytest

from shelflens.errors import InvalidArgument, InvalidManifest
from shelflens.manifests import ColumnMap, SourceRow
from shelflens.manifests.fields import make_row
from shelflens.manifests.wire import encode


def bind(*columns: str, mapping: tuple[str, ...] = ()) -> dict[str, tuple[str, ...]]:
    return dict(ColumnMap.parse(mapping).bind(columns).columns)


def test_columns_with_the_fields_own_names_are_taken() -> None:
    columns = ("sku", "title", "description", "categories", "labels", "parent", "price", "stock")
    assert bind(*columns) == {name: (name,) for name in columns}


def test_names_are_compared_without_case_and_spacing() -> None:
    assert bind("SKU ", "Image URL") == {"sku": ("SKU ",), "image": ("Image URL",)}


def test_synonyms_are_taken_only_where_nothing_better_is_there() -> None:
    assert bind("product_id", "name", "path") == {
        "sku": ("product_id",),
        "title": ("name",),
        "image": ("path",),
    }
    assert bind("id", "sku", "name", "title") == {"sku": ("sku",), "title": ("title",)}


def test_a_mapped_column_wins_and_is_not_taken_twice() -> None:
    assert bind("sku", "id", "name", mapping=("sku=id", "title=sku")) == {
        "sku": ("id",),
        "title": ("sku",),
    }


def test_category_is_another_word_for_categories() -> None:
    assert bind("sku", "kind", mapping=("category=kind",))["categories"] == ("kind",)


def test_several_columns_may_give_images() -> None:
    bound = bind("sku", "front", "back", mapping=("image=front", "image=back"))
    assert bound["image"] == ("front", "back")


def test_an_empty_column_leaves_a_field_out() -> None:
    assert bind("sku", "title", mapping=("title=",)) == {"sku": ("sku",)}


def test_attributes_come_from_their_own_columns() -> None:
    bound = bind("sku", "attributes.Colour", "g", mapping=("attributes.grams=g",))
    assert bound["attributes.Colour"] == ("attributes.Colour",)
    assert bound["attributes.grams"] == ("g",)


@pytest.mark.parametrize("pair", ["title", "nonsense=x", "attributes.=x", "=x"])
def test_a_mapping_that_names_no_field_is_wrong_usage(pair: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        ColumnMap.parse([pair])
    assert caught.value.reason == "INVALID_MAPPING"


def test_a_text_field_is_mapped_once() -> None:
    with pytest.raises(InvalidArgument, match="twice"):
        ColumnMap.parse(["title=a", "title=b"])


def test_a_mapped_column_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(InvalidManifest, match="the columns are: sku, titel"):
        bind("sku", "titel", mapping=("title=title",))


def test_the_decision_is_described_with_what_is_ignored() -> None:
    notes = ColumnMap.parse({"title": "name"}).bind(["sku", "name", "colour"]).describe()
    assert notes[0] == "columns: title = name, sku = sku"
    assert notes[1].startswith("ignored columns: colour")


def test_a_line_on_the_wire_has_only_what_the_manifest_has() -> None:
    binding = ColumnMap().bind(["sku", "attributes.c"])
    row = make_row(3, {"sku": "Ä", "attributes.c": "red"}, binding, "|")
    assert encode(row, []).decode() == ('{"row":3,"fields":{"sku":"Ä","attributes":{"c":"red"}}}\n')
    with_image = SourceRow(4, {"sku": "A"}, ["a.jpg"])
    assert encode(with_image, [{"source": "a.jpg", "sha256": "f"}]).decode() == (
        '{"row":4,"fields":{"sku":"A"},"images":[{"source":"a.jpg","sha256":"f"}]}\n'
    )
