"""The demo catalogue: a stream of products whose variants differ in small, visible details."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count as numbers
from itertools import islice

from services.demo.assortment import CARE_RIBBONS, KINDS, RIBBONS, Kind
from services.demo.brands import Brand, make_brand
from services.demo.flavours import RGB

_KINDS_PER_BRAND = 3
_BRANDS_PER_ROUND = len(KINDS) // _KINDS_PER_BRAND


@dataclass(frozen=True)
class DemoProduct:
    """One product: what the shop says about it, then what the drawing needs.

    `price` is in euros, colours are 8-bit RGB, `scale` is the pack's height relative to the largest
    of its kind, `look` seeds what all products of the brand share and `design` what all variants
    of the parent share.
    """

    sku: str
    title: str
    category: str
    brand: str
    price: float
    stock: int
    labels: tuple[str, ...]
    parent: str
    shape: str
    noun: str
    flavour: str
    size: str
    scale: float
    ribbon: str
    base: RGB
    ink: RGB
    ground: RGB
    look: int
    design: int


def make_products(count: int, seed: int = 0) -> Iterator[DemoProduct]:
    """The first `count` products of a seed, streamed; product i is the same whatever `count`."""
    return islice(_all_products(seed), count)


def _all_products(seed: int) -> Iterator[DemoProduct]:
    for round_ in numbers():
        kinds = list(KINDS)
        random.Random(f"round:{seed}:{round_}").shuffle(kinds)
        first = round_ * _BRANDS_PER_ROUND
        brands = [make_brand(first + i, seed) for i in range(_BRANDS_PER_ROUND)]
        for place, kind in enumerate(kinds):
            number = round_ * len(kinds) + place
            yield from _variants(kind, brands[place % _BRANDS_PER_ROUND], number, seed)


def _variants(kind: Kind, brand: Brand, number: int, seed: int) -> Iterator[DemoProduct]:
    rng = random.Random(f"parent:{seed}:{number}")
    parent = f"{kind.code}-{number:05d}"
    design = rng.randrange(1 << 30)
    tier = rng.uniform(0.85, 1.5)
    flavours = rng.sample(kind.flavours, min(rng.randint(1, 4), len(kind.flavours)))
    sizes = sorted(rng.sample(kind.sizes, rng.randint(1, 2)), key=lambda size: size.price)
    ribbons = CARE_RIBBONS if kind.category.startswith("Care") else RIBBONS
    pairs = [(flavour, size) for flavour in flavours for size in sizes]
    for variant, (flavour, size) in enumerate(pairs):
        ribbon = rng.choice(ribbons) if rng.random() < 0.25 else ""
        noun = _noun(kind, flavour)
        title = f"{brand.name} {noun} {size.text}" + (f", {ribbon}" if ribbon else "")
        words = (flavour, size.text, *((ribbon,) if ribbon else ()))
        yield DemoProduct(
            sku=f"{parent}-{variant:02d}",
            title=title,
            category=kind.category,
            brand=brand.name,
            price=round(int(kind.price * tier * size.price * 10) / 10 + 0.09, 2),
            stock=0 if rng.random() < 0.06 else rng.randint(1, 240),
            labels=tuple(word.lower().replace(" ", "-") for word in words),
            parent=parent,
            shape=kind.shape,
            noun=noun,
            flavour=flavour,
            size=size.text,
            scale=size.scale,
            ribbon=ribbon,
            base=brand.base,
            ink=brand.ink,
            ground=brand.ground,
            look=brand.look,
            design=design,
        )


def _noun(kind: Kind, flavour: str) -> str:
    if "{}" in kind.noun:
        return kind.noun.format(flavour)
    if flavour.endswith(kind.noun) or flavour in ("Stout", "Amber Ale", "Pale Ale"):
        return flavour
    if kind.noun == "Iced Tea" and flavour.endswith("Tea"):
        return f"Iced {flavour}"
    return f"{flavour} {kind.noun}"
