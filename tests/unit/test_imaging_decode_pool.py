"""Hostile images cost themselves only, and query photos go first."""

import io
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from services.core.domain.errors import DeadlineExceeded, InvalidImage, Unavailable
from services.core.domain.pixel_views import split_views
from services.imaging.decode_pool import DecodePool
from services.imaging.decoding import decode
from services.imaging.limits import ImageLimits
from services.imaging.resizing import PixelRecipe, Pixels, Square, to_pixels

SQUARE = Square(40, 32)
RECIPE = PixelRecipe((SQUARE,))
ROW = (32 * 32 * 3,)


def photo(seed: int = 0, size: int = 200, kind: str = "JPEG") -> bytes:
    noise = np.random.default_rng(seed).integers(0, 256, (size, size, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, kind)
    return file.getvalue()


@pytest.fixture(scope="module")
def slow_png() -> bytes:
    """49 million pixels in 50 KB, about a second of decoding and 200 MB."""
    file = io.BytesIO()
    Image.new("RGB", (7000, 7000)).save(file, "PNG", compress_level=1)
    return file.getvalue()


@pytest.fixture(scope="module")
def pool() -> Iterator[DecodePool]:
    with DecodePool(1, reserved=1) as pool:
        yield pool


def refused_with(result: "Future[Pixels]") -> str:
    error = result.exception(30)
    assert isinstance(error, InvalidImage)
    return error.reason


def wait_for(condition: object, seconds: float = 20.0) -> None:
    assert callable(condition)
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_the_pool_gives_the_pixels_of_the_plain_path(pool: DecodePool) -> None:
    expected = to_pixels(decode(photo(), ImageLimits(), at_least=40), SQUARE).ravel()
    assert np.array_equal(pool.decode(photo(), RECIPE), expected)
    bulk = pool.submit(photo(), RECIPE).result()
    assert np.array_equal(bulk, expected)
    assert bulk.flags.writeable


def test_one_row_has_the_pixels_of_every_square(pool: DecodePool) -> None:
    squares = (Square(40, 32), Square(64, 64, "lanczos", "pad"), Square(50, 50, "bilinear"))
    recipe = PixelRecipe(squares)
    row = pool.decode(photo(), recipe)
    assert row.shape == (recipe.row_bytes,)
    for square, pixels in zip(squares, split_views(row, recipe.views), strict=True):
        assert np.array_equal(pixels.ravel(), pool.decode(photo(), PixelRecipe((square,))))


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_square_does_not_depend_on_those_beside_it(pool: DecodePool, kind: str) -> None:
    # A JPEG of 1,200 pixels is decoded at an eighth for the one and in full for the other.
    data, small, large = photo(1, 1200, kind), Square(100, 90), Square(1000, 900)
    both = pool.decode(data, PixelRecipe((small, large)))
    alone = [pool.decode(data, PixelRecipe((each,))) for each in (small, large)]
    assert np.array_equal(both, np.concatenate(alone))
    shared = Square(100, 90, at_least=1000)
    differs = not np.array_equal(pool.decode(data, PixelRecipe((shared,))), alone[0])
    assert differs == (kind == "JPEG")


def test_the_largest_row_is_delivered(pool: DecodePool) -> None:
    recipe = PixelRecipe(tuple(Square(1004 + n, 1004 + n) for n in range(21)))
    row = pool.decode(photo(2), recipe, timeout=60)
    assert row.shape == (recipe.row_bytes,)
    first, *_, last = split_views(row, recipe.views)
    for pixels in (first, last):
        assert pixels.std() > 10
    assert pool.decode(photo(), RECIPE).shape == ROW


def test_many_come_back_in_order_with_refusals_in_their_places(pool: DecodePool) -> None:
    items = [photo(0), b"", photo(1), b"no picture", photo(2)[:300], photo(3)]
    results = list(pool.decode_many(iter(items), RECIPE))
    reasons = [each.reason if isinstance(each, InvalidImage) else "" for each in results]
    assert reasons == ["", "IMAGE_EMPTY", "", "IMAGE_FORMAT_UNSUPPORTED", "IMAGE_TRUNCATED", ""]
    assert np.array_equal(np.asarray(results[5]), pool.decode(photo(3), RECIPE))


def test_reading_ahead_is_bounded(pool: DecodePool) -> None:
    read = 0

    def items() -> Iterator[bytes]:
        nonlocal read
        for _ in range(500):
            read += 1
            yield photo(0, 40)

    results = pool.decode_many(items(), RECIPE)
    next(results)
    assert read < 40
    results.close()  # type: ignore[attr-defined]


def test_an_image_that_takes_too_long_costs_only_itself(slow_png: bytes) -> None:
    with DecodePool(1, reserved=0, image_seconds=0.15) as pool:
        pool.decode(photo(), RECIPE)
        before = pool.pids
        results = list(pool.decode_many([photo(0), slow_png, photo(1)], RECIPE))
        assert isinstance(results[1], InvalidImage)
        assert results[1].reason == "IMAGE_DECODE_TIMEOUT"
        assert not isinstance(results[0], InvalidImage)
        assert not isinstance(results[2], InvalidImage)
        assert pool.pids != before
        assert not psutil.pid_exists(before[0])


def test_an_image_that_needs_too_much_memory_costs_only_itself(slow_png: bytes) -> None:
    with DecodePool(1, reserved=0, memory_limit=64 << 20) as pool:
        assert refused_with(pool.submit(slow_png, RECIPE)) == "IMAGE_MEMORY_EXCEEDED"
        assert pool.decode(photo(), RECIPE).shape == ROW


def test_the_largest_allowed_image_fits_into_the_memory_limit() -> None:
    file = io.BytesIO()
    Image.new("RGBA", (7000, 7000), (1, 2, 3, 4)).save(file, "PNG", compress_level=1)
    with DecodePool(1, reserved=0) as pool:
        assert pool.decode(file.getvalue(), RECIPE).shape == ROW
        largest = PixelRecipe((Square(1024, 1024), Square(1024, 1024, fit="pad")))
        assert pool.decode(file.getvalue(), largest).shape == (largest.row_bytes,)


def test_an_image_whose_child_dies_twice_is_refused_and_the_next_one_is_decoded(
    slow_png: bytes,
) -> None:
    with DecodePool(1, reserved=0) as pool:
        pool.decode(photo(), RECIPE)
        result = pool.submit(slow_png, RECIPE)
        killed: set[int] = set()
        while not result.done():
            for pid in set(pool.pids) - killed:
                os.kill(pid, signal.SIGKILL)
                killed.add(pid)
            time.sleep(0.005)
        assert refused_with(result) == "IMAGE_DECODE_CRASHED"
        assert pool.decode(photo(), RECIPE).shape == ROW


def test_a_child_killed_while_idle_costs_no_image() -> None:
    with DecodePool(1, reserved=0) as pool:
        pool.decode(photo(), RECIPE)
        os.kill(pool.pids[0], signal.SIGKILL)
        assert pool.decode(photo(1), RECIPE).shape == ROW


def test_a_default_timeout_of_the_process_does_not_reach_a_child() -> None:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(5.0)  # as Celery leaves it when two workers stop side by side
    try:
        with DecodePool(1, reserved=0) as pool:
            pool.decode(photo(), RECIPE)
            pids = pool.pids
            wait_for(lambda: psutil.Process(pids[0]).status() == psutil.STATUS_SLEEPING)
            pool.decode(photo(), RECIPE)
            assert pool.pids == pids
    finally:
        socket.setdefaulttimeout(before)


def test_a_frozen_child_is_replaced() -> None:
    with DecodePool(1, reserved=0, image_seconds=0.3) as pool:
        pool.decode(photo(), RECIPE)
        os.kill(pool.pids[0], signal.SIGSTOP)
        assert refused_with(pool.submit(photo(), RECIPE)) == "IMAGE_DECODE_TIMEOUT"
        assert pool.decode(photo(), RECIPE).shape == ROW


def test_queries_overtake_bulk_work_and_the_reserved_child_is_theirs(
    pool: DecodePool, slow_png: bytes
) -> None:
    pool.decode(photo(), RECIPE)
    slow = [pool.submit(slow_png, RECIPE) for _ in range(3)]
    assert pool.decode(photo(), RECIPE, timeout=20).shape == ROW
    assert not slow[-1].done()
    for each in slow:
        each.cancel()


def test_with_one_child_a_query_waits_for_the_image_in_hand_only(slow_png: bytes) -> None:
    with DecodePool(1, reserved=0) as pool:
        bulk = [pool.submit(slow_png, RECIPE) for _ in range(3)]
        wait_for(bulk[0].running)
        pool.decode(photo(), RECIPE, timeout=30)
        assert bulk[0].done()
        assert not bulk[2].done()


def test_a_query_that_is_not_decoded_in_time_says_so(slow_png: bytes) -> None:
    with DecodePool(1, reserved=0) as pool:
        wait_for(pool.submit(slow_png, RECIPE).running)
        with pytest.raises(DeadlineExceeded):
            pool.decode(photo(), RECIPE, timeout=0.01)


def test_children_are_small_and_hold_neither_torch_nor_our_environment(pool: DecodePool) -> None:
    pool.decode(photo(), RECIPE)
    wait_for(lambda: len(pool.pids) == 2)
    for child in map(psutil.Process, pool.pids):
        assert child.memory_info().rss < 300 << 20
        assert "HOME" not in child.environ()
        assert "torch" not in Path(f"/proc/{child.pid}/maps").read_text()


PARENT = """
import sys, time
from services.core.domain.pixel_views import split_views
from services.imaging.decode_pool import DecodePool
pool = DecodePool(2, reserved=1)
while len(pool.pids) < 3:
    time.sleep(0.01)
sys.stdout.write(" ".join(map(str, pool.pids)) + chr(10))
sys.stdout.flush()
time.sleep(60)
"""


def test_children_die_with_a_killed_parent() -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pids = [int(each) for each in parent.stdout.readline().split()]
    assert len(pids) == 3
    parent.kill()
    parent.communicate()
    wait_for(lambda: not any(psutil.pid_exists(each) for each in pids))


def test_a_closed_pool_says_so_and_leaves_no_child() -> None:
    pool = DecodePool(1, reserved=0)
    pool.decode(photo(), RECIPE)
    pids = pool.pids
    pool.close()
    assert not any(psutil.pid_exists(each) for each in pids)
    with pytest.raises(Unavailable):
        pool.submit(photo(), RECIPE)
