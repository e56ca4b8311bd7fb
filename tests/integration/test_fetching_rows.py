"""Rows whose images are at addresses or in objects, through the ingestion worker."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from services.core.domain.errors import Unavailable
from services.core.domain.keys import image_key
from services.core.messages import IngestShard
from services.core.outcomes import ShardIngested
from services.core.shard_files import AcceptedRow, RejectedRow, read_accepted, read_rejected
from services.ingestion.fetching.fetcher import Fetcher
from services.ingestion.handlers import Ingestor
from tests.integration.fetching_world import FetchingWorld
from tests.misbehaving_server import GOOD, MisbehavingServer, picture
from tests.misbehaviours import PATHS

HASH = sha256(GOOD).hexdigest()
Row = Mapping[str, Any]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[FetchingWorld]:
    made = FetchingWorld(tmp_path)
    yield made
    made.close()


class Ingested:
    """A shard of wire rows, checked; every line is counted once."""

    def __init__(
        self, world: FetchingWorld, *images: list[Row], fetcher: Fetcher | None, **options: Any
    ) -> None:
        rows = [{"fields": {"sku": f"S{n}"}, "images": each} for n, each in enumerate(images, 1)]
        data = "\n".join(map(json.dumps, rows)).encode()
        world.objects.put("manifest", data)
        message = IngestShard(
            id="s", operation="o", revision=1, sequence=0, manifest="manifest", offset=0,
            length=len(data), first_row=1, accepted="acc", rejected="rej", **options,
        )  # fmt: skip
        self.outcome: ShardIngested = Ingestor(world.objects, fetcher=fetcher).ingest_shard(message)
        self.accepted: list[AcceptedRow] = read_accepted(world.objects.get("acc"))
        self.lines: list[RejectedRow] = (
            read_rejected(world.objects.get("rej")) if self.outcome.report_lines else []
        )
        assert self.outcome.rows_read == len(rows)
        assert self.outcome.accepted == len(self.accepted)
        assert self.outcome.rejected == sum(each.row_rejected for each in self.lines)
        assert self.outcome.report_lines == len(self.lines)

    def reasons(self) -> list[tuple[int, str, str, bool]]:
        return [(each.row, each.reason, each.field, each.row_rejected) for each in self.lines]


def at(world: FetchingWorld, path: str) -> Row:
    url = world.server.url(path)
    return {"source": url, "url": url}


def test_an_image_at_an_address_is_as_good_as_an_uploaded_one(world: FetchingWorld) -> None:
    world.objects.put(image_key(HASH), GOOD)
    uploaded = {"source": "a.jpg", "sha256": HASH}
    shard = Ingested(
        world,
        [at(world, "/picture?1"), uploaded],
        [at(world, "/picture?1")],
        [at(world, "/good.jpg"), uploaded],  # the same bytes
        fetcher=world.fetcher(),
    )
    one = sha256(picture(1)).hexdigest()
    assert [each.sha256s for each in shard.accepted] == [(one, HASH), (one,), (HASH,)]
    assert shard.accepted[0].sources == (world.server.url("/picture?1"), "a.jpg")
    assert shard.lines == []
    assert world.server.count("/picture?1") == 1
    assert (shard.outcome.images_fetched, shard.outcome.images_unchanged) == (2, 0)


def test_an_address_without_an_image_has_its_own_line(world: FetchingWorld) -> None:
    shard = Ingested(
        world,
        [at(world, "/410"), at(world, "/good.jpg"), at(world, "/to-metadata")],
        [at(world, "/page")],
        [{"source": "x", "url": "https://me:pw@shop.test/"}],
        [{"source": "x", "url": "\ud800"}],
        fetcher=world.fetcher(),
    )
    assert shard.reasons() == [
        (1, "IMAGE_URL_NOT_FOUND", "images", False),
        (1, "IMAGE_URL_FORBIDDEN_ADDRESS", "images", False),
        (2, "IMAGE_URL_NOT_AN_IMAGE", "images", True),
        (3, "IMAGE_URL_INVALID", "images", True),
        (4, "IMAGE_URL_INVALID", "images", True),
    ]
    assert shard.lines[0].value == world.server.url("/410")
    assert [each.sha256s for each in shard.accepted] == [(HASH,)]


def test_a_copy_that_stays_in_use_is_reported_and_refuses_nothing(world: FetchingWorld) -> None:
    behave = {"/a": PATHS["/etag"]}
    with MisbehavingServer(world.authority, paths=behave) as server:
        image = {"source": "a", "url": server.url("/a")}
        assert Ingested(world, [image], fetcher=world.fetcher(server.port)).lines == []
        behave["/a"] = PATHS["/hang-up"]
        again = Ingested(world, [image], fetcher=world.fetcher(server.port))
        assert again.reasons() == [(1, "IMAGE_URL_UNREACHABLE", "images.kept", False)]
        assert again.accepted[0].sha256s == (sha256(picture(0)).hexdigest(),)
        behave["/a"] = PATHS["/410"]
        gone = Ingested(world, [image], fetcher=world.fetcher(server.port))
        assert gone.reasons() == [(1, "IMAGE_URL_NOT_FOUND", "images", True)]


def test_a_shard_delivered_twice_ends_the_same(world: FetchingWorld) -> None:
    images = [[at(world, f"/etag?{n}")] for n in range(4)] + [[at(world, "/410")]]
    first = Ingested(world, *images, fetcher=world.fetcher())
    second = Ingested(world, *images, fetcher=world.fetcher())
    assert (first.accepted, first.lines) == (second.accepted, second.lines)
    assert (first.outcome.images_fetched, second.outcome.images_fetched) == (4, 0)
    assert second.outcome.images_unchanged == 4


def test_a_worker_without_a_fetcher_says_so(world: FetchingWorld) -> None:
    shard = Ingested(world, [at(world, "/good.jpg")], fetcher=None)
    assert shard.reasons() == [(1, "IMAGE_URL_UNSUPPORTED", "images", True)]


def test_a_stopping_worker_reports_no_row(world: FetchingWorld) -> None:
    fetcher = world.fetcher()
    fetcher.close()
    with pytest.raises(Unavailable):
        Ingested(world, [at(world, "/good.jpg")], fetcher=fetcher)
    assert world.objects.size("acc") is None


def test_a_url_key_that_json_hides_is_fetched_all_the_same(world: FetchingWorld) -> None:
    row = {"fields": {"sku": "A"}, "images": [at(world, "/good.jpg")]}
    line = json.dumps(row).replace('"url"', '"\\u0075rl"')
    world.objects.put("manifest", line.encode())
    message = IngestShard(
        id="s", operation="o", revision=1, sequence=0, manifest="manifest", offset=0,
        length=len(line), first_row=1, accepted="acc", rejected="rej",
    )  # fmt: skip
    assert Ingestor(world.objects, fetcher=world.fetcher()).ingest_shard(message).accepted == 1


def test_an_object_becomes_an_image(world: FetchingWorld) -> None:
    world.objects.put("incoming/2026/a.jpg", GOOD)
    image = {"source": "a.jpg", "object": "incoming/2026/a.jpg"}
    shard = Ingested(world, [image], [image], fetcher=None)
    assert [each.sha256s for each in shard.accepted] == [(HASH,), (HASH,)]
    assert world.objects.get(image_key(HASH)) == GOOD


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("incoming/none.jpg", "OBJECT_NOT_FOUND"),
        ("incoming/text", "IMAGE_FORMAT_UNSUPPORTED"),
        ("incoming/empty", "IMAGE_EMPTY"),
        ("incoming/large", "IMAGE_TOO_LARGE"),
        ("incoming/folder", "OBJECT_NOT_FOUND"),
        ("incoming", "OBJECT_KEY_INVALID"),
        ("incoming/", "OBJECT_KEY_INVALID"),
        ("manifest", "OBJECT_KEY_INVALID"),
        ("incoming/../manifest", "OBJECT_KEY_INVALID"),
        ("incoming/./text", "OBJECT_KEY_INVALID"),
        ("incoming//text", "OBJECT_KEY_INVALID"),
        ("/incoming/text", "OBJECT_KEY_INVALID"),
        ("incoming/~tmp/0", "OBJECT_KEY_INVALID"),
        ("incoming/" + "a" * 300, "OBJECT_KEY_INVALID"),
        ("incoming/" + "a/" * 300 + "a", "OBJECT_KEY_INVALID"),
        ("reports/o/rejected.csv", "OBJECT_KEY_INVALID"),
        ("incoming/ä\ud800\n", "OBJECT_KEY_INVALID"),
    ],
)
def test_an_object_that_is_no_image_is_refused(world: FetchingWorld, key: str, reason: str) -> None:
    world.objects.put("incoming/text", b"no picture" * 9)
    world.objects.put("incoming/empty", b"")
    world.objects.put("incoming/large", GOOD + bytes(21 << 20))
    world.objects.put("incoming/folder/a", GOOD)
    shard = Ingested(world, [{"source": "x", "object": key}], fetcher=None)
    assert shard.reasons() == [(1, reason, "images", True)]


def test_a_dry_run_fetches_and_stores_nothing(world: FetchingWorld) -> None:
    shard = Ingested(
        world,
        [{"source": "unknown.jpg", "sha256": "e" * 64}],
        [at(world, "/good.jpg"), at(world, "/404"), {"source": "o", "object": "incoming/none"}],
        [{"source": "x", "sha256": "no hash"}],
        [{"source": "x", "url": "ftp://shop.test/"}],
        [{"source": "x", "object": "manifest"}],
        [{"source": "gone.jpg", "error": "IMAGE_NOT_FOUND", "message": "no such file"}],
        fetcher=world.fetcher(),
        validate_only=True,
    )
    assert [asdict(each)["sha256s"] for each in shard.accepted] == [("e" * 64,), ("", "", "")]
    assert shard.accepted[1].sources[1] == world.server.url("/404")
    assert shard.reasons() == [
        (3, "INVALID_DIGEST", "images", True),
        (4, "IMAGE_URL_INVALID", "images", True),
        (5, "OBJECT_KEY_INVALID", "images", True),
        (6, "IMAGE_NOT_FOUND", "images", True),
    ]
    assert world.server.connections == 0
    assert sorted(world.objects.keys("")) == ["acc", "manifest", "rej"]
