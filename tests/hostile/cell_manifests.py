"""Hostile rows and cells of CSV files, and references to images that lead astray."""

from collections.abc import Callable, Iterable

from tests.hostile.manifest_kinds import HEAD, MIB, HostileManifest, csv_of, good_row


def _references(*references: str) -> Callable[[], bytes]:
    return csv_of(*(f'S{number},Tea,1,"{each}"' for number, each in enumerate(references)))


def cell_manifests() -> Iterable[HostileManifest]:
    """Every kind, in turn."""
    yield HostileManifest(
        "cell-of-ten-megabytes",
        "m.csv",
        lambda: f"{HEAD}{good_row('A')}\nB,{'x' * (10 * MIB)},1,p.jpg\n{good_row('C')}\n".encode(),
        ("", "CELL_TOO_LARGE", ""),
    )
    yield HostileManifest(
        "quoted-cell-of-ten-megabytes",
        "m.csv",
        lambda: (
            f'{HEAD}{good_row("A")}\nB,"{"x" * (10 * MIB)}",1,p.jpg\n{good_row("C")}\n'.encode()
        ),
        ("", "CELL_TOO_LARGE", ""),
    )
    yield HostileManifest(
        "line-of-forty-megabytes",
        "m.csv",
        lambda: f"{HEAD}{good_row('A')}\nB,{'x' * (40 * MIB)},1,p.jpg\n{good_row('C')}\n".encode(),
        ("", "ROW_TOO_LONG", ""),
    )
    yield HostileManifest(
        "row-of-a-million-cells",
        "m.csv",
        lambda: f"{HEAD}{good_row('A')}\nB{',x' * 1_000_000}\n{good_row('C')}\n".encode(),
        ("", "WRONG_COLUMN_COUNT", ""),
    )
    yield HostileManifest(
        "row-too-short",
        "m.csv",
        csv_of(good_row("A"), "B,Tea", good_row("C")),
        ("", "WRONG_COLUMN_COUNT", ""),
    )
    yield HostileManifest(
        "quote-that-never-closes",
        "m.csv",
        lambda: f'{HEAD}{good_row("A")}\nB,"Tea,1,p.jpg\n{good_row("C")}\n'.encode(),
        ("", "UNCLOSED_QUOTE", ""),
    )
    yield HostileManifest(
        "missing-fields",
        "m.csv",
        csv_of(",Tea,1,p.jpg", "   ,Tea,1,p.jpg", "C,,,p.jpg", "D,Tea,1,"),
        ("SKU_MISSING", "SKU_MISSING", "", "NO_IMAGE"),
    )
    yield HostileManifest(
        "long-skus",
        "m.csv",
        csv_of(f"{'a' * 200},T,1,p.jpg", f"{'b' * 201},T,1,p.jpg", f"{'ü' * 100_000},T,1,p.jpg"),
        ("", "FIELD_TOO_LONG", "FIELD_TOO_LONG"),
    )
    yield HostileManifest(
        "skus-that-disagree-with-themselves",
        "m.csv",
        csv_of("A,Tea,1,p.jpg", "A,Coffee,2,p.jpg", " A ,Juice,3,p.jpg"),
        ("", "", ""),
    )
    yield HostileManifest(
        "spreadsheet-formulas",
        "m.csv",
        csv_of(
            "A,=cmd|' /C calc'!A0,1,p.jpg",
            "=1+1,+1,1,p.jpg",
            "C,@SUM(A1),1,=HYPERLINK()",
            "D,-1,-1,p.jpg",
        ),
        ("", "", "IMAGE_NOT_FOUND", "NUMBER_OUT_OF_RANGE"),
    )
    yield HostileManifest(
        "markup",
        "m.csv",
        csv_of(
            "A,<script>alert(1)</script>,1,p.jpg",
            "<b>,${jndi:ldap://x},1,p.jpg",
            "'; DROP TABLE products; --,x,1,p.jpg",
        ),
        ("", "", ""),
    )
    yield HostileManifest(
        "skus-like-paths",
        "m.csv",
        csv_of(
            "../../etc/passwd,T,1,p.jpg",
            "a/b/c,T,1,p.jpg",
            "..,T,1,p.jpg",
            "%2e%2e%2f,T,1,p.jpg",
            "CON,T,1,p.jpg",
        ),
        ("",) * 5,
    )
    yield HostileManifest(
        "right-to-left-and-invisible",
        "m.csv",
        csv_of(
            "A\u202etxt.exe,T\u202e,1,p.jpg",
            "B\u200b,T,1,p.jpg",
            "\u0301,T,1,p.jpg",
            "👩‍👩‍👧‍👦,T,1,p.jpg",
        ),
        ("",) * 4,
    )
    yield HostileManifest(
        "line-separators-within-cells",
        "m.csv",
        csv_of("A,one\u2028two\x85three\x0bfour\x0cfive,1,p.jpg", good_row("B")),
        ("", ""),
    )
    yield HostileManifest(
        "noughts-within-cells",
        "m.csv",
        csv_of("A,T\0ea,1,p.jpg", "B\0,Tea,1,p.jpg", good_row("C")),
        ("", "", ""),
    )
    yield HostileManifest(
        "old-line-ends",
        "m.csv",
        lambda: (HEAD + good_row("A") + "\n" + good_row("B")).replace("\n", "\r").encode(),
        ("", ""),
    )
    yield HostileManifest(
        "numbers",
        "m.csv",
        csv_of(
            *(
                f"S{n},T,{value},p.jpg"
                for n, value in enumerate(
                    ("NaN", "inf", "-0", "1e999", "9" * 400, "0x10", "1_000", "١٢", "1e-999")
                )
            )
        ),
        ("PRICE_UNREADABLE", "PRICE_UNREADABLE", "", "*", "*", "PRICE_UNREADABLE", "*", "", "*"),
    )


def path_manifests() -> Iterable[HostileManifest]:
    """Every kind, in turn."""
    outside = (
        "../secret.jpg",
        "/etc/hostname",
        "a/../../secret.jpg",
        "link.jpg",
        "linked/secret.jpg",
    )
    yield HostileManifest(
        "images-outside-the-root",
        "m.csv",
        _references(*outside),
        ("IMAGE_OUTSIDE_ROOT",) * len(outside),
    )
    strange = (
        "folder.jpg",
        "pipe.jpg",
        "loop.jpg",
        "gone.jpg",
        "empty.jpg",
        ".",
        "%2e%2e/secret.jpg",
        "x" * 5_000,
        "p.jpg\x00.png",
        "..\\secret.jpg",
    )
    yield HostileManifest(
        "images-that-are-no-files",
        "m.csv",
        _references(*strange),
        (
            "IMAGE_NOT_A_FILE",
            "IMAGE_NOT_A_FILE",
            "IMAGE_NOT_FOUND",
            "IMAGE_NOT_FOUND",
            "IMAGE_EMPTY",
            "IMAGE_NOT_A_FILE",
            *("IMAGE_NOT_FOUND",) * 4,
        ),
    )
    schemes = (
        "file:///etc/hostname",
        "ftp://example.com/a.jpg",
        "javascript:alert(1)",
        "data:image/png;base64;AAAA",
        "//example.com/a.jpg",
    )
    yield HostileManifest(
        "addresses-of-other-kinds", "m.csv", _references(*schemes), ("*",) * len(schemes)
    )
