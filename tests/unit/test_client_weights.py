"""Files of weights on their way to the server."""

import asyncio
import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from shelflens import AsyncClient, Client
from shelflens.errors import Cancelled, InvalidArgument, NotFound, ShelflensError
from shelflens.importing.progress import ignore
from shelflens.values import WeightsProgress
from shelflens.weights import WeightsUpload
from tests.unit.test_client_server import MemoryServer, serving

DATA = bytes(range(256)) * 10_000  # three pieces
SHA256 = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def server() -> MemoryServer:
    return MemoryServer()


@pytest.fixture
def client(server: MemoryServer) -> Iterator[Client]:
    with serving(server) as target, Client(target, timeout=10) as client:
        yield client


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "Net v1.SafeTensors"
    path.write_bytes(DATA)
    return path


def test_a_file_is_hashed_sent_and_named(
    client: Client, server: MemoryServer, weights: Path
) -> None:
    heard: list[WeightsProgress] = []
    name = client.upload_weights(weights, sha256=SHA256, on_progress=heard.append)
    assert server.uploads == {name: DATA}
    (head,) = server.upload_heads
    assert (head.filename, head.sha256, head.size_bytes, head.data) == (
        "Net v1.safetensors", SHA256, len(DATA), b"",
    )  # fmt: skip
    counts = [1 << 20, 2 << 20, len(DATA)]
    assert heard == [
        WeightsProgress(phase, done, len(DATA)) for phase in ("hash", "upload") for done in counts
    ]


def test_a_file_with_another_digest_is_not_sent(
    client: Client, server: MemoryServer, weights: Path
) -> None:
    with pytest.raises(InvalidArgument, match="WEIGHTS_DIGEST_DIFFERS") as refused:
        client.upload_weights(weights, sha256="a" * 64)
    assert SHA256 in refused.value.message
    assert "UploadWeights" not in server.calls


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("net.onnx", b"x", "WEIGHTS_KIND_UNKNOWN"),
        ("net", b"x", "WEIGHTS_KIND_UNKNOWN"),
        ("net.pth", b"", "WEIGHTS_EMPTY"),
        ("none.pt", None, "FILE_NOT_FOUND"),
        ("\0.bin", None, "FILE_UNREADABLE"),
    ],
)
def test_what_cannot_be_weights_is_refused_unsent(
    client: Client, server: MemoryServer, tmp_path: Path, name: str, data: bytes | None, reason: str
) -> None:
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(ShelflensError) as refused:
        client.upload_weights(tmp_path / name)
    assert refused.value.reason == reason
    assert isinstance(refused.value, NotFound) == (reason == "FILE_NOT_FOUND")
    assert name in refused.value.message
    assert server.calls == {}


def test_a_folder_is_no_file_of_weights(client: Client, tmp_path: Path) -> None:
    (tmp_path / "net.bin").mkdir()
    with pytest.raises(InvalidArgument, match=r"FILE_UNREADABLE: .* not a regular file"):
        client.upload_weights(tmp_path / "net.bin")


def test_a_refusal_of_the_server_comes_with_its_reason(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "net.pt"
    path.write_bytes(b"x" * 9_000_000 + b"evil")
    with pytest.raises(InvalidArgument, match="WEIGHTS_UNSAFE: they hold code"):
        client.upload_weights(path)


def test_a_file_that_changes_meanwhile_is_refused(client: Client, weights: Path) -> None:
    def change(progress: WeightsProgress) -> None:
        if (progress.phase, progress.done_bytes) == ("hash", len(DATA)):
            weights.write_bytes(DATA[:-1] + b"x")

    with pytest.raises(InvalidArgument, match="DIGEST_MISMATCH"):
        client.upload_weights(weights, on_progress=change)


def test_a_file_that_grows_while_it_is_sent_is_not_read_for_ever(
    client: Client, weights: Path
) -> None:
    def grow(progress: WeightsProgress) -> None:
        if progress.phase == "upload":
            with weights.open("ab") as file:
                file.write(DATA)

    with pytest.raises(InvalidArgument, match=r"FILE_UNREADABLE: .*Net v1\.SafeTensors grows"):
        client.upload_weights(weights, on_progress=grow)


def test_a_stopped_upload_ends_with_its_next_piece(
    client: Client, server: MemoryServer, weights: Path
) -> None:
    upload = WeightsUpload(weights, on_progress=ignore)
    upload.stop()
    with pytest.raises(Cancelled):
        upload.send(client)
    assert server.calls == {}


async def test_the_async_client_sends_from_a_thread(
    client: Client, server: MemoryServer, weights: Path
) -> None:
    loop = asyncio.get_running_loop()
    heard: list[tuple[str, int, bool]] = []

    def hear(each: WeightsProgress) -> None:
        heard.append((each.phase, each.done_bytes, asyncio.get_running_loop() is loop))

    async with AsyncClient(client.target, timeout=10) as aio:
        name = await aio.upload_weights(weights, on_progress=hear)
        assert server.uploads == {name: DATA}
        assert heard[-1] == ("upload", len(DATA), True)
        with pytest.raises(NotFound):
            await aio.upload_weights("/no/net.pth")
