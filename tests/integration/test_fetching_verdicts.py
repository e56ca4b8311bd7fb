"""Whatever a host of images does, the worker ends in time with the right verdict."""

import hashlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from services.core.domain.errors import Unavailable
from services.core.domain.keys import image_key
from services.ingestion.fetching.fetcher import Fetcher
from tests.integration.fetching_world import INSIDE, FetchingWorld
from tests.misbehaving_server import GOOD, MisbehavingServer, picture
from tests.misbehaviours import PATHS
from tests.waiting import eventually

SECONDS = 4.0  # that one image may take here; the budget of an image is 1.2


@pytest.fixture
def world(tmp_path: Path) -> Iterator[FetchingWorld]:
    made = FetchingWorld(tmp_path)
    yield made
    made.close()


VERDICTS = {
    "/slow-headers": "IMAGE_URL_TIMEOUT",
    "/drip": "IMAGE_URL_TIMEOUT",
    "/silent": "IMAGE_URL_TIMEOUT",
    "/endless": "IMAGE_TOO_LARGE",
    "/endless-without-length": "IMAGE_TOO_LARGE",
    "/too-large": "IMAGE_TOO_LARGE",
    "/says-huge": "IMAGE_TOO_LARGE",
    "/endless-headers": "IMAGE_URL_BAD_RESPONSE",
    "/endless-continue": "IMAGE_URL_BAD_RESPONSE",
    "/many-headers": "IMAGE_URL_BAD_RESPONSE",
    "/huge-header": "IMAGE_URL_BAD_RESPONSE",
    "/not-http": "IMAGE_URL_BAD_RESPONSE",
    "/304": "IMAGE_URL_BAD_RESPONSE",
    "/says-more": "IMAGE_URL_TRUNCATED",
    "/bad-chunks": "IMAGE_URL_TRUNCATED",
    "/torn-chunks": "IMAGE_URL_TRUNCATED",
    "/reset": "IMAGE_URL_TRUNCATED",
    "/hang-up": "IMAGE_URL_UNREACHABLE",
    "/loop": "IMAGE_URL_TOO_MANY_REDIRECTS",
    "/loop-of-two": "IMAGE_URL_TOO_MANY_REDIRECTS",
    "/chain?6": "IMAGE_URL_TOO_MANY_REDIRECTS",
    "/to-loopback": "IMAGE_URL_FORBIDDEN_ADDRESS",
    "/to-metadata": "IMAGE_URL_FORBIDDEN_ADDRESS",
    "/to-metadata-name": "IMAGE_URL_FORBIDDEN_ADDRESS",
    "/to-file": "IMAGE_URL_BAD_REDIRECT",
    "/to-http": "IMAGE_URL_BAD_REDIRECT",
    "/to-port": "IMAGE_URL_BAD_REDIRECT",
    "/to-password": "IMAGE_URL_BAD_REDIRECT",
    "/to-nowhere": "IMAGE_URL_BAD_REDIRECT",
    "/page": "IMAGE_URL_NOT_AN_IMAGE",
    "/endless-page": "IMAGE_URL_NOT_AN_IMAGE",
    "/page-that-is-missing": "IMAGE_URL_NOT_FOUND",
    "/gif": "IMAGE_FORMAT_UNSUPPORTED",
    "/gzip": "IMAGE_URL_ENCODED",
    "/brotli": "IMAGE_URL_ENCODED",
    "/start-of-a-jpeg": "IMAGE_TRUNCATED",
    "/empty": "IMAGE_EMPTY",
    "/204": "IMAGE_EMPTY",
    "/206": "IMAGE_URL_STATUS",
    "/403": "IMAGE_URL_DENIED",
    "/404": "IMAGE_URL_NOT_FOUND",
    "/410": "IMAGE_URL_NOT_FOUND",
    "/418": "IMAGE_URL_STATUS",
    "/broken": "IMAGE_URL_SERVER_ERROR",
    "/busy": "IMAGE_URL_RATE_LIMITED",
}


@pytest.mark.parametrize(("path", "reason"), VERDICTS.items())
def test_a_bad_answer_is_refused_in_time_with_its_reason(
    world: FetchingWorld, path: str, reason: str
) -> None:
    began = time.monotonic()
    fetched = world.one(path)
    assert (fetched.sha256, fetched.reason) == ("", reason)
    assert time.monotonic() - began < SECONDS
    assert list(world.objects.keys("images/")) == []
    assert list(world.objects.keys("urls/")) == []


@pytest.mark.parametrize("path", ["/good.jpg", "/chain?5", "/broken-once", "/cookie", "/etag?0"])
def test_a_picture_is_stored_under_its_hash(world: FetchingWorld, path: str) -> None:
    fetched = world.one(path)
    assert (fetched.reason, fetched.downloaded) == ("", True)
    assert world.objects.get(image_key(fetched.sha256)) == GOOD


def test_a_host_that_says_too_little_gives_a_cut_image(world: FetchingWorld) -> None:
    cut = world.one("/says-less")
    assert world.objects.get(image_key(cut.sha256)) == GOOD[:-100]  # the decoder refuses it


@pytest.mark.parametrize("path", ["/says-less", "/says-more-than-asked", "/page-that-is-missing"])
def test_what_is_left_of_one_answer_is_no_part_of_the_next(world: FetchingWorld, path: str) -> None:
    fetcher = world.fetcher(connections=1)
    _, *others = world.fetch(map(world.server.url, (path, "/picture?1", "/picture?2")), fetcher)
    stored = [world.objects.get(image_key(each.sha256)) for each in others]
    assert stored == [picture(1), picture(2)]


