"""Answers that no table foresees: every one ends in a verdict, and none in an error of ours."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.core.domain.keys import remembered_url_key
from tests.integration.fetching_world import FetchingWorld
from tests.misbehaving_server import GOOD, MisbehavingServer, Visit

SEED = 7
ANSWERS = 400
_LINES = [
    b"Content-Length: %d" % len(GOOD),
    b"Content-Type: image/jpeg",
    b'ETag: "a"',
    b"Last-Modified: Sat, 01 Nov 2025 10:00:00 GMT",
    b"Cache-Control: max-age=5, immutable",
    b"Location: /elsewhere",
    b"Retry-After: 0",
    b"Transfer-Encoding: chunked",
    b"Connection: close",
    b"Content-Encoding: identity",
]
_VERSIONS = (*[b"HTTP/1.1"] * 12, b"HTTP/1.0", b"HTTP/2", b"ICY", b"")
_STATUSES = (
    *[b"200 OK"] * 8,
    b"200",
    b"302 Found",
    b"304 Not",
    b"404 x",
    b"503 y",
    b"-1 z",
    b"99999 x",
)
_SPLICES = (b"\r\n", b"\n", b"\0", b":", b" ", b"\xff\xfe", b"=?utf-8?b?/w==?=", b"9" * 5_000, b"")


def _garbage(rng: random.Random) -> bytes:
    """An answer that is whole, damaged, or neither."""
    lines = [
        rng.choice(_VERSIONS) + b" " + rng.choice(_STATUSES),
        *rng.sample(_LINES, rng.randrange(8)),
    ]
    data = b"\r\n".join([*lines, b"", GOOD if rng.random() < 0.8 else b""])
    for _ in range(rng.randrange(4)):
        at = rng.randrange(min(len(data), 400))
        data = data[:at] + rng.choice(_SPLICES) + data[at + rng.randrange(3) :]
    return data[: rng.randrange(len(data) + 1)] if rng.random() < 0.2 else data


@pytest.fixture
def world(tmp_path: Path) -> Iterator[FetchingWorld]:
    made = FetchingWorld(tmp_path)
    yield made
    made.close()


def test_whatever_bytes_a_host_answers_each_image_has_a_verdict(world: FetchingWorld) -> None:
    def answer(visit: Visit) -> None:
        visit.send(_garbage(random.Random(f"{SEED} {visit.path}")))
        visit.open = False

    with MisbehavingServer(None, paths={"/garbage": answer}) as server:
        fetcher = world.fetcher(server.port, host_failures=10_000, attempts=1, connections=8)
        urls = [server.url(f"/garbage?{number}") for number in range(ANSWERS)]
        first = world.fetch(urls, fetcher)
        again = world.fetch(urls, fetcher)  # now with what was remembered
    accepted = [each for each in first if not each.reason]
    assert 20 < len(accepted) < ANSWERS - 100
    assert {each.sha256 for each in first if each.reason} == {""}
    assert len({each.reason for each in first}) > 5
    assert all(each.reason.startswith("IMAGE_") for each in (*first, *again) if each.reason)


@pytest.mark.parametrize("known", [b"\xff", b'{"sha256": "' + b"e" * 64 + b'"}', b"9" * 5_000])
def test_whatever_is_remembered_each_image_is_fetched(world: FetchingWorld, known: bytes) -> None:
    world.objects.put(remembered_url_key(world.server.url("/etag?0")), known)
    assert world.one("/etag?0").reason == ""
