"""The asyncio client: the methods of `shelflens.client.Client`, awaited.

async with AsyncClient("127.0.0.1:50051") as client:
    answer = await client.search("shop", "photo.jpg")
    async for product in client.list_products("shop"):
        print(product.sku)
"""

import asyncio
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
)
from functools import partial
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, Self, TypeVar, Unpack

import grpc
import grpc.aio

from shelflens import values
from shelflens.aio_downloads import AsyncDownloads
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
from shelflens.client import Client
from shelflens.errors import DeadlineExceeded, Unavailable
from shelflens.faults import from_rpc
from shelflens.importing.in_thread import in_thread
from shelflens.importing.options import ImportOptions
from shelflens.importing.progress import OnNote, OnProgress, Progress, ignore
from shelflens.importing.run import Import
from shelflens.waiting import Patience
from shelflens.weights import OnWeights, WeightsUpload

P = ParamSpec("P")
R = TypeVar("R")


def _awaiting(
    build: Callable[P, Call[R]],
) -> Callable[Concatenate["AsyncClient", P], Awaitable[R]]:
    async def method(self: "AsyncClient", /, *args: P.args, **kwargs: P.kwargs) -> R:
        return await self.run(build(*args, **kwargs))

    describe(method, build)
    return method


def _paging(
    build: Callable[P, Pages[R]],
) -> Callable[Concatenate["AsyncClient", P], AsyncIterator[R]]:
    def method(self: "AsyncClient", /, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[R]:
        return self.run_pages(build(*args, **kwargs))

    describe(method, build)
    return method


class AsyncClient(AsyncDownloads):
    """Talks to one server from one event loop; arguments as for `Client`."""

    create_catalog = _awaiting(catalogs.create_catalog)
    get_catalog = _awaiting(catalogs.get_catalog)
    list_catalogs = _paging(catalogs.list_catalogs)
    update_catalog = _awaiting(catalogs.update_catalog)
    delete_catalog = _awaiting(catalogs.delete_catalog)

    create_product = _awaiting(products.create_product)
    get_product = _awaiting(products.get_product)
    list_products = _paging(products.list_products)
    update_product = _awaiting(products.update_product)
    delete_product = _awaiting(products.delete_product)

    upload_image = _awaiting(images.upload_image)
    get_image = _awaiting(images.get_image)
    list_images = _paging(images.list_images)
    delete_image = _awaiting(images.delete_image)
    import_manifest = _awaiting(images.import_manifest)

    create_model = _awaiting(models.create_model)
    get_model = _awaiting(models.get_model)
    list_models = _paging(models.list_models)
    delete_model = _awaiting(models.delete_model)

    deploy = _awaiting(models.deploy)
    list_deployments = _paging(models.list_deployments)
    rollback = _awaiting(models.rollback)
    delete_deployment = _awaiting(models.delete_deployment)

    erase = _awaiting(contents.erase)

    search = _awaiting(search_products)

    create_dataset = _awaiting(evaluations.create_dataset)
    get_dataset = _awaiting(evaluations.get_dataset)
    list_datasets = _paging(evaluations.list_datasets)
    delete_dataset = _awaiting(evaluations.delete_dataset)
    create_evaluation = _awaiting(evaluations.create_evaluation)
    get_evaluation = _awaiting(evaluations.get_evaluation)
    list_evaluations = _paging(evaluations.list_evaluations)
    cancel_evaluation = _awaiting(evaluations.cancel_evaluation)
    delete_evaluation = _awaiting(evaluations.delete_evaluation)
    list_calibrations = _awaiting(evaluations.list_calibrations)
    delete_calibration = _awaiting(evaluations.delete_calibration)

    record_feedback = _awaiting(feedback.record_feedback)
    list_feedback = _paging(feedback.list_feedback)

    get_operation = _awaiting(operations.get_operation)
    list_operations = _paging(operations.list_operations)
    cancel_operation = _awaiting(operations.cancel_operation)
    delete_operation = _awaiting(operations.delete_operation)

    list_dead_letters = _paging(dead_letters.list_dead_letters)
    get_dead_letter = _awaiting(dead_letters.get_dead_letter)
    retry_dead_letter = _awaiting(dead_letters.retry_dead_letter)
    delete_dead_letter = _awaiting(dead_letters.delete_dead_letter)

    def __init__(self, target: str | None = None, *, timeout: float = 30.0) -> None:
        self.target = choose_target(target)
        self.timeout = timeout
        self._answered = False  # whether a call has ever succeeded
        self._stubs = Stubs(grpc.aio.insecure_channel(self.target, options=OPTIONS))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends the connection; calls that still run are cancelled."""
        await self._stubs.channel.close()

    async def run(self, call: Call[R]) -> R:
        """Makes one call that a builder in `shelflens.calls` described."""
        rpc = getattr(getattr(self._stubs, call.service), call.rpc)
        try:
            answer = await rpc(call.sendable, timeout=call.timeout or self.timeout)
        except grpc.RpcError as error:
            raise from_rpc(error, self.target) from None
        self._answered = True
        return call.convert(answer)

    async def run_pages(self, pages: Pages[R]) -> AsyncIterator[R]:
        """All items of a List call, fetching pages as they are needed."""
        token, more = "", True
        while more:
            items, token = await self.run(pages.page(token))
            for item in items:
                yield item
            more = bool(token)

    async def search_many(
        self,
        catalog: str,
        photos: AsyncIterable[tuple[str, Photo]],
        **options: Unpack[SearchOptions],
    ) -> AsyncIterator[Answer]:
        """As `Client.search_many`, with photos and answers as async iterators."""
        stream = PhotoStream(catalog, options)
        answers = self._stubs.search.StreamSearchProducts(stream.requests_async(photos))
        try:
            async for message in answers:
                yield stream.answer(message)
        except grpc.RpcError as error:
            stream.raise_if_photos_failed()
            raise from_rpc(error, self.target) from None
        finally:
            answers.cancel()
        stream.raise_if_photos_failed()

    async def upload_weights(
        self, path: str | Path, *, sha256: str = "", on_progress: OnWeights = ignore
    ) -> str:
        """As `Client.upload_weights`; a thread reads and sends, `on_progress` is called in the
        event loop."""
        loop = asyncio.get_running_loop()
        upload = WeightsUpload(
            path,
            sha256=sha256,
            on_progress=lambda each: loop.call_soon_threadsafe(on_progress, each),
        )
        with Client(self.target, timeout=self.timeout) as client:
            try:
                return await asyncio.to_thread(upload.send, client)
            except asyncio.CancelledError:
                upload.stop()
                raise

    async def wait_operation(
        self,
        operation: str,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - the same arguments as the blocking one
        on_progress: Callable[[values.Operation], object] = ignore,
    ) -> values.Operation:
        """As `Client.wait_operation`."""
        patience = Patience(operation, timeout, answered=self._answered)
        while True:
            step = operations.wait_once(operation, patience.next_step())
            try:
                found = await self.run(step)
            except (Unavailable, DeadlineExceeded) as error:
                await asyncio.sleep(patience.failed(error))
                continue
            pause = patience.answered()
            on_progress(found)
            if found.done:
                return found
            await asyncio.sleep(pause)

    async def import_products(
        self,
        catalog: str,
        source: str | Path,
        *,
        wait: bool = True,
        on_progress: OnProgress = ignore,
        on_note: OnNote = ignore,
        **options: Unpack[ImportOptions],
    ) -> values.Operation:
        """As `Client.import_products`; files are read and sent by threads.

        `on_progress` and `on_note` are called in the event loop. Cancelling stops the upload; an
        import that the server has started runs on.
        """
        operation = await self._with_import(
            Import.upload_and_start, catalog, source, on_progress, on_note, options
        )
        if not wait:
            return operation
        return await self.wait_operation(
            operation.name, on_progress=lambda each: on_progress(Progress.of_operation(each))
        )

    async def make_dataset(
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
        """As `Client.make_dataset`; files are read and sent by threads."""
        manifest = await self._with_import(
            partial(Import.upload, make_catalog=False),
            catalog,
            queries,
            on_progress,
            on_note,
            options,
        )
        made = await self.create_dataset(
            dataset, catalog, manifest, allow_absent=allow_absent, display_name=Path(queries).name
        )
        if wait:
            await self.wait_operation(made.operation)
            made = await self.get_dataset(dataset)
        return made

    async def _with_import(self, work: Callable[[Import], R], *source: Any) -> R:
        with Client(self.target, timeout=self.timeout) as client:
            return await in_thread(client, work, *source)