def test_neighbours_on_the_same_connections_are_not_harmed(world: FetchingWorld) -> None:
    paths = [path for path in VERDICTS if path != "/busy"]
    mixed = [each for path in paths for each in (path, f"/picture?{len(path)}")]
    fetcher = world.fetcher(host_failures=1_000, connections=16, connections_per_host=16)
    urls = dict.fromkeys(world.server.url(path) for path in mixed)
    fetched = dict(zip(urls, world.fetch(urls, fetcher), strict=True))
    for url, each in fetched.items():
        path = url.split(str(world.server.port))[1]
        assert each.reason == VERDICTS.get(path, ""), path


@pytest.mark.parametrize("fault", ["expired", "name", "authority", "no tls"])
def test_a_certificate_that_does_not_hold_is_refused(world: FetchingWorld, fault: str) -> None:
    authority = trustme.CA() if fault == "authority" else world.authority
    names = ["other.test"] if fault == "name" else ["shop.test"]
    with MisbehavingServer(
        None if fault == "no tls" else authority, *names, expired=fault == "expired", paths=PATHS
    ) as server:
        url = f"https://shop.test:{server.port}/good.jpg"
        (fetched,) = world.fetch([url], world.fetcher(server.port))
        assert (fetched.sha256, fetched.reason) == ("", "IMAGE_URL_TLS")
        assert server.visits == []


def test_a_handshake_that_never_ends_is_given_up(world: FetchingWorld) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        began = time.monotonic()
        (fetched,) = world.fetch([f"https://shop.test:{port}/a.jpg"], world.fetcher(port))
    assert fetched.reason == "IMAGE_URL_TIMEOUT"
    assert time.monotonic() - began < SECONDS


def test_plain_http_is_fetched_too(world: FetchingWorld) -> None:
    with MisbehavingServer(None, paths=PATHS) as server:
        (fetched,) = world.fetch([server.url("/good.jpg")], world.fetcher(server.port))
    assert fetched.reason == ""


def test_an_internal_address_is_never_connected_to(world: FetchingWorld) -> None:
    with MisbehavingServer(world.authority, address=INSIDE, paths=PATHS) as inside:
        hosts = (INSIDE, "inside.test", "2130706434", "0x7f000002", "127.2", "[::ffff:127.0.0.2]")
        urls = [inside.url("/good.jpg", host) for host in hosts]
        for url in urls:
            (fetched,) = world.fetch([url], world.fetcher(inside.port))
            assert fetched.reason in ("IMAGE_URL_FORBIDDEN_ADDRESS", "IMAGE_URL_UNREACHABLE"), url
        assert inside.connections == 0


def test_a_name_that_changes_its_address_leads_nowhere_else(world: FetchingWorld) -> None:
    """DNS rebinding: the first answer is public, every later one is inside."""
    port = world.server.port
    with MisbehavingServer(world.authority, address=INSIDE, port=port, paths=PATHS) as inside:
        asked: list[str] = []

        def rebinding(host: str, port: int) -> list[str]:
            asked.append(host)
            return ["127.0.0.1"] if len(asked) == 1 else [INSIDE]

        fetcher = world.fetcher(resolve=rebinding)
        first = world.one("/says-more", fetcher)  # ends the connection: the next needs a new one
        assert len(asked) > 1
        assert first.reason == "IMAGE_URL_FORBIDDEN_ADDRESS"
        assert world.server.count("/says-more") == 1
        assert inside.connections == 0


def test_one_internal_address_among_public_ones_is_enough_to_refuse(world: FetchingWorld) -> None:
    fetcher = world.fetcher(resolve=lambda host, port: ["127.0.0.1", INSIDE])
    assert world.one("/good.jpg", fetcher).reason == "IMAGE_URL_FORBIDDEN_ADDRESS"
    assert world.server.connections == 0


def test_a_name_without_an_address_is_unreachable(world: FetchingWorld) -> None:
    def unknown(host: str, port: int) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    assert world.one("/good.jpg", world.fetcher(resolve=unknown)).reason == "IMAGE_URL_UNREACHABLE"


def test_hosts_learn_who_asks_and_nothing_else(
    world: FetchingWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.3:9/")
    assert world.one("/cookie").reason == ""
    for visit in world.server.visits:
        assert set(visit.headers) == {"host", "user-agent", "accept", "accept-encoding"}
        assert visit.headers["host"] == f"shop.test:{world.server.port}"
        assert visit.headers["accept-encoding"] == "identity"
        assert visit.headers["user-agent"].startswith("Shelflens")


def test_no_threads_are_left_after_a_close(world: FetchingWorld) -> None:
    fetcher = world.fetcher(image_seconds=60, idle_seconds=60)
    waiting = threading.Thread(target=_until_closed, args=(world, fetcher))
    waiting.start()
    eventually(lambda: world.server.count("/silent"), 10, "the request arrives")
    fetcher.close()
    waiting.join(10)
    assert not [each for each in threading.enumerate() if each.name.startswith("fetch-")]


def _until_closed(world: FetchingWorld, fetcher: Fetcher) -> None:
    with pytest.raises(Unavailable, match="stopping"):
        world.one("/silent", fetcher)


def test_the_hash_of_the_good_picture_is_its_name(world: FetchingWorld) -> None:
    assert world.one("/good.jpg").sha256 == hashlib.sha256(GOOD).hexdigest()
