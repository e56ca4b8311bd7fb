"""Invented brands: any number of names, each with its colours and its way of lettering."""

import colorsys
import random
from dataclasses import dataclass

from services.demo.flavours import RGB

# fmt: off
_STARTS = (
    "Sol", "Bro", "Ven", "Mar", "Tal", "Nor", "Kel", "Ash", "Lum", "Fen", "Hal", "Cor", "Bel",
    "Dor", "El", "Fal", "Gal", "Hes", "Il", "Jor", "Kam", "Lor", "Mel", "Nem", "Or", "Pel",
    "Quen", "Ros", "Sav", "Tem", "Ul", "Var", "Wil", "Yar", "Zel", "Bram", "Cal", "Dun", "Est",
    "Fjor", "Gren", "Hol", "Ing", "Juv", "Lin", "Mon",
)
_ENDS = (
    "vane", "mere", "wick", "dale", "ora", "ello", "ina", "eva", "ade", "aro", "isto", "una",
    "ette", "olm", "ford", "berg", "more", "ano", "esse", "ita", "wood", "field", "ley", "aria",
    "ondo", "ura", "iva", "eno", "oka", "ander", "elle", "ister", "ston", "ica", "amo", "ridge",
    "haven", "via", "osa",
)
# fmt: on
_SUFFIXES = ("", " & Co", " Farms", " Bros", " House", " Valley", " Kitchen", " Press", " Hill")


@dataclass(frozen=True)
class Brand:
    """A brand: unique name, colours (8-bit RGB) and `look`, the seed of its lettering and mark."""

    name: str
    base: RGB
    ink: RGB
    ground: RGB
    look: int


def make_brand(number: int, seed: int) -> Brand:
    """Brand `number` (0-based) of a seed; names repeat for no two numbers."""
    rng = random.Random(f"brand:{seed}:{number}")
    base, ink, ground = _colours(rng)
    return Brand(_name(number, seed), base, ink, ground, rng.randrange(1 << 30))


def _name(number: int, seed: int) -> str:
    # A multiplier coprime to the number of pairs walks all of them once before a suffix is needed.
    pairs = len(_STARTS) * len(_ENDS)
    round_, place = divmod(number, pairs)
    pair = (place * 991 + seed * 137) % pairs
    start, end = _STARTS[pair // len(_ENDS)], _ENDS[pair % len(_ENDS)]
    tail, series = round_ % len(_SUFFIXES), round_ // len(_SUFFIXES)
    return f"{start}{end}{_SUFFIXES[tail]}" + (f" {series + 1}" if series else "")


def _colours(rng: random.Random) -> tuple[RGB, RGB, RGB]:
    hue = rng.random()
    white, cream = (255, 255, 255), (250, 243, 226)
    match rng.randrange(5):
        case 0:
            return _rgb(hue, 0.85, 0.55), white, white
        case 1:
            return _rgb(hue, 0.75, 0.30), (236, 204, 128), cream
        case 2:
            return _rgb(hue, 0.80, 0.78), white, _rgb(hue, 0.10, 0.98)
        case 3:
            return (32, 32, 36), _rgb(hue, 0.45, 0.96), (244, 242, 238)
        case _:
            return _rgb(hue, 0.55, 0.42), cream, _rgb((hue + 0.08) % 1, 0.18, 0.95)


def _rgb(hue: float, saturation: float, value: float) -> RGB:
    red, green, blue = colorsys.hsv_to_rgb(hue, saturation, value)
    return round(red * 255), round(green * 255), round(blue * 255)
