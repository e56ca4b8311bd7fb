"""Answers that come in pieces, for the blocking client."""

from collections.abc import Iterator
from typing import Any

import grpc

from shelflens import convert, values
from shelflens.calls import contents, evaluations, feedback, images
from shelflens.channel import Stubs
from shelflens.faults import from_rpc


class Downloads:
    """The methods of `Client` whose answers are streams."""

    target: str
    timeout: float
    _stubs: Stubs

    def download_image(self, image: str) -> bytes:
        """The stored bytes of one image."""
        request = images.download_request(image)
        answers = self._stubs.catalogs.DownloadImage(request, timeout=self.timeout)
        return b"".join(each.data for each in self._messages(answers))

    def download_import_errors(self, operation: str) -> Iterator[bytes]:
        """Every rejection of a finished import as CSV, in pieces (UTF-8, with a header line).

        Cells that a spreadsheet would run stand behind an apostrophe.
        """
        request = contents.errors_request(operation)
        answers = self._stubs.catalogs.DownloadImportErrors(request)
        return (each.data for each in self._messages(answers))

    def export_embeddings(self, catalog: str) -> Iterator[values.ImageEmbedding]:
        """The embeddings of a catalogue's searchable images, in no promised order."""
        request = contents.embeddings_request(catalog)
        for message in self._messages(self._stubs.catalogs.ExportEmbeddings(request)):
            yield from convert.embeddings(message)

    def watch_evaluation(self, evaluation: str) -> Iterator[values.Evaluation]:
        """The evaluation as it is now, and whenever it has changed, until it is done."""
        request = evaluations.watch_request(evaluation)
        for message in self._messages(self._stubs.evaluations.WatchEvaluation(request)):
            yield convert.evaluation(message)

    def download_report(self, evaluation: str) -> Iterator[bytes]:
        """The report of a finished evaluation, one HTML file, in pieces."""
        request = evaluations.report_request(evaluation)
        answers = self._stubs.evaluations.DownloadReport(request)
        return (each.data for each in self._messages(answers))

    def download_feedback_photo(self, feedback_: str) -> bytes:
        """The photo that was kept with feedback."""
        request = feedback.photo_request(feedback_)
        answers = self._stubs.search.DownloadFeedbackPhoto(request, timeout=self.timeout)
        return b"".join(each.data for each in self._messages(answers))

    def _messages(self, answers: Any) -> Iterator[Any]:
        try:
            yield from answers
        except grpc.RpcError as error:
            raise from_rpc(error, self.target) from None
        finally:
            answers.cancel()
