"""What an image may be before anything decodes it."""

from dataclasses import dataclass

FORMATS = ("JPEG", "PNG", "WEBP")


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """Bytes of the file, pixels (width x height) of its first frame, and formats accepted.

    Raises ValueError for limits that make no sense.
    """

    max_bytes: int = 20 * 1024 * 1024
    max_pixels: int = 50_000_000
    formats: tuple[str, ...] = FORMATS

    def __post_init__(self) -> None:
        if self.max_bytes < 1 or self.max_pixels < 1:
            raise ValueError("max_bytes and max_pixels must be at least 1")
        unknown = set(self.formats) - set(FORMATS)
        if unknown or not self.formats:
            raise ValueError(f"formats must be some of {FORMATS}, not {self.formats}")
