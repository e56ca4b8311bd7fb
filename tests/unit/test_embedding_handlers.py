"""Shards and query photos through real decoders, a real model and real files."""

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from services.core.adapters.file_objects import FileObjects
from services.core.domain.errors import (
    DeadlineExceeded,
    FailedPrecondition,
    InvalidImage,
    ShelflensError,
)
from services.core.domain.keys import embeddings_key, image_key
from services.core.messages import EmbedShard
from services.core.ports import Embedder
from services.core.shard_files import Embeddings, read_embeddings
from services.embedding.explaining import Explainer
from services.embedding.forward_gate import Batch, Embedded, ForwardGate
from services.embedding.handlers import BulkEmbedder, QueryEmbedder
from services.embedding.model_host import ModelHost
from services.imaging.decode_pool import DecodePool
from services.vision.models import builtin_model, load_embedder
from tests.unit.embedding_world import photo, stored

SPEC = builtin_model("base")[0]


@pytest.fixture(scope="module")
def pool() -> Iterator[DecodePool]:
    with DecodePool(2) as pool:
        yield pool


@pytest.fixture(scope="module")
def host() -> Iterator[ModelHost]:
    gate = ForwardGate(1)
    host = ModelHost(load_embedder, gate)
    host.load(SPEC)
    yield host
    gate.close()


@pytest.fixture
def objects(tmp_path: Path) -> FileObjects:
    return FileObjects(tmp_path)


@pytest.fixture
def bulk(objects: FileObjects, pool: DecodePool, host: ModelHost) -> Iterator[BulkEmbedder]:
    bulk = BulkEmbedder(objects, pool, host, batch=4)
    yield bulk
    bulk.close()


@pytest.fixture
def queries(objects: FileObjects, pool: DecodePool, host: ModelHost) -> Iterator[QueryEmbedder]:
    explainer = Explainer(objects, pool, host)
    yield QueryEmbedder(pool, host, explainer)
    explainer.close()


def shard(sha256s: tuple[str, ...], sequence: int = 0) -> EmbedShard:
    return EmbedShard(
        id=f"op-{sequence}",
        operation="op",
        revision=1,
        sequence=sequence,
        sha256s=sha256s,
        embedders=(SPEC.digest,),
        embeddings=(embeddings_key(SPEC.digest, "op", sequence),),
    )


def rows_of(objects: FileObjects, message: EmbedShard) -> Embeddings:
    return read_embeddings(objects.get(message.embeddings[0]))


def test_a_shard_with_bad_images_embeds_the_good_and_names_the_bad(
    bulk: BulkEmbedder, objects: FileObjects, tmp_path: Path
) -> None:
    good = stored(objects, *(photo(seed) for seed in range(6)))
    broken, text = stored(objects, photo(7)[:500], b"not a picture")
    damaged, missing = "ab" * 32, "cd" * 32
    behind_its_back = tmp_path / image_key(damaged)
    behind_its_back.parent.mkdir(parents=True, exist_ok=True)
    behind_its_back.write_bytes(photo(9))
    message = shard((good[0], broken, *good[1:4], damaged, missing, *good[4:], text, good[0]))
    outcome = bulk.embed_shard(message)
    assert outcome.sha256s == good
    assert outcome.refused == (
        (broken, "IMAGE_TRUNCATED"),
        (damaged, "DIGEST_MISMATCH"),
        (missing, "IMAGE_MISSING"),
        (text, "IMAGE_FORMAT_UNSUPPORTED"),
    )
    rows = rows_of(objects, message)
    assert rows.sha256s == good
    assert rows.embeddings.shape == (6, 1280)
    assert rows.thumbnails is not None
    assert len(rows.thumbnails) == len(outcome.picture_hashes) == 6
    assert np.allclose(np.linalg.norm(rows.embeddings, axis=1), 1, atol=1e-5)


