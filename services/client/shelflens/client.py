"""The blocking client.

with Client("127.0.0.1:50051") as client:
    client.import_products("shop", "products.csv")
    for result in client.search("shop", "photo.jpg").results:
        print(result.sku, result.score)
"""

import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Concatenate, ParamSpec, Self, TypeVar, Unpack

import grpc

from shelflens import values
from shelflens.calls import (
    catalogs,
    contents,
    dead_letters,
    evaluations,
    feedback,
    images,
    models,
    operations,
    products,
)
from shelflens.calls.call import Call, Pages, describe
from shelflens.calls.images import Photo
from shelflens.calls.search import Answer, PhotoStream, SearchOptions, search_products
from shelflens.channel import OPTIONS, Stubs, choose_target
from shelflens.downloads import Downloads
from shelflens.errors import DeadlineExceeded, Unavailable
from shelflens.faults import from_rpc
from shelflens.importing.options import ImportOptions
from shelflens.importing.progress import OnNote, OnProgress, Progress, ignore
from shelflens.importing.run import Import
from shelflens.waiting import Patience
from shelflens.weights import OnWeights, WeightsUpload

P = ParamSpec("P")
R = TypeVar("R")


def _blocking(build: Callable[P, Call[R]]) -> Callable[Concatenate["Client", P], R]:
    def method(self: "Client", /, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.run(build(*args, **kwargs))

    describe(method, build)
    return method


def _paging(build: Callable[P, Pages[R]]) -> Callable[Concatenate["Client", P], Iterator[R]]:
    def method(self: "Client", /, *args: P.args, **kwargs: P.kwargs) -> Iterator[R]:
        return self.run_pages(build(*args, **kwargs))

    describe(method, build)
    return method


class Client(Downloads):
    """Talks to one server; safe to use from many threads.

    `target` is "host:port" (default: SHELFLENS_TARGET, else 127.0.0.1:50051); `timeout` is the
    deadline of a single call in seconds. Every method raises ShelflensError (shelflens.errors).
    """

    create_catalog = _blocking(catalogs.create_catalog)
    get_catalog = _blocking(catalogs.get_catalog)
    list_catalogs = _paging(catalogs.list_catalogs)
    update_catalog = _blocking(catalogs.update_catalog)
    delete_catalog = _blocking(catalogs.delete_catalog)

    create_product = _blocking(products.create_product)
    get_product = _blocking(products.get_product)
    list_products = _paging(products.list_products)
    update_product = _blocking(products.update_product)
    delete_product = _blocking(products.delete_product)

    upload_image = _blocking(images.upload_image)
    get_image = _blocking(images.get_image)
    list_images = _paging(images.list_images)
    delete_image = _blocking(images.delete_image)
    import_manifest = _blocking(images.import_manifest)

    create_model = _blocking(models.create_model)
    get_model = _blocking(models.get_model)
    list_models = _paging(models.list_models)
    delete_model = _blocking(models.delete_model)

    deploy = _blocking(models.deploy)
    list_deployments = _paging(models.list_deployments)
    rollback = _blocking(models.rollback)
    delete_deployment = _blocking(models.delete_deployment)

    erase = _blocking(contents.erase)

    search = _blocking(search_products)

    create_dataset = _blocking(evaluations.create_dataset)
    get_dataset = _blocking(evaluations.get_dataset)
    list_datasets = _paging(evaluations.list_datasets)
    delete_dataset = _blocking(evaluations.delete_dataset)
    create_evaluation = _blocking(evaluations.create_evaluation)
    get_evaluation = _blocking(evaluations.get_evaluation)
    list_evaluations = _paging(evaluations.list_evaluations)
    cancel_evaluation = _blocking(evaluations.cancel_evaluation)
    delete_evaluation = _blocking(evaluations.delete_evaluation)
    list_calibrations = _blocking(evaluations.list_calibrations)
    delete_calibration = _blocking(evaluations.delete_calibration)

    record_feedback = _blocking(feedback.record_feedback)
    list_feedback = _paging(feedback.list_feedback)

    get_operation = _blocking(operations.get_operation)
    list_operations = _paging(operations.list_operations)
    cancel_operation = _blocking(operations.cancel_operation)
    delete_operation = _blocking(operations.delete_operation)

    list_dead_letters = _paging(dead_letters.list_dead_letters)
    get_dead_letter = _blocking(dead_letters.get_dead_letter)
    retry_dead_letter = _blocking(dead_letters.retry_dead_letter)
    delete_dead_letter = _blocking(dead_letters.delete_dead_letter)

    def __init__(self, target: str | None = None, *, timeout: float = 30.0) -> None:
        self.target = choose_target(target)
        self.timeout = timeout
        self._answered = False  # whether a call has ever succeeded
        self._stubs = Stubs(grpc.insecure_channel(self.target, options=OPTIONS))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connection; calls that still run are cancelled."""
        self._stubs.channel.close()

    def run(self, call: Call[R]) -> R:
        """Makes one call that a builder in `shelflens.calls` described."""
        rpc = getattr(getattr(self._stubs, call.service), call.rpc)
        try:
            answer = rpc(call.sendable, timeout=call.timeout or self.timeout)
        except grpc.RpcError as error:
            raise from_rpc(error, self.target) from None
        self._answered = True
        return call.convert(answer)

    def run_pages(self, pages: Pages[R]) -> Iterator[R]:
        """All items of a List call, fetching pages as they are needed."""
        token, more = "", True
        while more:
            items, token = self.run(pages.page(token))
            yield from items
            more = bool(token)

    def search_many(
        self,
        catalog: str,
        photos: Iterable[tuple[str, Photo]],
        **options: Unpack[SearchOptions],
    ) -> Iterator[Answer]:
        """Searches for many photos on one stream.

        `photos` gives (correlation_id, photo); answers come as (correlation_id, SearchResponse or
        ShelflensError), perhaps in another order. One bad photo does not end the stream.
        """
        stream = PhotoStream(catalog, options)
        requests = stream.requests(photos)
        answers = self._stubs.search.StreamSearchProducts(requests)
        try:
            for message in answers:
                yield stream.answer(message)
        except grpc.RpcError as error:
            stream.raise_if_photos_failed()
            raise from_rpc(error, self.target) from None
        finally:
            answers.cancel()
        stream.raise_if_photos_failed()

    def upload_weights(
        self, path: str | Path, *, sha256: str = "", on_progress: OnWeights = ignore
    ) -> str:
        """Sends a file of weights; returns its name for `create_model`: `uploads/...`.

        The file is a .safetensors, or a state dict without code (.pth, .pt, .bin). With `sha256`,
        one that has another is not sent. `on_progress` is called from another thread.
        """
        return WeightsUpload(path, sha256=sha256, on_progress=on_progress).send(self)

    def wait_operation(
        self,
        operation: str,
        *,
        timeout: float | None = None,
        on_progress: Callable[[values.Operation], object] = ignore,
    ) -> values.Operation:
        """Waits until an operation is done, through restarts of the server, and returns it.

        A failed operation is returned, not raised: see `Operation.raise_for_error`. Raises
        DeadlineExceeded (WAIT_TIMED_OUT) after `timeout` seconds; the operation then runs on.
        """
        patience = Patience(operation, timeout, answered=self._answered)
        while True:
            step = operations.wait_once(operation, patience.next_step())
            try:
                found = self.run(step)
            except (Unavailable, DeadlineExceeded) as error:
                time.sleep(patience.failed(error))
                continue
            pause = patience.answered()
            on_progress(found)
            if found.done:
                return found
            time.sleep(pause)

    def import_products(
        self,
        catalog: str,
        source: str | Path,
        *,
        wait: bool = True,
        on_progress: OnProgress = ignore,
        on_note: OnNote = ignore,
        **options: Unpack[ImportOptions],
    ) -> values.Operation:
        """Imports a manifest (CSV, JSON Lines, Parquet), an archive or a directory of images.

        Makes the catalogue when it is missing, uploads the image bytes that the server does not
        have, and waits for the import unless `wait` is false. `on_note` hears what was decided
        (columns, encoding), `on_progress` how far it is; see ImportOptions for the others. Single
        bad rows end up in the operation's rejections and raise nothing.
        """
        operation = Import(
            self, catalog, source, on_progress=on_progress, on_note=on_note, **options
        ).upload_and_start()
        if not wait:
            return operation

        def report(found: values.Operation) -> None:
            on_progress(Progress.of_operation(found))

        return self.wait_operation(operation.name, on_progress=report)

    def make_dataset(
        self,
        dataset: str,
        catalog: str,
        queries: str | Path,
        *,
        allow_absent: bool = False,
        wait: bool = True,
        on_progress: OnProgress = ignore,
        on_note: OnNote = ignore,
        **options: Unpack[ImportOptions],
    ) -> values.Dataset:
        """Freezes the photos that a manifest or a directory lists, each with its SKU, as queries,
        and the images of `catalog` as the gallery; see ImportOptions for how they are read.

        Waits until it is made unless `wait` is false; one that could not be made is returned, with
        its error. With `allow_absent`, queries whose product is not in the catalogue are kept.
        """
        upload = Import(self, catalog, queries, on_progress=on_progress, on_note=on_note, **options)
        manifest = upload.upload(make_catalog=False)
        made = self.create_dataset(
            dataset, catalog, manifest, allow_absent=allow_absent, display_name=upload.name
        )
        if wait:
            self.wait_operation(made.operation)
            made = self.get_dataset(dataset)
        return made
