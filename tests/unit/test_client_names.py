"""Short names, and their rule that the server shares."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.domain import names as server_names
from shelflens import names
from shelflens.errors import InvalidArgument

SHA = "0123456789abcdef" * 4


def test_short_forms_become_full_names() -> None:
    assert names.catalog_name("shop") == "catalogs/shop"
    assert names.product_name("shop/tea-1") == "catalogs/shop/products/tea-1"
    assert names.image_name(f"shop/tea-1/{SHA}") == f"catalogs/shop/products/tea-1/images/{SHA}"
    assert names.operation_name("abc") == "operations/abc"


def test_full_names_are_left_as_they_are() -> None:
    for make, name in (
        (names.catalog_name, "catalogs/shop"),
        (names.product_name, "catalogs/shop/products/x"),
        (names.image_name, f"catalogs/shop/products/x/images/{SHA}"),
        (names.operation_name, "operations/abc"),
    ):
        assert make(name) == name


def test_a_sku_may_hold_slashes() -> None:
    assert names.product_name("shop/A/1") == names.product_name(f"shop/{names.product_id('A/1')}")


@pytest.mark.parametrize("name", ["shop", "shop/", "/x"])
def test_half_a_product_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidArgument, match="CATALOG/SKU"):
        names.product_name(name)


@given(st.text(min_size=1))
def test_client_and_server_derive_the_same_id_and_ids_map_to_themselves(sku: str) -> None:
    product = names.product_id(sku)
    assert product == server_names.product_id(sku)
    assert names.product_id(product) == product
