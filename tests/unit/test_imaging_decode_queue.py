"""Images are decoded together only as far as memory allows, and nobody waits for ever."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from services.core.domain.errors import Unavailable
from services.imaging.decode_queue import DecodeQueue, Job
from services.imaging.resizing import PixelRecipe, Square
from tests.waiting import eventually

RECIPE = PixelRecipe((Square(40, 32),))


def job(cost: int, *, urgent: bool = False, data: bytes = b"x") -> Job:
    return Job(data, RECIPE, cost, urgent)


def queue(*jobs: Job, budget: int = 100) -> DecodeQueue:
    made = DecodeQueue(budget)
    for each in jobs:
        made.put(each)
    return made


def take(of: DecodeQueue, *, only_urgent: bool = False) -> Job:
    taken = of.take(only_urgent)
    assert taken is not None
    return taken


class Waiting:
    """A `take` in a thread of its own."""

    def __init__(self, of: DecodeQueue, *, only_urgent: bool = False) -> None:
        self.taken: list[Job | None] = []
        self._queue = of
        self._only_urgent = only_urgent
        self.thread = threading.Thread(target=self._take, daemon=True)
        self.thread.start()

    def _take(self) -> None:
        self.taken.append(self._queue.take(self._only_urgent))

    def still_waits(self) -> bool:
        self.thread.join(0.05)
        return self.thread.is_alive()

    def result(self) -> Job | None:
        self.thread.join(10)
        return self.taken[0]


def test_what_does_not_fit_waits_until_there_is_room() -> None:
    first, second = job(60), job(60)
    pending = queue(first, second)
    assert take(pending) is first
    waiting = Waiting(pending)
    assert waiting.still_waits()
    pending.done(first)
    assert waiting.result() is second


def test_small_images_pass_a_large_one_that_waits() -> None:
    held, large, small = job(60), job(90), job(30)
    pending = queue(held, large, small)
    assert take(pending) is held
    assert take(pending) is small


def test_an_image_larger_than_the_budget_is_decoded_when_no_other_is() -> None:
    small, monster = job(10), job(1_000)
    pending = queue(small, monster)
    assert take(pending) is small
    waiting = Waiting(pending)
    assert waiting.still_waits()
    pending.done(small)
    assert waiting.result() is monster


def test_a_large_image_is_not_overtaken_for_ever() -> None:
    held, large = job(60), job(90)
    pending = queue(held, large)
    take(pending)
    for _ in range(64):
        pending.put(job(1))
        pending.done(take(pending))
    pending.put(job(1))
    waiting = Waiting(pending)
    assert waiting.still_waits()
    pending.done(held)
    assert waiting.result() is large


def test_a_common_query_photo_never_waits_for_a_bulk_monster() -> None:
    monster, photo = job(1_000), job(25, urgent=True)
    pending = queue(monster)
    take(pending)
    pending.put(photo)
    assert take(pending, only_urgent=True) is photo


def test_a_large_query_photo_waits_for_what_is_in_hand_and_for_nothing_else() -> None:
    held, photo, bulk = job(100), job(90, urgent=True), job(5)
    pending = queue(held, bulk)
    take(pending)
    pending.put(photo)
    reserved, worker = Waiting(pending, only_urgent=True), Waiting(pending)
    assert reserved.still_waits()
    assert worker.still_waits()  # the small bulk image would take room from the photo
    pending.done(held)
    eventually(lambda: reserved.taken + worker.taken, 10, "the photo is taken")
    assert photo in reserved.taken + worker.taken
    pending.done(photo)
    pending.close()


def test_a_common_query_photo_does_not_wait_behind_a_large_one() -> None:
    large, common = job(90, urgent=True), job(20, urgent=True)
    pending = queue(job(100))
    take(pending)
    pending.put(large)
    pending.put(common)
    assert take(pending, only_urgent=True) is common


def test_together_they_never_hold_more_than_the_budget_and_the_reserve() -> None:
    costs = [7, 90, 12, 55, 30, 99, 3, 41, 26, 64] * 20
    pending = queue(*(job(cost) for cost in costs))
    lock, under_way, most, finished = threading.Lock(), 0, 0, 0

    def work() -> None:
        nonlocal under_way, most, finished
        while (mine := pending.take(False)) is not None:
            with lock:
                under_way += mine.cost
                most = max(most, under_way)
            threading.Event().wait(0.0005)  # let the others in
            with lock:
                under_way -= mine.cost
                finished += 1
            pending.done(mine)

    with ThreadPoolExecutor(4) as threads:
        for _ in range(4):
            threads.submit(work)
        eventually(lambda: finished == len(costs), 30, "every image is decoded")
        pending.close()
    assert 64 < most <= 100


def test_whoever_brings_too_many_bytes_waits_until_some_are_taken() -> None:
    pending = queue(job(1, data=bytes(70 << 20)))
    bringing = threading.Thread(target=pending.put, args=(job(2),), daemon=True)
    bringing.start()
    bringing.join(0.05)
    assert bringing.is_alive()
    pending.put(job(3, urgent=True))
    assert take(pending).cost == 3
    assert take(pending).cost == 1
    bringing.join(10)
    assert take(pending).cost == 2


def test_closing_cancels_what_waits_and_wakes_everybody() -> None:
    held, left = job(100), job(90)
    pending = queue(held, left)
    take(pending)
    waiting = Waiting(pending)
    pending.close()
    assert waiting.result() is None
    assert left.result.cancelled()
    with pytest.raises(Unavailable):
        pending.put(job(1))


def test_a_cancelled_image_is_handed_out_at_once_so_that_it_can_be_dropped() -> None:
    held, cancelled = job(100), job(90)
    pending = queue(held, cancelled)
    take(pending)
    cancelled.result.cancel()
    assert take(pending) is cancelled
