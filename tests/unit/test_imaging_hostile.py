"""Every kind of hostile image gets its verdict, and costs nobody else anything."""

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from PIL import Image, features

from services.core.domain.errors import InvalidImage
from services.imaging.decode_pool import DecodePool
from services.imaging.decoding import decode
from services.imaging.essentials import essentials
from services.imaging.headers import inspect
from services.imaging.limits import FORMATS, ImageLimits
from services.imaging.orientation import orientation
from services.imaging.resizing import PixelRecipe, Square
from services.imaging.verdicts import Verdict
from services.imaging.webp_still import decode_still, is_still
from tests.bench.memory import anonymous_bytes
from tests.hostile.images import IMAGES
from tests.hostile.kinds import (
    ACCEPTED,
    HostileImage,
    exif_bomb,
    exif_of_orientation,
    picture,
    plain,
    saved,
)

RECIPE = PixelRecipe((Square(256, 224),))
LIMITS = ImageLimits()
MIB = 1 << 20
SIZE = (7_000, 7_000)


@pytest.fixture(scope="module")
def pool() -> Iterator[DecodePool]:
    with DecodePool(1, reserved=0, image_seconds=4.0) as made:
        yield made


def refusal(pool: DecodePool, data: bytes) -> str:
    error = pool.submit(data, RECIPE).exception(120)
    if error is None:
        return ACCEPTED
    assert isinstance(error, InvalidImage)
    return error.reason


@pytest.mark.parametrize("kind", IMAGES, ids=lambda kind: kind.name)
def test_every_kind_gets_its_verdict_and_the_next_image_is_decoded(
    kind: HostileImage, pool: DecodePool
) -> None:
    assert refusal(pool, kind.make(11)) == kind.verdict
    assert refusal(pool, saved(picture(3), "JPEG")) == ACCEPTED


def test_there_are_kinds_of_every_format_and_every_verdict() -> None:
    verdicts = {kind.verdict for kind in IMAGES} - {ACCEPTED}
    assert {*Verdict} - verdicts == {Verdict.IMAGE_DECODE_CRASHED}
    for name in FORMATS:
        assert sum(kind.name.startswith(name.lower()) for kind in IMAGES) >= 15


@contextmanager
def peak_of(pool: DecodePool) -> Iterator[list[int]]:
    """What the pool's children have together at most, in bytes, at the end of the block."""
    peak, ended = [0], threading.Event()

    def watch() -> None:
        while not ended.wait(0.002):
            peak[0] = max(peak[0], sum(map(anonymous_bytes, pool.pids)))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peak
    finally:
        ended.set()
        thread.join()


LARGE = {
    "png with alpha": lambda: saved(plain(1, SIZE, "RGBA"), "PNG", compress_level=1),
    "grey png with alpha": lambda: saved(plain(1, SIZE, "LA"), "PNG", compress_level=1),
    "progressive cmyk jpeg": lambda: saved(
        plain(1, SIZE, "CMYK"), "JPEG", progressive=True, subsampling=0
    ),
    "webp": lambda: saved(plain(1, SIZE), "WEBP", quality=1, method=0),
    "lossless webp": lambda: saved(plain(1, SIZE, "RGBA"), "WEBP", lossless=True, method=0),
    "avif": lambda: saved(plain(1, SIZE), "AVIF", quality=10, speed=10),
}


@pytest.mark.parametrize("name", LARGE)
def test_the_largest_pictures_are_accepted_within_500_mb_which_go_back_afterwards(
    name: str,
) -> None:
    data = LARGE[name]()
    with DecodePool(1, reserved=0) as pool:
        assert refusal(pool, saved(picture(1), "JPEG")) == ACCEPTED
        with peak_of(pool) as peak:
            assert refusal(pool, data) == ACCEPTED
        assert 60 * MIB < peak[0] < 500_000_000
        assert refusal(pool, saved(picture(1), "JPEG")) == ACCEPTED
        assert anonymous_bytes(pool.pids[0]) < 80 * MIB


def test_large_pictures_are_decoded_one_after_the_other_however_many_children_there_are() -> None:
    data = LARGE["png with alpha"]()
    with DecodePool(3, reserved=0) as pool:
        with peak_of(pool) as peak:
            results = [pool.submit(data, RECIPE) for _ in range(4)]
            assert all(each.result(120).shape == (224 * 224 * 3,) for each in results)
        assert 300 * MIB < peak[0] < 550_000_000


def test_metadata_never_reaches_the_decoder() -> None:
    for name, kind in (
        ("png-text-of-ten-megabytes", "PNG"),
        ("png-text-bomb", "PNG"),
        ("jpeg-ten-megabytes-of-comments", "JPEG"),
        ("jpeg-hundred-exif-bombs", "JPEG"),
    ):
        data = next(each for each in IMAGES if each.name == name).make(1)
        assert len(essentials(data, kind).data) < 50_000 < len(data)


def test_a_header_that_lies_cannot_take_the_memory_of_a_large_picture() -> None:
    kind = next(each for each in IMAGES if "much-smaller" in each.name)
    data = kind.make(1)
    with DecodePool(1, reserved=0) as pool:
        assert refusal(pool, saved(picture(1), "JPEG")) == ACCEPTED
        with peak_of(pool) as peak:
            assert refusal(pool, data) == kind.verdict
        assert peak[0] < 120 * MIB


def test_a_large_webp_has_the_pixels_that_pillow_gives() -> None:
    for options in ({"lossless": True, "exact": True}, {"quality": 70}):
        data = saved(picture(5, (130, 90), "RGBA"), "WEBP", **options)
        ours = decode_still(data, 130, 90)
        assert ours is not None
        with Image.open(io.BytesIO(data)) as theirs:
            assert np.array_equal(np.asarray(ours), np.asarray(theirs.convert("RGBA")))


def test_a_moving_webp_is_not_taken_for_a_still_one() -> None:
    still = saved(picture(1), "WEBP")
    moving = saved(picture(1), "WEBP", save_all=True, append_images=[picture(2)])
    assert is_still(still)
    assert not is_still(moving)


def test_without_an_avif_decoder_avif_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "check", lambda name: name != "avif")
    with pytest.raises(InvalidImage) as raised:
        decode(saved(picture(1), "AVIF"), LIMITS)
    assert raised.value.reason == "IMAGE_FORMAT_UNSUPPORTED"


def test_a_refusal_of_heic_says_how_to_convert_it() -> None:
    heic = next(kind for kind in IMAGES if kind.name == "heic").make(1)
    with pytest.raises(InvalidImage, match="convert it to JPEG"):
        inspect(heic, LIMITS)


def test_a_refusal_says_what_the_bytes_look_like() -> None:
    with pytest.raises(InvalidImage, match="GIF"):
        inspect(saved(picture(1), "GIF"), LIMITS)
    with pytest.raises(InvalidImage, match="web page"):
        inspect(b"\n <!DOCTYPE HTML><html>", LIMITS)


@pytest.mark.parametrize("value", range(1, 9))
def test_the_orientation_is_read_from_either_byte_order(value: int) -> None:
    little = exif_of_orientation(value)
    big = b"MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1" + value.to_bytes(2, "big") + bytes(6)
    assert orientation(little) == orientation(b"Exif\0\0" + big) == value


def test_an_orientation_that_means_nothing_is_upright() -> None:
    assert orientation(b"") == 1
    assert orientation(exif_bomb()) == 1
    for value in (0, 9, 65_535):
        assert orientation(exif_of_orientation(value)) == 1
    assert orientation(exif_of_orientation(6)[:18]) == 1
