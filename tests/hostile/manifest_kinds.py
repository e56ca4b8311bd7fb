"""What a hostile manifest is, and the rows that they are made of."""

import json
from collections.abc import Callable
from dataclasses import dataclass

MIB = 1 << 20
HEAD = "sku,title,price,image\n"
PICTURE = "p.jpg"  # a good image beside every manifest


@dataclass(frozen=True, slots=True)
class HostileManifest:
    """`make()` gives the bytes of a file called `file`. It is refused as a whole with the reason
    `refused`, or each row has its verdict: the reason of its rejection, or an empty one.
    """

    name: str
    file: str
    make: Callable[[], bytes]
    rows: tuple[str, ...] = ()
    refused: str = ""


def csv_of(*rows: str, head: str = HEAD) -> Callable[[], bytes]:
    return lambda: (head + "\n".join(rows) + "\n").encode()


def good_row(sku: str) -> str:
    return f"{sku},Tea,1.50,{PICTURE}"


def lines_of(*objects: str) -> Callable[[], bytes]:
    return lambda: ("\n".join(objects) + "\n").encode()


def object_of(sku: str = "A", **fields: object) -> str:
    return json.dumps({"sku": sku, "image": PICTURE, **fields})


def raw_object(sku: str, fields: str) -> str:
    """An object with `fields` as they are, which need not be JSON."""
    return f'{{"sku": "{sku}", "image": "{PICTURE}", {fields}}}'
