"""Hostile JSON Lines."""

import json
from collections.abc import Iterable

from tests.hostile.manifest_kinds import PICTURE, HostileManifest, lines_of, object_of, raw_object


def json_manifests() -> Iterable[HostileManifest]:
    """Every kind, in turn."""
    deep = "[" * 100_000
    yield HostileManifest(
        "nesting-bomb",
        "m.jsonl",
        lines_of(
            object_of("A"),
            deep,
            raw_object("B", f'"title": {deep}'),
            '{"a":' * 50_000,
            object_of("C"),
        ),
        ("", "BAD_JSON", "BAD_JSON", "BAD_JSON", ""),
    )
    yield HostileManifest(
        "closed-nesting",
        "m.jsonl",
        lines_of(
            object_of("A"), raw_object("B", f'"title": {"[" * 5_000}{"]" * 5_000}'), object_of("C")
        ),
        ("", "*", ""),
    )
    yield HostileManifest(
        "not-a-number",
        "m.jsonl",
        lines_of(
            raw_object("A", '"price": NaN'),
            raw_object("B", '"price": Infinity'),
            raw_object("C", '"price": -Infinity'),
            raw_object("D", '"price": 1'),
        ),
        ("PRICE_UNREADABLE", "PRICE_UNREADABLE", "PRICE_UNREADABLE", ""),
    )
    yield HostileManifest(
        "huge-numbers",
        "m.jsonl",
        lines_of(
            raw_object("A", f'"price": {"9" * 100_000}'),
            raw_object("B", '"price": 1e400'),
            raw_object("C", f'"title": {"7" * 5_000}'),
            raw_object("D", '"price": 1e-400'),
        ),
        ("*", "*", "FIELD_TOO_LONG", "*"),
    )
    yield HostileManifest(
        "keys-twice",
        "m.jsonl",
        lines_of('{"sku": "A", "sku": "B", "image": "p.jpg"}', object_of("C")),
        ("KEY_TWICE", ""),
    )
    yield HostileManifest(
        "lone-surrogates",
        "m.jsonl",
        lines_of(
            raw_object("A", '"title": "\\ud800"'),
            '{"sku": "\\udfff", "image": "p.jpg"}',
            object_of("C"),
        ),
        ("*", "*", ""),
    )
    yield HostileManifest(
        "escaped-noughts",
        "m.jsonl",
        lines_of(
            raw_object("A", '"title": "a\\u0000b"'),
            '{"sku": "\\u0000", "image": "p.jpg"}',
            '{"sku": "C", "image": "p.jpg\\u0000.png"}',
        ),
        ("", "SKU_MISSING", "IMAGE_NOT_FOUND"),
    )
    yield HostileManifest(
        "control-characters",
        "m.jsonl",
        lines_of(
            raw_object("A", '"title": "\\u001b[2J\\u0007"'),
            '{"sku": "B\x01", "image": "p.jpg"}',
            object_of("C"),
        ),
        ("", "BAD_JSON", ""),
    )
    yield HostileManifest(
        "wrong-kinds",
        "m.jsonl",
        lines_of(
            '{"sku": ["A"], "image": "p.jpg"}',
            '{"sku": {"a": 1}, "image": "p.jpg"}',
            '{"sku": null, "image": "p.jpg"}',
            raw_object("D", '"title": {"de": "x"}'),
            raw_object("E", '"attributes": [1]'),
            '{"sku": "F", "image": {"url": "p.jpg"}}',
            '{"sku": 12, "image": "p.jpg"}',
        ),
        (
            "CELL_NOT_TEXT",
            "CELL_NOT_TEXT",
            "SKU_MISSING",
            "CELL_NOT_TEXT",
            "ATTRIBUTES_NOT_AN_OBJECT",
            "CELL_NOT_TEXT",
            "",
        ),
    )
    yield HostileManifest(
        "no-objects",
        "m.jsonl",
        lines_of(object_of("A"), "[]", "null", "7", '"text"', "{", object_of("B")),
        ("", *["NOT_AN_OBJECT"] * 4, "BAD_JSON", ""),
    )
    yield HostileManifest(
        "one-array",
        "m.json",
        lambda: b"[" + b",".join([object_of("A").encode()] * 3) + b"]",
        refused="*",
    )
    yield HostileManifest(
        "many-keys",
        "m.jsonl",
        lambda: (
            object_of("A")
            + "\n"
            + json.dumps({"sku": "B", "image": PICTURE} | {f"k{n}": n for n in range(200_000)})
            + "\n"
        ).encode(),
        ("", ""),
    )
    yield HostileManifest(
        "thousand-attributes",
        "m.jsonl",
        lines_of(object_of("A", attributes={f"k{n}": "v" for n in range(1_000)}), object_of("B")),
        ("*", ""),
    )
    yield HostileManifest(
        "thousands-of-images",
        "m.jsonl",
        lines_of(
            json.dumps({"sku": "A", "image": [f"gone-{n}.jpg" for n in range(20_000)]}),
            object_of("B"),
        ),
        ("IMAGE_NOT_FOUND", ""),
    )
