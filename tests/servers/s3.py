"""S3 servers from the package registry as child processes, and one of somebody's own."""

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import unquote, urlsplit

import pytest
from minio.error import InvalidResponseError, S3Error

from services.core.adapters.minio_objects import MinioObjects, S3Address
from services.core.adapters.minio_objects.address import make_client
from services.core.domain.errors import InvalidArgument
from tests.servers.ports import free_port, wait_for_port
from tests.waiting import eventually

REAL = "SHELFLENS_TEST_S3_URL"
_FORM = "http(s)://ACCESS:SECRET@HOST:PORT/BUCKET[?region=NAME]"
_READY_SECONDS = 60.0
_STOP_SECONDS = 10.0
_EMPTY_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class S3Server:
    """A server that answers: where, and with which keys. `bucket` begins the names of buckets."""

    address: S3Address

    @property
    def url(self) -> str:
        """In the form of SHELFLENS_TEST_S3_URL."""
        scheme, host = self.address.endpoint.split("://")
        keys = f"{self.address.access_key}:{self.address.secret_key}"
        return f"{scheme}://{keys}@{host}/{self.address.bucket}"

    @contextmanager
    def bucket(self) -> Iterator[MinioObjects]:
        """An empty bucket with a name of its own, removed afterwards with all that is in it."""
        name = f"{self.address.bucket[:40]}-{secrets.token_hex(8)}"
        address = replace(self.address, bucket=name)
        store = MinioObjects(address)
        store.ensure_bucket()
        try:
            yield store
        finally:
            eventually(
                lambda: self._removed(store, name), _EMPTY_SECONDS, f"bucket {name} is removed"
            )

    def _removed(self, store: MinioObjects, name: str) -> bool:
        """Whether the bucket is gone now. A request whose connection broke may end after ours."""
        client = make_client(self.address)
        for each in client.list_objects(name, recursive=True):
            with suppress(InvalidArgument):
                store.delete(each.object_name or "")
        try:
            client.remove_bucket(name)
        except (S3Error, InvalidResponseError) as error:
            if "BucketNotEmpty" not in str(error):
                raise
            return False
        return True


class _Process:
    """A server that is started and ended, and may be killed, on a port of its own."""

    def __init__(self, folder: Path, command: list[str], port: int) -> None:
        self.folder = folder
        self.port = port
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def server(self) -> S3Server:
        return S3Server(
            S3Address(f"http://127.0.0.1:{self.port}", "shelflens", "shelf", "shelf-secret")
        )

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Returns when it takes connections."""
        log = self.folder / "server.log"
        environment = {each: value for each, value in os.environ.items() if "AWS" not in each}
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                self._command,
                env=environment | {"RCLONE_CONFIG": ""},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        wait_for_port(self.port, self._process, log, _READY_SECONDS)

    def stop(self) -> None:
        """Ends it at once; what it has acknowledged is in its folder, if it has one."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait(_STOP_SECONDS)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


class RcloneS3(_Process):
    """`rclone serve s3` over a folder: checks signatures, survives being stopped."""

    def __init__(self, folder: Path) -> None:
        port, data = free_port(), folder / "data"
        data.mkdir(parents=True, exist_ok=True)
        program = Path(sys.executable).parent / "rclone"
        if not program.exists():
            pytest.skip("rclone is not installed: make install brings it")
        command = [str(program), "serve", "s3", "--auth-key", "shelf,shelf-secret"]
        command += ["--addr", f"127.0.0.1:{port}", "--cache-dir", f"{folder}/cache", str(data)]
        super().__init__(folder, command, port)


class MotoS3(_Process):
    """moto's server, in memory: takes any keys, answers more of S3 than rclone."""

    def __init__(self, folder: Path) -> None:
        port = free_port()
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        super().__init__(folder, command, port)


def real_server() -> S3Server:
    """The server that the environment names; skips the test where it names none."""
    url = os.environ.get(REAL, "")
    if not url:
        pytest.skip(f"no real S3 server: set {REAL} to {_FORM}")
    parts = urlsplit(url)
    if not (parts.username and parts.password and parts.path.strip("/")):
        pytest.fail(f"{REAL} is not of the form {_FORM}")
    region = dict(each.split("=", 1) for each in parts.query.split("&") if "=" in each)
    return S3Server(
        S3Address(
            f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}",
            parts.path.strip("/"),
            unquote(parts.username),
            unquote(parts.password),
            region=region.get("region", "us-east-1"),
        )
    )
