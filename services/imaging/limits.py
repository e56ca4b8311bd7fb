"""What an image may be before anything decodes it."""

from dataclasses import dataclass

FORMATS = ("JPEG", "PNG", "WEBP", "AVIF")


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """Bytes of the file, pixels (width x height) of its first frame, formats accepted, and how
    many times its longer side may be as long as the shorter one.

    Raises ValueError for limits that make no sense.
    """

    max_bytes: int = 20 * 1024 * 1024
    max_pixels: int = 50_000_000
    formats: tuple[str, ...] = FORMATS
    max_ratio: int = 200  # beyond it the square that a model sees is a few rows of nothing

    def __post_init__(self) -> None:
        if min(self.max_bytes, self.max_pixels, self.max_ratio) < 1:
            raise ValueError("max_bytes, max_pixels and max_ratio must be at least 1")
        unknown = set(self.formats) - set(FORMATS)
        if unknown or not self.formats:
            raise ValueError(f"formats must be some of {FORMATS}, not {self.formats}")
