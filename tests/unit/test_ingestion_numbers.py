"""Prices as people write them, and those that could be two numbers."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingestion.numbers import parse_number

READ = {
    "0": 0, "3": 3, "12": 12, "1.99": 1.99, "1,99": 1.99, "1,5": 1.5, ".99": 0.99, ",99": 0.99,
    "0.125": 0.125, "0,125": 0.125, "1234.567": 1234.567, "1234,567": 1234.567, "007": 7,
    "1 299,00 kr": 1299, "1\u00a0299,00\u00a0kr": 1299, "1\u202f299,00 €": 1299, "1 299": 1299,
    "1 299,000": 1299, "1'299.50": 1299.5, "1’299.50": 1299.5, "CHF 1'299.50": 1299.5,
    "1.299,50": 1299.5, "1,299.50": 1299.5, "1,299,000": 1_299_000, "1.299.000": 1_299_000,
    "1,299.500": 1299.5, "12,34,567.00": 1_234_567, "€12": 12, "€ 12,50": 12.5, "12 €": 12,
    "12€": 12, "12.00 USD": 12, "USD 12.00": 12, "usd 12": 12, "$12.00 USD": 12, "US$ 12": 12,
    "R$ 12,50": 12.5, "£1,299.00": 1299, "12,-": 12, "12,- kr": 12, "12:-": 12, "12 kr.": 12,
    "49,90 zł": 49.9, "1 299 Kč": 1299, "  7.50  ": 7.5, "+5": 5, "-5": -5, "\u22125": -5,
    "€-5": -5, "- 5": -5, "１２.５０": 12.5, "Rs. 500": 500,
}  # fmt: skip
UNREADABLE = [
    "1.299", "1,299", "€1.299", "12,345 kr", "$1,299", "999,999", "",  " ", "abc", "free", "n/a",
    "-", ".", ",", "€", "kr", "1.2.3", "1,2,3", "1.29,9.1", "12..5", "1,,5", "1 2", "12 34",
    "1e5", "1E5", "-€5", "0x10", "10-20", "10 - 20", "from 5", "5 apples", "5/6", "1;5", "--5",
    "NaN", "inf", "Infinity", "1,29,9", "1 299 50", "12 USD EUR", "1" * 65, "5\x00", "½", "5%",
    "1.299.00", "1'29", "1_000", "+-5",
]  # fmt: skip


@pytest.mark.parametrize(("text", "value"), list(READ.items()))
def test_written_numbers_are_read(text: str, value: float) -> None:
    assert parse_number(text) == pytest.approx(value)


@pytest.mark.parametrize("text", UNREADABLE)
def test_ambiguous_texts_and_texts_without_a_number_are_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - its message is for nobody
        parse_number(text)


@given(st.integers(0, 10**12), st.integers(0, 99), st.sampled_from([" ", ".", ",", "'", ""]))
def test_a_number_with_cents_is_read_however_its_thousands_are_grouped(
    whole: int, cents: int, mark: str
) -> None:
    grouped = f"{whole:,}".replace(",", mark)
    decimal = "," if mark == "." else "."
    for text in (f"{grouped}{decimal}{cents:02d}", f"{grouped}{decimal}{cents:02d} EUR"):
        assert parse_number(text) == pytest.approx(float(f"{whole}.{cents:02d}"))


@given(st.one_of(st.text(), st.text("0123456789.,' -+€$kr", max_size=20)))
def test_any_text_is_a_number_or_a_value_error(text: str) -> None:
    try:
        value = parse_number(text)
    except ValueError:
        return
    assert not math.isnan(value)
    assert any(each.isdigit() for each in text) or any(each.isnumeric() for each in text)
