"""Answers that come in pieces, for the asyncio client."""

from collections.abc import AsyncIterator
from typing import Any

import grpc

from shelflens import convert, values
from shelflens.calls import contents, evaluations, feedback, images
from shelflens.channel import Stubs
from shelflens.faults import from_rpc


class AsyncDownloads:
    """The methods of `AsyncClient` whose answers are streams."""

    target: str
    timeout: float
    _stubs: Stubs

    async def download_image(self, image: str) -> bytes:
        """The stored bytes of one image."""
        request = images.download_request(image)
        answers = self._stubs.catalogs.DownloadImage(request, timeout=self.timeout)
        return b"".join([each.data async for each in self._messages(answers)])

    async def download_import_errors(self, operation: str) -> AsyncIterator[bytes]:
        """As `Client.download_import_errors`."""
        request = contents.errors_request(operation)
        async for each in self._messages(self._stubs.catalogs.DownloadImportErrors(request)):
            yield each.data

    async def export_embeddings(self, catalog: str) -> AsyncIterator[values.ImageEmbedding]:
        """As `Client.export_embeddings`."""
        request = contents.embeddings_request(catalog)
        async for message in self._messages(self._stubs.catalogs.ExportEmbeddings(request)):
            for each in convert.embeddings(message):
                yield each

    async def watch_evaluation(self, evaluation: str) -> AsyncIterator[values.Evaluation]:
        """As `Client.watch_evaluation`."""
        request = evaluations.watch_request(evaluation)
        async for message in self._messages(self._stubs.evaluations.WatchEvaluation(request)):
            yield convert.evaluation(message)

    async def download_report(self, evaluation: str) -> AsyncIterator[bytes]:
        """As `Client.download_report`."""
        request = evaluations.report_request(evaluation)
        async for each in self._messages(self._stubs.evaluations.DownloadReport(request)):
            yield each.data

    async def download_feedback_photo(self, feedback_: str) -> bytes:
        """The photo that was kept with feedback."""
        request = feedback.photo_request(feedback_)
        answers = self._stubs.search.DownloadFeedbackPhoto(request, timeout=self.timeout)
        return b"".join([each.data async for each in self._messages(answers)])

    async def _messages(self, answers: Any) -> AsyncIterator[Any]:
        try:
            async for message in answers:
                yield message
        except grpc.RpcError as error:
            raise from_rpc(error, self.target) from None
        finally:
            answers.cancel()
