"""The bytes of images by their hash: stored here, or left where they lie and referred to.

A reference is a small object that names another one below `incoming/`. Bytes that are stored go
before a reference; what a reference leads to is believed only if it has the hash.
"""

import hashlib
import json
from collections.abc import Sequence

from services.core.domain.errors import DataLoss, InvalidArgument, NotFound
from services.core.domain.keys import IMAGE_REFERENCES, image_key, image_reference_key, incoming_key
from services.core.ports import ObjectStore


def is_stored(objects: ObjectStore, sha256: str) -> bool:
    """Whether there are bytes to read, without reading them."""
    if objects.size(image_key(sha256)) is not None:
        return True
    try:
        target = _target(objects, sha256)
    except DataLoss:  # new bytes are welcome
        return False
    return target is not None and objects.size(target) is not None


def absent(objects: ObjectStore, sha256s: Sequence[str]) -> list[str]:
    """Those without bytes to read, in their order.

    Most object stores hold no reference at all, which one look at the store tells instead of one
    for every image.
    """
    gone = [each for each in sha256s if objects.size(image_key(each)) is None]
    if not gone or next(iter(objects.keys(IMAGE_REFERENCES)), None) is None:
        return gone
    return [each for each in gone if not is_stored(objects, each)]


def read_image(objects: ObjectStore, sha256: str) -> bytes:
    """All bytes, which have the hash.

    Raises NotFound (IMAGE_MISSING where a reference leads nowhere), DataLoss (DIGEST_MISMATCH).
    """
    try:
        return objects.get(image_key(sha256))
    except NotFound:
        if (target := _target(objects, sha256)) is None:
            raise
    try:
        data = objects.get(target)
    except NotFound:
        raise NotFound(
            f"image {sha256} was imported by reference, and {target} is gone: put it back, or "
            "import the image again",
            reason="IMAGE_MISSING",
            metadata={"object": target},
        ) from None
    if hashlib.sha256(data).hexdigest() != sha256:
        raise DataLoss(
            f"image {sha256} was imported by reference, and {target} has other bytes now: import "
            "it again",
            metadata={"object": target},
        )
    return data


def refer(objects: ObjectStore, sha256: str, target: str) -> None:
    """From now on the image's bytes are those of the object `target`, unless they are stored.

    Raises InvalidArgument (OBJECT_KEY_INVALID) unless that lies below `incoming/`.
    """
    content = json.dumps({"object": incoming_key(target)}).encode()
    if objects.size(image_key(sha256)) is None:
        objects.put(image_reference_key(sha256), content)


def has_traces(objects: ObjectStore, sha256: str) -> bool:
    """Whether `forget` would remove anything."""
    keys = (image_key(sha256), image_reference_key(sha256))
    return any(objects.size(key) is not None for key in keys)


def forget(objects: ObjectStore, sha256: str) -> None:
    """Removes the stored bytes and the reference; what that leads to stays."""
    objects.delete(image_key(sha256))
    objects.delete(image_reference_key(sha256))


def _target(objects: ObjectStore, sha256: str) -> str | None:
    try:
        return incoming_key(json.loads(objects.get(image_reference_key(sha256)))["object"])
    except NotFound:
        return None
    except (ValueError, KeyError, TypeError, InvalidArgument) as error:
        raise DataLoss(f"the reference of image {sha256} is damaged: {error}") from error
