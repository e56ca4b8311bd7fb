"""Manifest lines that no client of ours writes: each is accepted or rejected, none is lost."""

import json
from collections.abc import Iterator
from hashlib import sha256

import pytest

from shelflens import Client
from shelflens.calls import images as calls
from shelflens.v1 import catalogs_pb2
from shelflens.values import Operation
from tests.hostile.folders import good_picture

CATALOG = "hostile-wire"
_PICTURE = good_picture(5)
_HASH = sha256(_PICTURE).hexdigest()
_MIB = 1 << 20


def row(number: object, images: object = ..., **fields: object) -> bytes:
    given = [{"source": "p.jpg", "sha256": _HASH}] if images is ... else images
    return json.dumps({"row": number, "fields": fields, "images": given}).encode()


ROWS: dict[str, tuple[bytes, bool]] = {  # by name: the line, and whether it is accepted
    "a good row": (row(1, sku="A"), True),
    "no json": (b"this is no JSON", False),
    "half an object": (b'{"row": 3, "fields": {"sku": "B"', False),
    "an array": (b"[1, 2, 3]", False),
    "null": (b"null", False),
    "no utf-8": (b'{"row": 6, "fields": {"sku": "\xff\xfe"}}', False),
    "a nesting bomb": (b"[" * 200_000, False),
    "nested fields": (b'{"row": 8, "fields": ' + b'{"a":' * 10_000 + b"1" + b"}" * 10_001, False),
    "fields as a list": (b'{"row": 9, "fields": ["sku"], "images": []}', False),
    "no fields": (b'{"row": 10}', False),
    "a row that is a text": (row("11", sku="K"), True),
    "a negative row": (row(-5, sku="L"), True),
    "a huge row": (row(10**40, sku="M"), True),
    "not a number as price": (b'{"row": 14, "fields": {"sku": "N", "price": NaN}}', False),
    "an infinite price": (row(15, sku="O", price=float("inf")), False),
    "a price of many digits": (row(16, sku="P", price=10**300), False),
    "a lone surrogate": (b'{"row": 17, "fields": {"sku": "\\ud800"}}', False),
    "noughts alone as sku": (b'{"row": 18, "fields": {"sku": "\\u0000"}}', False),
    "images as a text": (row(19, "p.jpg", sku="S"), False),
    "images of numbers": (row(20, [1, None], sku="T"), False),
    "a hash of another length": (row(21, [{"source": "x", "sha256": "abc"}], sku="U"), False),
    "a hash like a path": (row(22, [{"source": "x", "sha256": "../" * 21 + "a"}], sku="V"), False),
    "an unknown hash": (row(23, [{"source": "x", "sha256": "0" * 64}], sku="W"), False),
    "a problem of numbers": (b'{"row": 24, "fields": {}, "problem": 7}', False),
    "a reason that is markup": (
        b'{"row": 25, "fields": {}, "problem": {"reason": "<b>", "field": 1, "value": []}}',
        False,
    ),
    "a line of five megabytes": (row(26, sku="Z", title="x" * 5 * _MIB), False),
    "thousand images": (row(27, [{"source": "x", "sha256": "0" * 64}] * 1_000, sku="1"), False),
    "an unknown key": (
        row(28, sku="2").replace(b'{"row"', b'{"__proto__": {"admin": true}, "row"'),
        True,
    ),
    "nothing": (b"", False),
    "another good row": (row(30, sku="3"), True),
}


def send(client: Client, data: bytes) -> Operation:
    def messages() -> Iterator[catalogs_pb2.UploadManifestRequest]:
        yield catalogs_pb2.UploadManifestRequest(parent=f"catalogs/{CATALOG}")
        for at in range(0, len(data), _MIB):
            yield catalogs_pb2.UploadManifestRequest(data=data[at : at + _MIB])

    manifest = client.run(calls.upload_manifest(messages())).name
    operation = client.run(calls.import_manifest(CATALOG, manifest))
    return client.wait_operation(operation.name)


@pytest.fixture(scope="module", autouse=True)
def _catalog(client: Client) -> None:
    client.create_catalog(CATALOG)
    client.create_product(CATALOG, "A")
    client.upload_image(f"{CATALOG}/A", _PICTURE)


def test_every_line_is_accepted_or_rejected_with_a_reason(client: Client) -> None:
    operation = send(client, b"\n".join(line for line, _ in ROWS.values()) + b"\n")
    accepted = sum(good for _, good in ROWS.values())
    counts = operation.counts
    assert operation.state == "SUCCEEDED"
    assert counts.rows_read == len(ROWS)
    assert (counts.rows_accepted, counts.rows_rejected) == (accepted, len(ROWS) - accepted)
    assert all(each.reason.replace("_", "").isalnum() for each in operation.rejections)
    skus = {each.sku for each in client.list_products(CATALOG)}
    assert skus == {"A", "K", "L", "M", "2", "3"}


@pytest.mark.parametrize("data", [b"\xff" * 3_000_000, b"\0" * 3_000_000, b"\n" * 2_000, b"{"])
def test_bytes_without_any_row_end_in_an_operation_that_accepted_nothing(
    data: bytes, client: Client
) -> None:
    operation = send(client, data)
    assert operation.done
    assert operation.counts.rows_accepted == 0
