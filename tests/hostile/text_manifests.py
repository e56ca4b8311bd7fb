"""Hostile text files: encodings, delimiters, headers, and what is no text at all."""

from collections.abc import Callable, Iterable

from tests.hostile.kinds import noise
from tests.hostile.manifest_kinds import HEAD, MIB, PICTURE, HostileManifest, csv_of, good_row


def _with_delimiter(delimiter: str) -> Callable[[], bytes]:
    text = HEAD + good_row("A") + "\n" + good_row("B") + "\n"
    return lambda: text.replace(",", delimiter).encode()


def _encoded(codec: str) -> Callable[[], bytes]:
    return lambda: (HEAD + f"A,Käse für Zoë,1.50,{PICTURE}\n" + good_row("B") + "\n").encode(codec)


_ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1")
_DELIMITERS = {"semicolon": ";", "tab": "\t", "bar": "|", "caret": "^"}


def text_manifests() -> Iterable[HostileManifest]:
    """Every kind, in turn."""
    for codec in _ENCODINGS:
        yield HostileManifest(f"encoding-{codec}", "m.csv", _encoded(codec), ("", ""))
    for name, delimiter in _DELIMITERS.items():
        yield HostileManifest(f"delimiter-{name}", "m.csv", _with_delimiter(delimiter), ("", ""))
    yield HostileManifest(
        "a-damaged-byte-among-good-text",
        "m.csv",
        lambda: (HEAD + "A,Zoë Käse für,1,p.jpg\nB,K").encode() + b"\xff,1,p.jpg\n",
        ("", "TEXT_UNDECODABLE"),
    )
    yield HostileManifest("nothing", "m.csv", lambda: b"", refused="HEADER_MISSING")
    yield HostileManifest(
        "byte-order-mark-alone", "m.csv", lambda: b"\xef\xbb\xbf", refused="HEADER_MISSING"
    )
    yield HostileManifest(
        "line-ends-alone", "m.csv", lambda: b"\r\n" * 1_000, refused="HEADER_MISSING"
    )
    yield HostileManifest("header-alone", "m.csv", csv_of())
    yield HostileManifest("noise", "m.csv", lambda: noise(1, 100_000), refused="*")
    yield HostileManifest("noughts", "m.csv", lambda: bytes(5 * MIB), refused="*")
    yield HostileManifest(
        "endless-first-line", "m.csv", lambda: b"x" * (40 * MIB), refused="HEADER_MISSING"
    )
    yield HostileManifest(
        "million-columns",
        "m.csv",
        lambda: (HEAD.strip() + "," + ",".join(f"c{n}" for n in range(1_000_000)) + "\n").encode(),
        refused="*",
    )
    yield HostileManifest(
        "column-twice",
        "m.csv",
        csv_of(good_row("A"), head="sku,title,SKU,sku\n"),
        refused="COLUMN_TWICE",
    )
    yield HostileManifest(
        "no-sku-column", "m.csv", csv_of("a,b,c,d", head="w,x,y,z\n"), refused="SKU_COLUMN_MISSING"
    )
    yield HostileManifest(
        "zip-called-csv", "m.csv", lambda: b"PK\3\4" + noise(2, 5_000), refused="*"
    )
    yield HostileManifest(
        "parquet-of-noise",
        "m.parquet",
        lambda: b"PAR1" + noise(3, 5_000) + b"PAR1",
        refused="MANIFEST_UNREADABLE",
    )
    yield HostileManifest(
        "parquet-start-alone", "m.parquet", lambda: b"PAR1", refused="MANIFEST_UNREADABLE"
    )
