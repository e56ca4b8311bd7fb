"""Prices and counts as people write them."""

import re
import unicodedata

_LONGEST = 64
_WORDS = """
kr kr. zł kč ft lei лв лв. ден руб руб. р. rs rs. r fr fr. sfr rp rm tl dh
aed ars aud bgn brl cad chf clp cny cop czk dkk egp eur gbp hkd huf idr ils inr isk jpy
krw mad mxn myr nok nzd pen php pln ron rsd rub sar sek sgd thb try twd uah usd vnd zar
"""
_CURRENCY_WORDS = frozenset(_WORDS.split())
_SYMBOLS = "$€£¥₹₽₩₪₺₴₫฿₦₱₡₲₵₸₼₾¢"
_PLAIN = re.compile(r"[0-9]{1,15}(\.[0-9]{1,2})?")
_WRITTEN = re.compile(
    rf"(?P<before>(?:[^\W\d_]+\.?)?[{_SYMBOLS}]?) ?(?P<sign>[-+]?) ?"
    r"(?P<number>[.,]?\d(?:[\d.,' ]*\d)?)"
    rf"(?:,-|\.-|:-)? ?(?P<after>[{_SYMBOLS}]?(?:[^\W\d_]+\.?)?)"
)
_GROUPS = re.compile(r"\d{1,3}(?:(?P<mark>[.,' ])\d{2,3})?(?:(?P=mark)\d{2,3})*(?<=\d{3})")


def parse_number(text: str) -> float:
    """`1.99`, `1,99`, `1 299,00 kr`, `€12`, `1.299,50`, `$1,299.00` or `-3` as a number.

    Raises ValueError for anything else, and for what could be two numbers: `1,299` is 1299 in one
    country and 1.299 in another.
    """
    if _PLAIN.fullmatch(text):
        return float(text)
    if len(text) > _LONGEST:
        raise ValueError("too long for a number")
    normal = unicodedata.normalize("NFKC", text).replace("\u2212", "-").replace("\u2019", "'")
    written = _WRITTEN.fullmatch(re.sub(r"\s+", " ", normal).strip())
    if written is None or not all(_is_currency(written[name]) for name in ("before", "after")):
        raise ValueError("not a number")
    value = float(_plain(written["number"]))
    return -value if written["sign"] == "-" else value


def _is_currency(text: str) -> bool:
    word = text.strip(_SYMBOLS).casefold()
    # US$ and the like: a symbol makes the letters beside it harmless.
    return word in _CURRENCY_WORDS or not word or (word != text.casefold() and len(word) <= 3)


def _plain(number: str) -> str:
    """Digits with at most a point, from digits with any marks between them."""
    marks = [each for each in number if each in ".,"]
    if not marks:
        return _ungrouped(number)
    last = marks[-1]
    whole, _, fraction = number.rpartition(last)
    if not fraction.isdigit():
        raise ValueError("groups of digits after the decimal mark")
    if last in whole:  # twice: it separates thousands, and there is no fraction
        return _ungrouped(number)
    alone = len(marks) == 1 and whole.isdigit()
    if alone and len(fraction) == 3 and len(whole) <= 3 and whole.strip("0"):
        raise ValueError("thousands or a fraction")
    return f"{_ungrouped(whole)}.{fraction}"


def _ungrouped(whole: str) -> str:
    if whole == "" or whole.isdigit():
        return whole or "0"
    if not _GROUPS.fullmatch(whole):
        raise ValueError("digits are not in groups of thousands")
    return re.sub(r"\D", "", whole)
