"""Every format and mode comes out as the upright RGB picture that a person would see."""

import io
import struct
import zlib
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from PIL import Image

from services.core.domain.errors import InvalidImage
from services.imaging.decoding import decode
from services.imaging.headers import ImageInfo, inspect
from services.imaging.limits import ImageLimits

LIMITS = ImageLimits()
RED, BLUE, WHITE = (220, 30, 40), (20, 60, 200), (255, 255, 255)


def halves(width: int = 48, height: int = 32) -> Image.Image:
    """Left half red, right half blue."""
    image = Image.new("RGB", (width, height), RED)
    image.paste(BLUE, (width // 2, 0, width, height))
    return image


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def near(
    image: Image.Image, at: tuple[int, int], colour: tuple[int, int, int], by: int = 6
) -> bool:
    pixel = image.getpixel(at)
    assert isinstance(pixel, tuple)
    return all(abs(a - b) <= by for a, b in zip(pixel, colour, strict=True))


def reason(data: bytes, limits: ImageLimits = LIMITS) -> str:
    with pytest.raises(InvalidImage) as refusal:
        decode(data, limits)
    return refusal.value.reason


FILES = {
    "jpeg": saved(halves(), "JPEG", quality=95),
    "progressive jpeg": saved(halves(), "JPEG", quality=95, progressive=True),
    "cmyk jpeg": saved(halves().convert("CMYK"), "JPEG", quality=98),
    "png": saved(halves(), "PNG"),
    "palette png": saved(halves().quantize(8), "PNG"),
    "rgba png": saved(halves().convert("RGBA"), "PNG"),
    "webp": saved(halves(), "WEBP", quality=95),
    "lossless webp": saved(halves(), "WEBP", lossless=True),
    "avif": saved(halves(), "AVIF", quality=95),
    "rgba avif": saved(halves().convert("RGBA"), "AVIF", quality=95),
    "rgba webp": saved(halves().convert("RGBA"), "WEBP", lossless=True, exact=True),
}


@pytest.mark.parametrize("name", FILES)
def test_every_format_keeps_its_colours(name: str) -> None:
    image = decode(FILES[name], LIMITS)
    assert (image.mode, image.size) == ("RGB", (48, 32))
    assert near(image, (8, 16), RED, 20)
    assert near(image, (40, 16), BLUE, 20)


@pytest.mark.parametrize("name", FILES)
def test_the_header_tells_format_and_size_without_decoding(name: str) -> None:
    kind = name.split()[-1].upper()
    buffered = name == "progressive jpeg"
    assert inspect(FILES[name], LIMITS) == ImageInfo(kind, 48, 32, buffered)


@pytest.mark.parametrize("size", [(1, 1), (1, 700), (16383, 3), (333, 257)])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_the_header_agrees_with_pillow_for_odd_sizes(kind: str, size: tuple[int, int]) -> None:
    data = saved(Image.new("RGB", size), kind)
    assert inspect(data, ImageLimits(max_ratio=99_999)) == ImageInfo(kind, *size)


def test_sixteen_bit_grey_is_scaled_not_clipped() -> None:
    ramp = np.tile(np.linspace(0, 65535, 256).astype(np.uint16), (4, 1))
    image = decode(saved(Image.fromarray(ramp), "PNG"), LIMITS)
    assert np.array_equal(np.asarray(image)[0, :, 1], np.arange(256))


@pytest.mark.parametrize("mode", ["L", "1"])
def test_grey_and_bilevel_become_rgb(mode: str) -> None:
    image = decode(saved(Image.new("L", (4, 4), 255).convert(mode), "PNG"), LIMITS)
    assert image.mode == "RGB"
    assert image.getpixel((1, 1)) == WHITE


def transparent_files() -> dict[str, bytes]:
    clear = Image.new("RGBA", (4, 4), (*BLUE, 0))
    palette = Image.new("P", (4, 4), 0)
    palette.putpalette([*BLUE, *RED])
    return {
        "rgba png": saved(clear, "PNG"),
        "grey with alpha": saved(Image.new("LA", (4, 4), (0, 0)), "PNG"),
        "palette with a clear colour": saved(palette, "PNG", transparency=0),
        "rgb with a clear colour": saved(clear.convert("RGB"), "PNG", transparency=BLUE),
        "webp": saved(clear, "WEBP", lossless=True, exact=True),
    }


@pytest.mark.parametrize("name", transparent_files())
def test_what_is_transparent_shows_white(name: str) -> None:
    assert decode(transparent_files()[name], LIMITS).getpixel((2, 2)) == WHITE


def test_half_transparent_red_on_white_is_pink() -> None:
    data = saved(Image.new("RGBA", (4, 4), (255, 0, 0, 128)), "PNG")
    assert near(decode(data, LIMITS), (2, 2), (255, 127, 127), 2)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_comes_out_upright(orientation: int, kind: str) -> None:
    upright = np.asarray(halves().resize((48, 32)))
    marked = upright.copy()
    marked[:8, :8] = (0, 200, 0)  # so that mirrored pictures differ
    to_stored = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
        8: lambda a: np.rot90(a, -1),
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(to_stored[orientation](marked)))
    image = decode(saved(stored, kind, exif=exif, quality=98), LIMITS)
    assert image.size == (48, 32)
    assert np.abs(np.asarray(image).astype(int) - marked).mean() < 6


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_damaged_exif_costs_only_the_rotation() -> None:
    data = saved(halves(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff" + b"\xff" * 20)
    assert decode(data, LIMITS).size == (48, 32)


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_of_an_animation_the_first_frame_counts(kind: str) -> None:
    frames = [Image.new("RGB", (16, 16), BLUE), Image.new("RGB", (16, 16), (0, 255, 0))]
    red = Image.new("RGB", (16, 16), RED)
    data = saved(red, kind, save_all=True, append_images=frames, lossless=True)
    assert near(decode(data, LIMITS), (8, 8), RED)


def test_a_stereo_jpeg_of_a_phone_is_its_first_picture() -> None:
    data = saved(halves(), "MPO", save_all=True, append_images=[Image.new("RGB", (48, 32))])
    assert near(decode(data, LIMITS), (8, 16), RED, 20)


def test_a_large_jpeg_is_decoded_small_but_never_below_the_wanted_size() -> None:
    data = saved(halves(1600, 1200), "JPEG")
    assert decode(data, LIMITS, at_least=256).size == (400, 300)
    assert decode(data, LIMITS, at_least=301).size == (800, 600)
    assert decode(data, LIMITS).size == (1600, 1200)


@pytest.mark.parametrize("name", ["jpeg", "progressive jpeg", "png", "webp", "lossless webp"])
def test_a_truncated_file_is_refused(name: str) -> None:
    noise = np.random.default_rng(7).integers(0, 256, (64, 64, 3), np.uint8)
    kind = name.split()[-1].upper()
    data = saved(Image.fromarray(noise), kind, progressive="prog" in name, lossless="less" in name)
    assert reason(data[: len(data) // 2]) == "IMAGE_TRUNCATED"
    assert reason(data[:20]) in ("IMAGE_TRUNCATED", "IMAGE_UNDECODABLE")


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", FILES)
def test_no_cut_and_no_flipped_byte_gets_anything_but_a_picture_or_a_refusal(name: str) -> None:
    rng = np.random.default_rng(11)
    data = FILES[name]
    for _ in range(60):
        broken = bytearray(data)
        broken[int(rng.integers(len(data)))] = int(rng.integers(256))
        cut = int(rng.integers(1, len(data) + 1))
        for hostile in (bytes(broken), bytes(broken[:cut])):
            with suppress(InvalidImage):
                assert decode(hostile, LIMITS).mode == "RGB"


def png_claiming(width: int, height: int) -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        check = zlib.crc32(name + body)
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(b"\0" * 1000)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )


def test_a_decompression_bomb_is_refused_by_its_header() -> None:
    assert reason(png_claiming(60_000, 60_000)) == "IMAGE_TOO_MANY_PIXELS"
    assert reason(saved(halves(), "JPEG"), ImageLimits(max_pixels=1000)) == "IMAGE_TOO_MANY_PIXELS"


def test_sizes_and_kinds_outside_the_limits_are_refused_by_name() -> None:
    assert reason(b"") == "IMAGE_EMPTY"
    assert reason(FILES["png"], ImageLimits(max_bytes=10)) == "IMAGE_TOO_LARGE"
    assert reason(b"<html>not found</html>") == "IMAGE_FORMAT_UNSUPPORTED"
    assert reason(saved(halves(), "GIF")) == "IMAGE_FORMAT_UNSUPPORTED"
    assert reason(saved(halves(), "TIFF")) == "IMAGE_FORMAT_UNSUPPORTED"
    assert reason(FILES["webp"], ImageLimits(formats=("PNG",))) == "IMAGE_FORMAT_UNSUPPORTED"
    assert reason(png_claiming(0, 5)) == "IMAGE_UNDECODABLE"


@pytest.mark.parametrize("kind", [b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBPVP8X"])
def test_headers_of_random_bytes_are_refused(kind: bytes) -> None:
    rng = np.random.default_rng(3)
    for length in range(60):
        assert reason(kind + rng.bytes(length)).startswith("IMAGE_")


def test_limits_that_make_no_sense_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        ImageLimits(max_bytes=0)
    with pytest.raises(ValueError, match="formats"):
        ImageLimits(formats=("GIF",))
