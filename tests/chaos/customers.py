"""Those who use the cluster all the time: two importers, an editor, a searcher."""

import hashlib
import random
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import grpc

from shelflens import Client
from shelflens.calls.search import search_products
from shelflens.errors import AlreadyExists, NotFound, ShelflensError
from shelflens.v1 import search_pb2_grpc
from tests.chaos.feeds import Feed, picture
from tests.chaos.journal import Import, Journal, Search, Upload, Write

FED, SHOP = "fed", "shop"  # catalogues: one by full feeds alone, one that is edited as well
DEFAULT_DEADLINE = 10.0  # of the gateway, for calls that bring none
SHORT_DEADLINE = 3.0
_NO_ANSWER = 90.0  # seconds after which a search without a deadline is given up
_CALL_SECONDS = 10.0
_PAUSES = {"import": (1.0, 4.0), "edit": (0.2, 0.8), "search": (0.1, 0.4)}


class Customer(threading.Thread, ABC):
    """Repeats `act` until it is stopped. `broken` says which error `act` did not expect."""

    def __init__(self, name: str, target: str, seed: int, journal: Journal) -> None:
        super().__init__(name=name, daemon=True)
        self.target = target
        self.rng = random.Random(f"{seed}:{name}")
        self.journal = journal
        self.stopping = threading.Event()
        self.broken = ""

    @abstractmethod
    def act(self) -> None:
        """One thing that a customer does."""

    def run(self) -> None:
        pauses = _PAUSES[self.name.split("-")[0]]
        try:
            while not self.stopping.is_set():
                self.act()
                self.stopping.wait(self.rng.uniform(*pauses))
        except Exception as error:
            self.broken = f"{self.name}: {type(error).__name__}: {error}"
            self.journal.line("customer.broken", error=self.broken)


class Importer(Customer):
    """Imports one version of a feed after the other."""

    def __init__(self, catalog: str, feed: Feed, prune: bool, *rest: Any) -> None:
        super().__init__(f"import-{catalog}", *rest)
        self._catalog = catalog
        self._feed = feed
        self._prune = prune

    def act(self) -> None:
        version = self._feed.next_version()
        with Client(self.target) as client:
            try:
                rules: dict[str, Any] = {"prune": True, "max_removals": 1.0} if self._prune else {}
                operation = client.import_products(
                    self._catalog, version.manifest, wait=False, **rules
                ).name
            except ShelflensError as error:
                self.journal.line("import.unacknowledged", version=version.name, error=str(error))
                operation = ""
            self.journal.note(Import(self._catalog, version, self._prune, operation))
            while operation and not self.stopping.is_set():
                try:
                    client.wait_operation(operation, timeout=5)
                    return
                except ShelflensError:
                    self.stopping.wait(0.5)


class Editor(Customer):
    """Creates, changes and deletes single products, and adds images to some that stay."""

    def __init__(self, catalog: str, contested: list[str], *rest: Any) -> None:
        super().__init__(f"edit-{catalog}", *rest)
        self._catalog = catalog
        self._contested = contested
        self._alive: list[str] = []
        self._kept: list[str] = []
        self._number = 0

    def act(self) -> None:
        self._number += 1
        actions: list[Callable[[Client], None]] = [self._create, self._change_imported]
        actions += [self._keep_one] if len(self._kept) < 5 else [self._upload, self._upload]
        if self._alive:
            actions += [self._change, self._change, self._remove]
        with Client(self.target, timeout=_CALL_SECONDS) as client:
            self.rng.choice(actions)(client)

    def _create(self, client: Client) -> None:
        if self._made(client, f"E-{self._number}"):
            self._alive.append(f"E-{self._number}")

    def _keep_one(self, client: Client) -> None:
        if self._made(client, f"U-{self._number}"):
            self._kept.append(f"U-{self._number}")

    def _change(self, client: Client) -> None:
        self._retitle(client, self.rng.choice(self._alive))

    def _change_imported(self, client: Client) -> None:
        self._retitle(client, self.rng.choice(self._contested))

    def _made(self, client: Client, sku: str) -> bool:
        title = f"{sku} made"
        return self._write(
            sku, title, lambda: client.create_product(self._catalog, sku, title=title).revision
        )

    def _retitle(self, client: Client, sku: str) -> None:
        title = f"{sku} edit {self._number}"
        name = f"{self._catalog}/{sku}"
        self._write(sku, title, lambda: client.update_product(name, title=title).revision)

    def _remove(self, client: Client) -> None:
        sku = self._alive.pop(self.rng.randrange(len(self._alive)))
        self._write(sku, None, lambda: client.delete_product(f"{self._catalog}/{sku}"))

    def _write(self, sku: str, title: str | None, call: Callable[[], int]) -> bool:
        try:
            revision = call()
        except NotFound:  # imported ones may not be there yet
            return False
        except ShelflensError as error:
            self.journal.note(Write(self._catalog, sku, title, None))
            self.journal.line("write.unacknowledged", sku=sku, error=str(error))
            return isinstance(error, AlreadyExists)
        self.journal.note(Write(self._catalog, sku, title, revision))
        return True

    def _upload(self, client: Client) -> None:
        sku = self.rng.choice(self._kept)
        data = picture(f"{self.name}:{self.rng.random()}")
        try:
            client.upload_image(f"{self._catalog}/{sku}", data)
        except ShelflensError as error:
            self.journal.line("upload.unacknowledged", sku=sku, error=str(error))
            return
        self.journal.note(Upload(self._catalog, sku, hashlib.sha256(data).hexdigest()))


class Searcher(Customer):
    """Searches with photos, now with a short deadline and now with none, which is the gateway's.

    No call is repeated: the time that it takes is that of one answer.
    """

    def __init__(self, *rest: Any) -> None:
        super().__init__("search", *rest)
        self._photos = [picture(f"photo {number}") for number in range(20)]

    def act(self) -> None:
        bounded = self.rng.random() < 0.5
        call = search_products(self.rng.choice((FED, SHOP)), self.rng.choice(self._photos))
        request: Any = call.request
        began, code, detail = time.time(), "", ""
        started = time.monotonic()
        with grpc.insecure_channel(self.target) as channel:
            rpc = search_pb2_grpc.SearchServiceStub(channel).SearchProducts
            try:
                if bounded:
                    rpc(request, timeout=SHORT_DEADLINE)
                else:
                    rpc.future(request).result(_NO_ANSWER)
            except grpc.FutureTimeoutError:
                code = "NO_ANSWER"
            except grpc.RpcError as error:
                code, detail = error.code().name, str(error.details())[:200]
        deadline = SHORT_DEADLINE if bounded else DEFAULT_DEADLINE
        self.journal.note(Search(began, time.monotonic() - started, deadline, code, detail))
