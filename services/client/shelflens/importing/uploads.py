"""What happens to one batch: its images are found, hashed and uploaded, its lines written.

Several batches are under way at a time, each in a thread, so that hashing overlaps with sending.
"""

import threading
from typing import TYPE_CHECKING

from shelflens.images import Content, ImageProblem, ImageSource
from shelflens.importing.batches import Batch, Finished
from shelflens.importing.contents import ContentUploader
from shelflens.importing.references import remote_entry
from shelflens.manifests import wire

if TYPE_CHECKING:
    from shelflens.client import Client


class BatchUploader:
    """Turns batches into manifest lines; called from several threads at a time."""

    def __init__(
        self,
        client: "Client",
        catalog: str,
        images: ImageSource,
        stop: threading.Event,
        *,
        validate_only: bool = False,
    ) -> None:
        """With `validate_only` images are found and hashed, and none is sent."""
        self._images = images
        self._stop = stop
        self._contents = ContentUploader(client, catalog, stop, validate_only=validate_only)

    def __call__(self, batch: Batch) -> Finished:
        """Uploads what the server lacks of a batch. Raises ShelflensError."""
        contents: dict[str, Content] = {}
        entries = {
            reference: self._entry(reference, contents)
            for row in batch.rows
            for reference in row.images or ()
        }
        sent = self._contents.send(contents)
        for entry in entries.values():
            if problem := sent.problems.get(entry.get("sha256", "")):
                del entry["sha256"]
                entry["error"], entry["message"] = problem.reason, problem.message
        lines = [
            wire.encode(row, [entries[each] for each in row.images or ()]) for row in batch.rows
        ]
        return Finished(
            lines=b"".join(lines),
            rows=len(batch.rows),
            problems=sum("error" in entry for entry in entries.values())
            + sum(row.problem is not None for row in batch.rows),
            images=len(entries),
            uploaded_images=len(sent.sizes),
            uploaded_bytes=sum(sent.sizes.values()),
            position=batch.position,
        )

    def _entry(self, reference: str, contents: dict[str, Content]) -> wire.ImageEntry:
        if self._stop.is_set():
            return {"source": reference}
        try:
            if remote := remote_entry(reference):
                return remote
            content = self._images.find(reference)
        except ImageProblem as problem:
            return {"source": reference, "error": problem.reason, "message": problem.message}
        if content.read is not None:
            contents[content.sha256] = content
        return {"source": reference, "sha256": content.sha256}
