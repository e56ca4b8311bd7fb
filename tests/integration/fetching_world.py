"""A fetcher over an object store of files, among hosts of the tests."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import trustme

from services.core.adapters.file_objects import FileObjects
from services.core.domain.keys import image_key
from services.imaging.limits import ImageLimits
from services.ingestion.fetching.fetcher import Fetcher, open_fetcher
from services.ingestion.fetching.jobs import Fetched
from services.ingestion.fetching.limits import FetchLimits, parse_networks
from services.ingestion.fetching.urls import parse_url
from tests.misbehaving_server import MisbehavingServer
from tests.misbehaviours import LIMIT, PATHS

# Only this address is allowed: the rest of the loopback network stands for our inside.
PUBLIC = "127.0.0.1"
INSIDE = "127.0.0.2"
NAMES = {"metadata.test": "169.254.169.254", "inside.test": INSIDE}


def resolve(host: str, port: int) -> Sequence[str]:
    """Addresses stand for themselves, names ending in .test are PUBLIC unless in NAMES."""
    return [NAMES.get(host, PUBLIC) if host.endswith(".test") else host]


class FetchingWorld:
    """What the tests of fetching share; times are short. Close it."""

    def __init__(self, folder: Path) -> None:
        self.objects = FileObjects(folder / "objects")
        self.authority = trustme.CA()
        self.ca_file = folder / "authority.pem"
        self.authority.cert_pem.write_to_path(str(self.ca_file))
        self.server = MisbehavingServer(self.authority, paths=PATHS)
        self._fetchers: list[Fetcher] = []

    def fetcher(
        self,
        *ports: int,
        resolve: Callable[[str, int], Sequence[str]] = resolve,
        **limits: float,
    ) -> Fetcher:
        """A new one, as after a restart of the worker."""
        chosen = {
            "image_seconds": 1.2,
            "connect_seconds": 0.6,
            "idle_seconds": 0.6,
            "first_delay": 0.01,
            "longest_wait": 3.0,
        } | limits
        made = open_fetcher(
            self.objects,
            FetchLimits(
                ports=frozenset({80, 443, self.server.port, *ports}),
                allowed_networks=parse_networks(f"{PUBLIC}/32"),
                **chosen,  # type: ignore[arg-type]
            ),
            ca_file=str(self.ca_file),
            images=ImageLimits(max_bytes=LIMIT),
            resolve=resolve,
        )
        self._fetchers.append(made)
        return made

    def fetch(self, urls: Iterable[str], fetcher: Fetcher | None = None) -> list[Fetched]:
        """What became of `urls`, in order. Every stored image must fit its hash."""
        fetcher = fetcher or self.fetcher()
        parsed = [parse_url(each, fetcher.limits.ports) for each in urls]
        results = fetcher.fetch(parsed)
        for each in results.values():
            assert bool(each.sha256) or bool(each.reason)
            if each.sha256:
                self.objects.get(image_key(each.sha256))
        return [results[each] for each in parsed]

    def one(self, path: str, fetcher: Fetcher | None = None) -> Fetched:
        """What became of a path of the server."""
        return self.fetch([self.server.url(path)], fetcher)[0]

    def close(self) -> None:
        for each in self._fetchers:
            each.close()
        self.server.close()
