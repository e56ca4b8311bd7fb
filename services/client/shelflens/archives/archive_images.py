"""References of a manifest, resolved among the members of an archive."""

import hashlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

from shelflens.archives.index import Entry, MemberIndex
from shelflens.archives.names import resolve
from shelflens.archives.zip_members import read_member
from shelflens.images import FORMAT_HEAD, Content, ImageProblem, check_format

Load = Callable[[Entry], Content]


class ArchiveImages:
    """Finds members by references that start in `folder` of the archive."""

    def __init__(self, index: MemberIndex, folder: str, load: Load) -> None:
        """`load` gives the content of a member that is no problem."""
        self._index = index
        self._folder = folder
        self._load = load

    def find(self, reference: str) -> Content:
        """Raises ImageProblem: IMAGE_OUTSIDE_ROOT, IMAGE_NOT_FOUND and the member's own."""
        name = resolve(self._folder, reference)
        entry = self._index.find(name)
        if entry is None:
            raise ImageProblem("IMAGE_NOT_FOUND", f"the archive has no {name[:200]!r}")
        self._index.use(entry.name)
        if entry.problem:
            raise entry.problem
        return self._load(entry)


def no_file() -> ImageProblem:
    """The problem of a member that is no file."""
    return ImageProblem(
        "IMAGE_NOT_A_FILE",
        "it is a link or a device in the archive; pack it with --dereference --hard-dereference",
    )


def load_sent(index: MemberIndex, entry: Entry) -> Content:
    """A member whose bytes went to the server when it was met."""
    if not entry.sha256:
        raise ImageProblem("IMAGE_UNREADABLE", "it was passed over; repeat the import")
    if problem := index.refusal(entry.sha256):
        raise problem
    return Content(entry.sha256, None)


def load_from_zip(path: Path, index: MemberIndex, entry: Entry) -> Content:
    """A member of a zip archive, hashed at the first time."""
    read = partial(read_member, path, entry.name, entry.size, entry.stored)
    if entry.sha256:
        return Content(entry.sha256, read)
    head, digest = b"", hashlib.sha256()
    try:
        for piece in read():
            if not head:
                head = piece[:FORMAT_HEAD]
                check_format(head)
            digest.update(piece)
    except ImageProblem as problem:
        index.settle(entry.name, "", problem)
        raise
    except OSError as error:
        raise ImageProblem("IMAGE_UNREADABLE", error.strerror or str(error)) from None
    index.settle(entry.name, digest.hexdigest())
    return Content(digest.hexdigest(), read)
