"""Pictures of what was rejected, for a page: files as they are, never decoded here."""

import base64
from pathlib import Path

from shelflens.errors import InvalidArgument
from shelflens.images import FORMAT_HEAD, ImageFolder, ImageProblem, image_format
from shelflens.reports.picture_size import picture_size

MAX_FILE_BYTES = 200_000
MAX_PAGE_BYTES = 5_000_000
MAX_PIXELS = 25_000_000


class Thumbnails:
    """Files below `root` as data URIs: small ones of formats that browsers show safely.

    At most MAX_PAGE_BYTES of them in all. Raises InvalidArgument (IMAGES_NOT_A_FOLDER).
    """

    def __init__(self, root: str | Path) -> None:
        if not Path(root).is_dir():
            raise InvalidArgument(
                f"{root} is no folder: give the folder that image paths start from",
                reason="IMAGES_NOT_A_FOLDER",
            )
        self._folder = ImageFolder(root)
        self._left = MAX_PAGE_BYTES

    def uri(self, reference: str) -> str:
        """A data URI of the file. Raises ImageProblem, which says why there is none."""
        image = self._folder.find(reference)
        if image.size > MAX_FILE_BYTES:
            raise ImageProblem("NOT_SHOWN", f"{image.size} bytes; shown up to {MAX_FILE_BYTES}")
        if image.size > self._left:
            raise ImageProblem("NOT_SHOWN", "the page has enough pictures")
        try:
            with open(image.path, "rb") as file:
                data = file.read(MAX_FILE_BYTES + 1)
        except OSError as error:
            raise ImageProblem("IMAGE_UNREADABLE", error.strerror or str(error)) from None
        kind = image_format(data[:FORMAT_HEAD])
        size = picture_size(data, kind)
        if len(data) > MAX_FILE_BYTES or size is None:
            raise ImageProblem("NOT_SHOWN", "no JPEG, PNG, WebP or AVIF")
        if not 0 < size[0] * size[1] <= MAX_PIXELS:
            raise ImageProblem("NOT_SHOWN", f"claims {size[0]} x {size[1]} pixels")
        self._left -= len(data)
        return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
