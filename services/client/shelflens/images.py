"""Image files: resolving references below a root, reading and hashing them.

A reference never leads outside its root, not by `..`, an absolute path or a symbolic link.
"""

import hashlib
import os
import stat
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Protocol

from shelflens.errors import InvalidArgument, NotFound

MAX_IMAGE_BYTES = 20 * 1024 * 1024
MAX_PHOTO_BYTES = 7 * 1024 * 1024
_READ_BYTES = 1 << 20
FORMAT_HEAD = 64  # bytes that `image_format` looks at
_AVIF_BRANDS = {b"avif", b"avis"}


class ImageProblem(Exception):
    """Why a reference gives no usable file: `reason` is UPPER_SNAKE, `message` for people."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


@dataclass(frozen=True, slots=True)
class Content:
    """Bytes of one image. `read` gives them in pieces of at most 1 MiB, and raises OSError and
    ImageProblem; it is None where they need not be sent (any more).
    """

    sha256: str
    read: Callable[[], Iterator[bytes]] | None


class ImageSource(Protocol):
    """Where references of a manifest lead. Safe for many threads."""

    def find(self, reference: str) -> Content:
        """The image behind `reference`. Raises ImageProblem."""


@dataclass(frozen=True, slots=True)
class LocalImage:
    """A file as it was found; the three values are the key of its hash."""

    path: str
    size: int
    mtime_ns: int


class ImageFolder:
    """Resolves references below `root`."""

    def __init__(self, root: str | Path) -> None:
        self._root = os.path.realpath(root)
        # Images sit many to a folder: resolving the folder once saves most of the system calls.
        self._real_folder = lru_cache(maxsize=4096)(os.path.realpath)

    def find(self, reference: str) -> LocalImage:
        """The file behind `reference`.

        Raises ImageProblem: IMAGE_OUTSIDE_ROOT, IMAGE_NOT_FOUND, IMAGE_NOT_A_FILE, IMAGE_EMPTY,
        IMAGE_TOO_LARGE.
        """
        try:
            path, found = self._locate(reference)
        except (OSError, ValueError):  # ValueError: a name that no file system takes
            raise ImageProblem("IMAGE_NOT_FOUND", f"no such file below {self._root}") from None
        if not stat.S_ISREG(found.st_mode):
            raise ImageProblem("IMAGE_NOT_A_FILE", "it is not a regular file")
        check_size(found.st_size)
        return LocalImage(path, found.st_size, found.st_mtime_ns)

    def _locate(self, reference: str) -> tuple[str, os.stat_result]:
        folder, name = os.path.split(reference)
        if os.path.isabs(reference) or os.path.splitdrive(reference)[0]:
            raise ImageProblem("IMAGE_OUTSIDE_ROOT", "write it relative to the image root")
        if name in ("", ".", ".."):  # os.path.split leaves a final `..` in the name
            path = os.path.realpath(os.path.join(self._root, reference))
        else:
            path = os.path.join(self._real_folder(os.path.join(self._root, folder)), name)
        if os.path.islink(path):
            path = os.path.realpath(path)
        if path != self._root and not path.startswith(self._root.rstrip(os.sep) + os.sep):
            raise ImageProblem("IMAGE_OUTSIDE_ROOT", f"it leads outside {self._root}")
        return path, os.stat(path)


class HashCache:
    """SHA-256 of files, remembered for at most `capacity` of them. Safe for many threads."""

    def __init__(self, capacity: int = 100_000) -> None:
        self._capacity = capacity
        self._known: OrderedDict[LocalImage, str] = OrderedDict()
        self._lock = threading.Lock()

    def sha256(self, image: LocalImage) -> str:
        """64 hex digits. Raises ImageProblem (IMAGE_UNREADABLE)."""
        with self._lock:
            if known := self._known.get(image):
                self._known.move_to_end(image)
                return known
        try:
            with open(image.path, "rb", buffering=0) as file:
                digest = hashlib.sha256()
                while piece := file.read(_READ_BYTES):
                    digest.update(piece)
        except OSError as error:
            raise ImageProblem("IMAGE_UNREADABLE", error.strerror or str(error)) from None
        with self._lock:
            self._known[image] = digest.hexdigest()
            if len(self._known) > self._capacity:
                self._known.popitem(last=False)
        return digest.hexdigest()


class FolderImages:
    """The images below one folder. With `look_inside`, their format is checked by first bytes."""

    def __init__(self, folder: ImageFolder, *, look_inside: bool = False) -> None:
        self._folder = folder
        self._hashes = HashCache()
        self._look_inside = look_inside

    def find(self, reference: str) -> Content:
        """As `ImageFolder.find`; raises also IMAGE_UNREADABLE, IMAGE_FORMAT_UNSUPPORTED."""
        image = self._folder.find(reference)
        if self._look_inside:
            try:
                with open(image.path, "rb", buffering=0) as file:
                    check_format(file.read(FORMAT_HEAD))
            except OSError as error:
                raise ImageProblem("IMAGE_UNREADABLE", error.strerror or str(error)) from None
        return Content(self._hashes.sha256(image), partial(_pieces, image))


def check_size(size: int) -> None:
    """Raises ImageProblem (IMAGE_EMPTY, IMAGE_TOO_LARGE)."""
    if size == 0:
        raise ImageProblem("IMAGE_EMPTY", "the file is empty")
    if size > MAX_IMAGE_BYTES:
        raise ImageProblem("IMAGE_TOO_LARGE", f"{size} bytes; at most {MAX_IMAGE_BYTES}")


def check_format(head: bytes) -> None:
    """Raises ImageProblem (IMAGE_FORMAT_UNSUPPORTED) by the first 64 bytes of a file."""
    if not image_format(head):
        raise ImageProblem("IMAGE_FORMAT_UNSUPPORTED", "use JPEG, PNG, WebP or AVIF")


def image_format(head: bytes) -> str:
    """jpeg, png, webp or avif, told by the first 64 bytes; empty for anything else."""
    if head.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head[4:8] == b"ftyp":  # its length, the main brand, a version, further brands
        box = head[: max(16, int.from_bytes(head[:4], "big"))]
        brands = {box[8:12], *(box[at : at + 4] for at in range(16, len(box), 4))}
        return "avif" if brands & _AVIF_BRANDS else ""
    return ""


def _pieces(image: LocalImage) -> Iterator[bytes]:
    with open(image.path, "rb", buffering=0) as file:
        while piece := file.read(min(_READ_BYTES, image.size + 1)):
            yield piece


def read_upload(photo: bytes | str | Path, limit: int = MAX_IMAGE_BYTES) -> bytes:
    """The bytes of a photo given as bytes or as a path.

    Raises NotFound (FILE_NOT_FOUND) and InvalidArgument (FILE_UNREADABLE, IMAGE_TOO_LARGE,
    IMAGE_EMPTY).
    """
    shown = f"{len(photo)} bytes" if isinstance(photo, bytes) else str(photo)
    if isinstance(photo, bytes):
        data = photo
    else:
        try:
            with open(photo, "rb") as file:
                data = file.read(limit + 1)
        except FileNotFoundError:
            raise NotFound(f"{photo} does not exist", reason="FILE_NOT_FOUND") from None
        except OSError as error:
            raise InvalidArgument(f"{photo}: {error.strerror}", reason="FILE_UNREADABLE") from None
    if len(data) > limit:
        raise InvalidArgument(f"{shown} is larger than {limit >> 20} MiB", reason="IMAGE_TOO_LARGE")
    if not data:
        raise InvalidArgument(f"{shown} is empty", reason="IMAGE_EMPTY")
    return data