async def test_a_query_photo_gets_the_embedding_of_the_stored_image(
    bulk: BulkEmbedder, objects: FileObjects, queries: Embedder
) -> None:
    photos = [photo(seed, kind) for seed, kind in enumerate(["JPEG", "PNG", "WEBP"] * 3)]
    message = shard(stored(objects, *photos))
    bulk.embed_shard(message)
    rows = rows_of(objects, message)
    for row, data in enumerate(photos):
        query = await queries.embed(data, SPEC.digest, timeout=20)
        assert float(query.embedding @ rows.embeddings[row]) > 0.9999
        assert query.norm == pytest.approx(float(rows.norms[row]), rel=0.01)
        assert query.timings_ms.keys() == {"decode", "embed"}


def test_a_shard_delivered_twice_writes_the_same(bulk: BulkEmbedder, objects: FileObjects) -> None:
    message = shard(stored(objects, *(photo(seed) for seed in range(5))))
    first, before = bulk.embed_shard(message), objects.get(message.embeddings[0])
    assert bulk.embed_shard(message) == first
    assert objects.get(message.embeddings[0]) == before


def test_a_shard_without_one_good_image_writes_an_empty_file(
    bulk: BulkEmbedder, objects: FileObjects
) -> None:
    message = shard(("ee" * 32,))
    assert bulk.embed_shard(message).refused == (("ee" * 32, "IMAGE_MISSING"),)
    assert rows_of(objects, message).embeddings.shape == (0, 1280)


def test_shards_at_the_same_time_do_not_mix(bulk: BulkEmbedder, objects: FileObjects) -> None:
    messages = [
        shard(stored(objects, *(photo(100 * number + seed) for seed in range(9))), number)
        for number in range(3)
    ]
    with ThreadPoolExecutor(3) as threads:
        outcomes = list(threads.map(bulk.embed_shard, messages))
    for message, outcome in zip(messages, outcomes, strict=True):
        assert outcome.sha256s == message.sha256s
        alone = replace(message, embeddings=("embeddings/alone",))
        bulk.embed_shard(alone)
        mixed = rows_of(objects, message).embeddings
        assert (mixed * read_embeddings(objects.get("embeddings/alone")).embeddings).sum(
            1
        ).min() > (0.9999)


def test_an_unloaded_model_is_refused_by_name(bulk: BulkEmbedder, host: ModelHost) -> None:
    with pytest.raises(FailedPrecondition, match="ffffffffffff") as refusal:
        bulk.embed_shard(replace(shard(()), embedders=("f" * 64,)))
    assert refusal.value.reason == "MODEL_NOT_LOADED"
    assert host.digests == (SPEC.digest,)


async def test_one_bad_photo_harms_no_neighbour(queries: Embedder) -> None:
    photos = [photo(0), b"", photo(1)[:400], photo(2), b"GIF89a"]
    results = await asyncio.gather(
        *(queries.embed(each, SPEC.digest, 20) for each in photos), return_exceptions=True
    )
    reasons = [each.reason if isinstance(each, ShelflensError) else "" for each in results]
    assert reasons == ["", "IMAGE_EMPTY", "IMAGE_TRUNCATED", "", "IMAGE_FORMAT_UNSUPPORTED"]
    assert isinstance(results[1], InvalidImage)


async def test_a_query_that_is_late_says_so_and_a_later_one_is_answered(
    queries: Embedder,
) -> None:
    with pytest.raises(DeadlineExceeded):
        await queries.embed(photo(0), SPEC.digest, timeout=0.0005)
    assert (await queries.embed(photo(0), SPEC.digest, timeout=20)).embedding.shape == (1280,)


