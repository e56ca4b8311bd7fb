"""Every reason for which an image can be refused, in one table."""

from enum import StrEnum

from services.core.domain.errors import InvalidImage


class Verdict(StrEnum):
    """The reason of an InvalidImage, for programs; SENTENCES says it to people."""

    IMAGE_EMPTY = "IMAGE_EMPTY"
    IMAGE_TOO_LARGE = "IMAGE_TOO_LARGE"
    IMAGE_TOO_MANY_PIXELS = "IMAGE_TOO_MANY_PIXELS"
    IMAGE_TOO_NARROW = "IMAGE_TOO_NARROW"
    IMAGE_FORMAT_UNSUPPORTED = "IMAGE_FORMAT_UNSUPPORTED"
    IMAGE_TRUNCATED = "IMAGE_TRUNCATED"
    IMAGE_UNDECODABLE = "IMAGE_UNDECODABLE"
    IMAGE_MEMORY_EXCEEDED = "IMAGE_MEMORY_EXCEEDED"
    IMAGE_DECODE_TIMEOUT = "IMAGE_DECODE_TIMEOUT"
    IMAGE_DECODE_CRASHED = "IMAGE_DECODE_CRASHED"


SENTENCES: dict[Verdict, str] = {
    Verdict.IMAGE_EMPTY: "the image has no bytes",
    Verdict.IMAGE_TOO_LARGE: "the image file is larger than allowed",
    Verdict.IMAGE_TOO_MANY_PIXELS: "the image has more pixels than allowed",
    Verdict.IMAGE_TOO_NARROW: "the image is a line rather than a picture",
    Verdict.IMAGE_FORMAT_UNSUPPORTED: "the bytes are no image of an accepted format",
    Verdict.IMAGE_TRUNCATED: "the image file ends too early",
    Verdict.IMAGE_UNDECODABLE: "the image file is damaged",
    Verdict.IMAGE_MEMORY_EXCEEDED: "decoding the image takes more memory than allowed",
    Verdict.IMAGE_DECODE_TIMEOUT: "decoding the image takes longer than allowed",
    Verdict.IMAGE_DECODE_CRASHED: "decoding the image crashes the decoder",
}


def refuse(verdict: Verdict, detail: str = "") -> InvalidImage:
    """The error for `verdict`; `detail` names the values behind it (never a path or raw bytes)."""
    sentence = SENTENCES[verdict]
    return InvalidImage(f"{sentence}: {detail}" if detail else sentence, reason=verdict.value)
