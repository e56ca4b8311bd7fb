"""Resource names and ids."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.domain import names
from services.core.domain.errors import InvalidArgument


def test_a_dns_like_sku_is_its_own_id() -> None:
    assert names.product_id("cola-330") == "cola-330"


def test_other_skus_get_a_slug_and_a_hash_that_keeps_them_apart() -> None:
    assert names.product_id("Cola 330") != names.product_id("cola 330")
    assert names.product_id("Café/Crème").startswith("cafe-creme-")


@given(st.text(min_size=1, max_size=300))
def test_every_sku_has_a_valid_id(sku: str) -> None:
    assert names.check_id(names.product_id(sku), "id")


@given(st.text(max_size=80))
def test_parsing_never_accepts_an_id_that_could_be_a_path(text: str) -> None:
    try:
        (parsed,) = names.parse(f"catalogs/{text}", "catalogs/*")
    except InvalidArgument:
        return
    assert "/" not in parsed
    assert parsed not in (".", "..")


def test_new_ids_sort_by_time_also_within_a_millisecond() -> None:
    made = [names.new_id() for _ in range(500)]
    assert names.check_id(made[0], "id")
    assert len({each[:10] for each in made}) < len(made)  # 10 characters are the milliseconds
    assert made == sorted(made)


def test_a_new_id_says_when_it_was_made_and_other_ids_do_not() -> None:
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    made = names.made_at(names.new_id())
    assert made is not None
    assert before <= made <= datetime.now(UTC)
    for other in ("", "by-hand", "0" * 26, "z" * 26, "m" * 25, "i" * 26, names.new_id() + "0"):
        assert names.made_at(other) is None


def test_a_wrong_name_is_shown_with_the_pattern() -> None:
    with pytest.raises(InvalidArgument, match=r"catalogs/\*/products/\*"):
        names.parse("products/x", "catalogs/*/products/*")
