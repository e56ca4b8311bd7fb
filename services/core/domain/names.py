"""Resource names (google.aip.dev/122): parsing, formatting, and ids derived from outside text."""

import hashlib
import re
import secrets
import time
import unicodedata
import uuid
from datetime import UTC, datetime

from services.core.domain.errors import InvalidArgument

_ID = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_FIRST_MADE = 1_577_836_800_000  # 2020-01-01, in milliseconds
_POINTS = uuid.UUID("5f2c7d0e-6f0e-5d0a-9a53-1f3b8c3f7a10")


def check_id(value: str, field: str) -> str:
    """A user-chosen id: 1 to 63 of [a-z0-9-], no hyphen at either end. Returns it."""
    if not _ID.fullmatch(value):
        raise InvalidArgument.field(
            field,
            f"'{value[:80]}' is not an id: use 1 to 63 lower-case letters, digits and hyphens, "
            "with no hyphen at either end",
            reason="INVALID_ID",
        )
    return value


def check_digest(value: str, field: str) -> str:
    """A SHA-256 in 64 lower-case hex digits. Returns it."""
    if not _DIGEST.fullmatch(value):
        raise InvalidArgument.field(
            field, f"'{value[:80]}' is not a SHA-256 in 64 hex digits", reason="INVALID_DIGEST"
        )
    return value


def product_id(sku: str) -> str:
    """The id of a product: its SKU where that is an id, else a slug and 10 hex digits of its hash.

    A SKU that merely looks like such a slug keeps its own name: the hash makes clashes with
    other SKUs as unlikely as 40 bits can.
    """
    if _ID.fullmatch(sku):
        return sku
    ascii_text = unicodedata.normalize("NFKD", sku).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", ascii_text).strip("-")[:50].strip("-")
    digest = hashlib.sha256(sku.encode("utf-8", "surrogatepass")).hexdigest()[:10]
    return f"{slug}-{digest}" if slug else f"sku-{digest}"


def new_id() -> str:
    """A random id for server-made resources: 26 lower-case base32 characters, time-ordered."""
    return _base32(_uuid7())


def made_at(made_id: str) -> datetime | None:
    """When new_id made it (UTC); None for an id of another making."""
    if len(made_id) != 26 or not set(made_id) <= set(_ALPHABET):
        return None
    value = 0
    for each in made_id:
        value = value << 5 | _ALPHABET.index(each)
    milliseconds = value >> 80
    if not _FIRST_MADE <= milliseconds < 1 << 46:
        return None
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def point_id(catalog: str, product: str, sha256: str) -> str:
    """The vector store's id of one image of one product (UUIDv5, so repeats overwrite)."""
    return str(uuid.uuid5(_POINTS, f"{catalog}/{product}/{sha256}"))


def catalog_name(catalog: str) -> str:
    return f"catalogs/{catalog}"


def product_name(catalog: str, product: str) -> str:
    return f"catalogs/{catalog}/products/{product}"


def image_name(catalog: str, product: str, sha256: str) -> str:
    return f"catalogs/{catalog}/products/{product}/images/{sha256}"


def manifest_name(catalog: str, manifest: str) -> str:
    return f"catalogs/{catalog}/manifests/{manifest}"


def operation_name(operation: str) -> str:
    return f"operations/{operation}"


def model_name(model: str) -> str:
    return f"models/{model}"


def upload_name(upload: str) -> str:
    return f"uploads/{upload}"


def deployment_name(catalog: str, number: int) -> str:
    return f"catalogs/{catalog}/deployments/{number}"


def dataset_name(dataset: str) -> str:
    return f"datasets/{dataset}"


def evaluation_name(evaluation: str) -> str:
    return f"evaluations/{evaluation}"


def calibration_name(catalog: str, model_digest: str, stages: str) -> str:
    """Its id is made of what it is for, so that a newer one replaces it."""
    made = hashlib.sha256(f"{model_digest}\0{stages}".encode()).hexdigest()
    return f"catalogs/{catalog}/calibrations/{made[:16]}"


def feedback_name(catalog: str, feedback: str) -> str:
    return f"catalogs/{catalog}/feedback/{feedback}"


def parse(name: str, pattern: str, field: str = "name") -> tuple[str, ...]:
    """The ids in `name`, which must look like `pattern`, e.g. `catalogs/*/products/*`.

    Raises InvalidArgument that shows the pattern when it does not.
    """
    parts, wanted = name.split("/"), pattern.split("/")
    if len(parts) == len(wanted) and all(
        part and (want == "*" or part == want) for part, want in zip(parts, wanted, strict=True)
    ):
        ids = tuple(part for part, want in zip(parts, wanted, strict=True) if want == "*")
        if all(_ID.fullmatch(each) or _DIGEST.fullmatch(each) for each in ids):
            return ids
    raise InvalidArgument.field(
        field, f"'{name[:200]}' is not a name like '{pattern}'", reason="INVALID_NAME"
    )


def _uuid7() -> int:
    """RFC 9562 version 7 without its fixed bits: milliseconds, 12 bits of their fraction, chance.

    The fraction orders ids that one process makes within a millisecond.
    """
    milliseconds, rest = divmod(time.time_ns(), 1_000_000)
    return milliseconds << 80 | (rest << 12) // 1_000_000 << 68 | secrets.randbits(68)


def _base32(value: int) -> str:
    return "".join(_ALPHABET[value >> shift & 31] for shift in range(125, -1, -5))
