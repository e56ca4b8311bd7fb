"""A feed whose images are at addresses: the server fetches them, once, and searches them."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from shelflens import Client
from tests.e2e.shop import Shop
from tests.local_server import LocalServer
from tests.misbehaving_server import Behaviour, MisbehavingServer, Visit
from tests.misbehaviours import PATHS

ADDRESS = "127.0.0.1"  # a name would make the test depend on the machine's name server
IMAGES = 12
REFUSED = {
    "/410": "IMAGE_URL_NOT_FOUND",
    "/page": "IMAGE_URL_NOT_AN_IMAGE",
    "/to-loopback": "IMAGE_URL_FORBIDDEN_ADDRESS",
    "/to-file": "IMAGE_URL_BAD_REDIRECT",
}


def _packshot(data: bytes, tag: str) -> Behaviour:
    def behave(visit: Visit) -> None:
        if visit.headers.get("if-none-match") == tag:
            visit.answer("304 Not Modified", b"", f"ETag: {tag}")
        else:
            visit.answer("200 OK", data, f"ETag: {tag}")

    return behave


@pytest.fixture(scope="module")
def host(shop: Shop, authority: trustme.CA) -> Iterator[MisbehavingServer]:
    packshots = [shop.image(row).read_bytes() for row in shop.rows()[:IMAGES]]
    paths = {f"/{n}.jpg": _packshot(data, f'"{n}"') for n, data in enumerate(packshots)}
    with MisbehavingServer(authority, ADDRESS, paths=PATHS | paths) as server:
        yield server


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def served(
    host: MisbehavingServer, authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalServer]:
    folder: Path = tmp_path_factory.mktemp("addresses")
    authority.cert_pem.write_to_path(str(folder / "authority.pem"))
    options = {
        "--fetch-allowed-networks": f"{ADDRESS}/32",
        "--fetch-ports": f"443,{host.port}",
        "--fetch-ca-file": str(folder / "authority.pem"),
        "--log-level": "DEBUG",  # says why each image was refused
    }
    words = [word for pair in options.items() for word in pair]
    with LocalServer(folder / "data", *words) as server:
        yield server


@pytest.fixture(scope="module")
def connected(served: LocalServer) -> Iterator[Client]:
    with served.client() as client:
        yield client


def _refusals(served: LocalServer) -> str:
    lines = served.log.read_text().splitlines()
    return "\n".join(line[:300] for line in lines if "fetch." in line)


def _feed(path: Path, host: MisbehavingServer) -> Path:
    paths = [*(f"/{n}.jpg" for n in range(IMAGES)), *REFUSED]
    rows = [
        {"sku": f"S{number}", "image": host.url(each, ADDRESS)} for number, each in enumerate(paths)
    ]
    path.write_text("".join(json.dumps(each) + "\n" for each in rows))
    return path


def test_a_feed_of_addresses_is_fetched_once_and_found(
    connected: Client, served: LocalServer, host: MisbehavingServer, shop: Shop, tmp_path: Path
) -> None:
    feed = _feed(tmp_path / "feed.jsonl", host)
    first = connected.import_products("feed", feed)
    assert {each.row - 1 - IMAGES: each.reason for each in first.rejections} == dict(
        enumerate(REFUSED.values())
    ), _refusals(served)
    assert (first.counts.rows_accepted, first.counts.rows_rejected) == (IMAGES, len(REFUSED))
    for number, row in enumerate(shop.rows()[:IMAGES]):
        best = connected.search("feed", shop.image(row), top_k=1).results[0]
        assert best.sku == f"S{number}"
        assert best.score > 0.999

    second = connected.import_products("feed", feed)
    assert second.counts.products_unchanged == IMAGES
    assert second.counts.images_embedded == 0
    for number in range(IMAGES):
        asked = [each for each in host.visits if each.path == f"/{number}.jpg"]
        assert ["if-none-match" in each.headers for each in asked] == [False, True]
