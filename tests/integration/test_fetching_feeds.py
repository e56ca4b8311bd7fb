"""Nightly feeds download what changed; hosts are asked politely, and given up when down."""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.core.domain.errors import Unavailable
from services.core.domain.keys import image_key, remembered_url_key
from services.ingestion.fetching.fetcher import Fetcher
from services.ingestion.fetching.urls import parse_url
from tests.integration.fetching_world import FetchingWorld
from tests.misbehaving_server import GOOD, MisbehavingServer, Visit, picture
from tests.misbehaviours import PATHS
from tests.waiting import eventually


@pytest.fixture
def world(tmp_path: Path) -> Iterator[FetchingWorld]:
    made = FetchingWorld(tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize("path", ["/etag?0", "/modified"])
def test_an_unchanged_picture_is_not_downloaded_again(world: FetchingWorld, path: str) -> None:
    first, second, third = (world.one(path) for _ in range(3))
    assert (first.downloaded, second.downloaded, third.downloaded) == (True, False, False)
    assert first.sha256 == second.sha256 == third.sha256
    assert world.server.count(path) == 3


def test_a_changed_picture_is_downloaded(world: FetchingWorld) -> None:
    versions = iter((1, 2))

    def changing(visit: Visit) -> None:
        visit.path = f"/etag?{next(versions)}"
        PATHS["/etag"](visit)

    with MisbehavingServer(world.authority, paths={"/changing": changing}) as server:
        first, second = (
            world.fetch([server.url("/changing")], world.fetcher(server.port))[0] for _ in range(2)
        )
    assert second.downloaded
    assert world.objects.get(image_key(first.sha256)) == picture(1)
    assert world.objects.get(image_key(second.sha256)) == picture(2)


def test_a_picture_that_was_removed_here_is_downloaded_again(world: FetchingWorld) -> None:
    first = world.one("/etag?0")
    world.objects.delete(image_key(first.sha256))
    again = world.one("/etag?0")
    assert (again.downloaded, again.sha256) == (True, first.sha256)


def test_a_promise_never_to_change_spares_the_request(world: FetchingWorld) -> None:
    first, second = world.one("/immutable"), world.one("/immutable")
    assert (second.sha256, second.downloaded) == (first.sha256, False)
    assert world.server.count("/immutable") == 1


def test_an_age_alone_is_no_promise(world: FetchingWorld) -> None:
    for _ in range(2):
        assert world.one("/max-age").downloaded
    assert world.server.count("/max-age") == 2


def test_a_redirect_that_leads_elsewhere_now_is_not_taken_for_unchanged(
    world: FetchingWorld,
) -> None:
    first, second = world.one("/moved"), world.one("/moved")
    assert second.downloaded
    assert first.sha256 != second.sha256
    assert all("if-none-match" not in each.headers for each in world.server.visits)


def test_what_is_remembered_may_be_damaged(world: FetchingWorld) -> None:
    first = world.one("/etag?0")
    key = remembered_url_key(world.server.url("/etag?0"))
    whole = json.loads(world.objects.get(key))
    assert whole["sha256"] == first.sha256
    for damaged in (b"", b"{", b"[]", b'{"sha256": 5}', json.dumps(whole | {"sha256": "x"})):
        data = damaged if isinstance(damaged, bytes) else damaged.encode()
        world.objects.put(key, data)
        assert world.one("/etag?0").downloaded


@pytest.mark.parametrize("failure", ["/broken", "/silent", "/hang-up", "/busy", "/not-http"])
def test_a_passing_failure_keeps_the_earlier_copy_and_is_tried_again(
    world: FetchingWorld, failure: str
) -> None:
    answers = iter(["/etag", *[failure] * 3])

    def failing(visit: Visit) -> None:
        PATHS[next(answers, "/etag")](visit)

    with MisbehavingServer(world.authority, paths={"/nightly": failing}) as server:
        ports = server.port
        first, second = (
            world.fetch([server.url("/nightly")], world.fetcher(ports))[0] for _ in range(2)
        )
        assert second.reason.startswith("IMAGE_URL_")
        assert second.sha256 == first.sha256
        list(answers)
        third = world.fetch([server.url("/nightly")], world.fetcher(ports))[0]
        assert (third.reason, third.sha256) == ("", first.sha256)


def test_a_picture_that_is_gone_for_good_is_refused_although_a_copy_is_here(
    world: FetchingWorld,
) -> None:
    answers = iter(["/etag", "/410"])
    behave = {"/gone": lambda visit: PATHS[next(answers)](visit)}
    with MisbehavingServer(world.authority, paths=behave) as server:
        url = server.url("/gone")
        assert world.fetch([url], world.fetcher(server.port))[0].sha256
        last = world.fetch([url], world.fetcher(server.port))[0]
    assert (last.sha256, last.reason) == ("", "IMAGE_URL_NOT_FOUND")


def test_a_host_serves_no_more_than_four_connections_at_a_time(world: FetchingWorld) -> None:
    urls = [world.server.url(f"/slow-but-good?{each}") for each in range(16)]
    fetcher = world.fetcher(connections=8)
    two_shards = [threading.Thread(target=world.fetch, args=(half, fetcher)) for half in
                  (urls[:8], urls[8:])]  # fmt: skip
    for each in two_shards:
        each.start()
    for each in two_shards:
        each.join()
    assert len(world.server.visits) == 16
    assert world.server.most_at_once == 4
    assert world.server.connections <= 8  # used again, not opened for each image


def test_an_address_that_many_rows_name_is_asked_for_once(world: FetchingWorld) -> None:
    urls = [world.server.url("/good.jpg"), world.server.url("/good.jpg") + "#x"] * 5
    results = world.fetch(urls)
    assert len({each.sha256 for each in results}) == 1
    assert world.server.count("/good.jpg") == 1


def test_a_slow_host_does_not_delay_another(world: FetchingWorld) -> None:
    with MisbehavingServer(world.authority, "quick.test", paths=PATHS) as quick:
        fetcher = world.fetcher(quick.port, connections=6, image_seconds=30, idle_seconds=30)
        slow = [world.server.url(f"/silent?{each}") for each in range(8)]
        fast = [quick.url(f"/picture?{each}", "quick.test") for each in range(8)]
        thread = threading.Thread(target=_until_closed, args=(world, slow + fast, fetcher))
        thread.start()
        eventually(lambda: len(quick.visits) == 8, 10, "all images of the quick host are asked for")
        fetcher.close()
        thread.join(10)
        assert not thread.is_alive()


def _until_closed(world: FetchingWorld, urls: list[str], fetcher: Fetcher) -> None:
    with pytest.raises(Unavailable, match="stopping"):
        world.fetch(urls, fetcher)


def test_a_request_to_wait_is_honoured(world: FetchingWorld) -> None:
    began = time.monotonic()
    fetched = world.one("/busy-once", world.fetcher(image_seconds=5))
    assert (fetched.reason, world.server.count("/busy-once")) == ("", 2)
    assert 1.0 <= time.monotonic() - began < 4.0


def test_a_request_to_wait_holds_for_all_images_of_the_host(world: FetchingWorld) -> None:
    fetcher = world.fetcher(connections_per_host=1, image_seconds=5)
    urls = [world.server.url("/busy-once"), *(world.server.url(f"/picture?{n}") for n in range(4))]
    assert {each.reason for each in world.fetch(urls, fetcher)} == {""}
    first, *others = world.server.visits
    assert min(each.at for each in others) - first.at >= 1.0


def test_a_host_that_asks_for_an_hour_is_asked_no_more_in_this_shard(world: FetchingWorld) -> None:
    fetcher = world.fetcher(connections_per_host=1)
    urls = [world.server.url("/busy"), *(world.server.url(f"/picture?{n}") for n in range(5))]
    results = world.fetch(urls, fetcher)
    assert [each.reason for each in results] == [
        "IMAGE_URL_RATE_LIMITED",
        *["IMAGE_URL_HOST_DOWN"] * 5,
    ]
    assert len(world.server.visits) == 1


def test_a_failure_is_repeated_three_times_and_no_more(world: FetchingWorld) -> None:
    assert world.one("/broken").reason == "IMAGE_URL_SERVER_ERROR"
    assert world.server.count("/broken") == 3
    assert world.one("/broken").reason == "IMAGE_URL_SERVER_ERROR"  # tried again, not remembered
    assert world.server.count("/broken") == 6


def test_a_host_that_is_down_is_given_up_for_the_shard_alone(world: FetchingWorld) -> None:
    fetcher = world.fetcher(host_failures=6, connections_per_host=2)
    down = [world.server.url(f"/hang-up?{each}") for each in range(100)]
    with MisbehavingServer(world.authority, "other.test", paths=PATHS) as other:
        fetcher = world.fetcher(other.port, host_failures=6, connections_per_host=2)
        results = world.fetch([*down, other.url("/good.jpg", "other.test")], fetcher)
    assert {each.reason for each in results[:-1]} <= {
        "IMAGE_URL_UNREACHABLE",
        "IMAGE_URL_HOST_DOWN",
    }
    assert results[-1].reason == ""
    assert 6 <= len(world.server.visits) <= 8
    assert world.one("/good.jpg", fetcher).reason == ""  # the next shard asks again
    assert world.one("/broken-once", fetcher).reason == ""  # and it is up again


def test_a_shard_ends_when_its_time_is_over(world: FetchingWorld) -> None:
    fetcher = world.fetcher(shard_seconds=1.0, image_seconds=60, idle_seconds=60)
    began = time.monotonic()
    results = world.fetch((world.server.url(f"/silent?{each}") for each in range(50)), fetcher)
    assert time.monotonic() - began < 4.0
    assert {each.reason for each in results} == {"IMAGE_URL_TIMEOUT", "IMAGE_URL_NOT_TRIED"}


def test_a_stopping_worker_gives_its_shard_back(world: FetchingWorld) -> None:
    fetcher = world.fetcher(image_seconds=60, idle_seconds=60)
    threading.Timer(0.3, fetcher.close).start()
    with pytest.raises(Unavailable):
        world.one("/silent", fetcher)
    with pytest.raises(Unavailable):
        world.one("/good.jpg", fetcher)


def test_what_a_killed_worker_stored_is_not_downloaded_again(world: FetchingWorld) -> None:
    urls = [world.server.url(f"/etag?{each}") for each in range(6)]
    world.fetch(urls[:3])  # then killed
    results = world.fetch(urls)
    assert [each.downloaded for each in results] == [False] * 3 + [True] * 3


def test_a_reference_with_a_part_name_is_remembered_without_it(world: FetchingWorld) -> None:
    url = world.server.url("/etag?0")
    world.fetch([url + "#zoom"])
    assert list(world.objects.keys("urls/")) == [
        remembered_url_key(str(parse_url(url, {world.server.port})))
    ]
    assert world.objects.get(image_key(world.fetch([url])[0].sha256)) == GOOD