class SlowForward:
    """A forward that takes its time, embeds a picture as its first pixel, and keeps a diary."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.go = threading.Event()

    def embed(self, pixels: Batch) -> Embedded:
        assert self.go.wait(10)
        self.sizes.append(len(pixels))
        if (pixels[:, 0, 0, 0] == 255).any():
            raise ValueError("no number")
        first = pixels[:, 0, 0, :1].astype(np.float32)
        return first, first[:, 0]


def picture(value: int, count: int = 1) -> Batch:
    return np.full((count, 4, 4, 3), value, np.uint8)


@pytest.fixture
def gate() -> Iterator[ForwardGate]:
    gate = ForwardGate(1)
    yield gate
    gate.close()


def test_queries_go_before_bulk_batches_and_together(gate: ForwardGate) -> None:
    slow = SlowForward()
    in_hand = gate.submit(slow.embed, picture(1, 8), urgent=False)
    while not in_hand.running():
        time.sleep(0.001)
    later = gate.submit(slow.embed, picture(2, 9), urgent=False)
    queries = [gate.submit(slow.embed, picture(10 + i), urgent=True) for i in range(5)]
    slow.go.set()
    assert [float(each.result(5)[1][0]) for each in queries] == [10, 11, 12, 13, 14]
    assert later.result(5)[0].shape == (9, 1)
    assert slow.sizes == [8, 5, 9]


def test_a_lone_query_runs_at_once_and_alone(gate: ForwardGate) -> None:
    slow = SlowForward()
    slow.go.set()
    started = time.perf_counter()
    for value in range(20):
        gate.submit(slow.embed, picture(value), urgent=True).result(5)
    assert slow.sizes == [1] * 20
    assert (time.perf_counter() - started) / 20 < 0.05


def test_a_query_that_fails_in_the_forward_harms_no_neighbour(gate: ForwardGate) -> None:
    slow = SlowForward()
    blocker = gate.submit(slow.embed, picture(0), urgent=True)
    while not blocker.running():
        time.sleep(0.001)
    queries = [gate.submit(slow.embed, picture(value), urgent=True) for value in (1, 255, 2)]
    slow.go.set()
    assert float(queries[0].result(5)[1][0]) == 1
    assert isinstance(queries[1].exception(5), ValueError)
    assert float(queries[2].result(5)[1][0]) == 2


def test_queries_of_different_models_are_not_mixed(gate: ForwardGate) -> None:
    one, other = SlowForward(), SlowForward()
    other.go.set()
    blocker = gate.submit(one.embed, picture(0), urgent=True)
    while not blocker.running():
        time.sleep(0.001)
    mixed = [gate.submit(each.embed, picture(1), urgent=True) for each in (one, other, one, other)]
    one.go.set()
    for each in mixed:
        each.result(5)
    assert (one.sizes, other.sizes) == ([1, 2], [2])


def test_queries_wait_for_others_until_the_window_closes_or_a_pass_is_full() -> None:
    slow = SlowForward()
    slow.go.set()
    for window, count in ((60.0, 3), (0.05, 2)):
        gate = ForwardGate(1, query_batch=3, query_window=window)
        started = time.perf_counter()
        for each in [gate.submit(slow.embed, picture(7), urgent=True) for _ in range(count)]:
            each.result(5)
        assert (time.perf_counter() - started >= window) == (window < 1)
        gate.close()
    assert slow.sizes == [3, 2]


def test_cancelled_queries_cost_no_forward(gate: ForwardGate) -> None:
    slow = SlowForward()
    blocker = gate.submit(slow.embed, picture(0), urgent=False)
    while not blocker.running():
        time.sleep(0.001)
    dropped = gate.submit(slow.embed, picture(1), urgent=True)
    kept = gate.submit(slow.embed, picture(2), urgent=True)
    assert dropped.cancel()
    slow.go.set()
    kept.result(5)
    assert slow.sizes == [1, 1]


def test_concurrent_queries_share_forward_passes(pool: DecodePool, host: ModelHost) -> None:
    with host.model(SPEC.digest) as model:
        row = pool.decode(photo(3), model.pixels.recipe)
        alone = model.submit(row)[0].result()[0][0]
        for (each,) in [model.submit(row) for _ in range(12)]:
            assert float(each.result()[0][0] @ alone) > 0.9999
