"""What the ObjectStore over S3 promises when the network or the server does not."""

import hashlib
import random
import time
import tracemalloc
from collections.abc import Iterator
from multiprocessing import get_context
from pathlib import Path

import pytest
import trustme

from services.core.adapters.minio_objects import MinioObjects, S3Address
from services.core.domain.errors import (
    DataLoss,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
    ShelflensError,
    Unavailable,
)
from tests.servers.faulty_s3 import (
    FaultyS3,
    cut,
    drop,
    endless,
    hang,
    status,
    well,
    whole,
)
from tests.servers.ports import free_port

MIB = 1 << 20
DATA = random.Random(1).randbytes(3 * MIB)


@pytest.fixture
def server() -> Iterator[FaultyS3]:
    with FaultyS3({"k": DATA}) as faulty:
        yield faulty


def image_key(data: bytes) -> str:
    name = hashlib.sha256(data).hexdigest()
    return f"images/sha256/{name[:2]}/{name[2:4]}/{name}"


def test_a_server_that_is_down_is_unavailable_at_every_call() -> None:
    address = S3Address(f"http://127.0.0.1:{free_port()}", "bucket", "shelf", "shelf-secret")
    store = MinioObjects(address)
    for call in (
        lambda: store.put("k", b"x"),
        lambda: store.stream("k"),
        lambda: list(store.keys("")),
    ):
        started = time.monotonic()
        with pytest.raises(Unavailable) as caught:
            call()
        assert caught.value.reason == "OBJECTS_UNAVAILABLE"
        assert time.monotonic() - started < 5


def test_a_server_that_never_answers_is_unavailable_within_the_timeouts(server: FaultyS3) -> None:
    server.faults.extend([hang] * 10)
    started = time.monotonic()
    with pytest.raises(Unavailable):
        server.store(read=0.3).size("k")
    assert time.monotonic() - started < 5
    assert len(server.requests) == 3


@pytest.mark.parametrize("number", [429, 500, 503])
def test_a_burst_of_errors_is_waited_out(server: FaultyS3, number: int) -> None:
    store = server.store()
    wrong = [status(number, "SlowDown"), status(number)]
    server.faults.extend(wrong)
    assert store.get("k") == DATA
    server.faults.extend(wrong)
    store.put("new", b"x")
    assert server.objects["new"] == b"x"


def test_a_server_that_stays_busy_is_unavailable_and_may_not_say_for_how_long(
    server: FaultyS3,
) -> None:
    server.faults.extend([status(503, "SlowDown", ("Retry-After", "3600"))] * 10)
    started = time.monotonic()
    with pytest.raises(Unavailable) as caught:
        server.store().get("k")
    assert "SlowDown" in caught.value.message
    assert time.monotonic() - started < 5


def test_dropped_connections_are_made_again(server: FaultyS3) -> None:
    server.faults.extend([drop, drop])
    server.store().put("new", b"x")
    assert server.objects["new"] == b"x"


def test_a_truncated_answer_is_read_on_from_where_it_broke(server: FaultyS3) -> None:
    server.faults.extend([cut(MIB + 5), well])
    assert b"".join(server.store().stream("k")) == DATA
    assert server.requests[-1].startswith("GET /bucket/k bytes=")
    assert server.requests[-1] != "GET /bucket/k bytes=0-"


def test_a_stalled_answer_is_read_on_too(server: FaultyS3) -> None:
    server.faults.append(cut(2 * MIB, hang))
    assert server.store(read=0.3).get("k") == DATA


def test_an_answer_that_stays_truncated_is_never_taken_for_the_whole(server: FaultyS3) -> None:
    server.faults.extend([cut(MIB)] * 10)
    with pytest.raises(Unavailable):
        server.store().get("k")


def test_truncated_ranges_are_completed(server: FaultyS3) -> None:
    server.faults.append(cut(10))
    assert server.store().get_range("k", 0, 1_000) == DATA[:1_000]


def test_an_answer_without_a_length_is_refused(server: FaultyS3) -> None:
    server.faults.extend([endless] * 10)
    with pytest.raises(Unavailable):
        server.store().get("k")


def test_a_server_without_ranges_gives_the_right_bytes_in_bounded_memory(server: FaultyS3) -> None:
    server.objects["long"] = DATA * 8
    server.faults.extend([whole, whole, whole, whole])
    store = server.store()
    tracemalloc.start()
    try:
        assert store.get_range("long", 20 * MIB, 100) == DATA[2 * MIB : 2 * MIB + 100]
        assert tracemalloc.get_traced_memory()[1] < 4 * MIB
    finally:
        tracemalloc.stop()
    assert store.get_range("k", 2 * MIB, 100) == DATA[2 * MIB : 2 * MIB + 100]
    assert store.get_range("k", len(DATA) + 5, 100) == b""
    assert b"".join(store.stream("k", len(DATA) - 7)) == DATA[-7:]
    server.objects["empty"] = b""
    server.faults.append(whole)
    assert store.get_range("empty", 0, 4) == b""


def test_versions_of_an_object_are_not_mixed(server: FaultyS3) -> None:
    server.faults.append(cut(MIB + 5))
    pieces = server.store().stream("k")
    next(pieces)
    server.objects["k"] = bytes(len(DATA))
    with pytest.raises(Unavailable, match="anew"):
        list(pieces)


def test_an_object_that_goes_while_it_is_read_is_not_found(server: FaultyS3) -> None:
    server.faults.append(cut(MIB + 5))
    pieces = server.store().stream("k")
    next(pieces)
    del server.objects["k"]
    with pytest.raises(NotFound):
        list(pieces)


def test_an_image_with_other_bytes_is_data_loss(server: FaultyS3) -> None:
    key = image_key(b"picture")
    server.objects[key] = b"pictura"
    with pytest.raises(DataLoss):
        server.store().get(key)


def test_a_large_object_is_sent_to_a_slow_server(server: FaultyS3) -> None:
    server.pause = 0.005
    started = time.monotonic()
    server.store().put("new", DATA * 8)
    assert time.monotonic() - started > 1.5  # much longer than the timeout of one block
    assert server.objects["new"] == DATA * 8


def test_a_large_object_is_sent_again_from_its_begin(server: FaultyS3) -> None:
    server.faults.append(status(503, "SlowDown"))
    server.store().put("new", DATA)
    assert server.objects["new"] == DATA


def test_a_broken_source_aborts_its_upload(server: FaultyS3) -> None:
    def broken() -> Iterator[bytes]:
        for _ in range(20):
            yield b"x" * MIB
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        server.store().put_stream("new", broken())
    assert server.uploads == {}
    assert "new" not in server.objects


def test_a_broken_source_is_told_also_when_the_upload_cannot_be_aborted(server: FaultyS3) -> None:
    def broken() -> Iterator[bytes]:
        yield b"x" * 17 * MIB
        server.faults.extend([status(503)] * 10)
        raise ConnectionResetError("client went away")

    with pytest.raises(ConnectionResetError):
        server.store().put_stream("new", broken())
    assert "new" not in server.objects


def test_a_long_stream_passes_through_bursts_of_errors(server: FaultyS3) -> None:
    server.faults.extend([status(503), well, status(500), drop, well, well, status(503)])
    chunks = [bytes([number]) * MIB for number in range(20)]
    assert server.store().put_stream("new", chunks) == 20 * MIB
    assert server.objects["new"] == b"".join(chunks)


def test_an_error_with_status_200_at_the_end_of_an_upload_is_an_error(server: FaultyS3) -> None:
    server.faults.extend([well, well, well, status(200, "InternalError")])
    with pytest.raises(Unavailable):
        server.store().put_stream("new", [b"x" * 9 * MIB])


def test_a_server_is_trusted_by_the_authority_of_the_ca_file_only(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with FaultyS3({"k": DATA}, authority=authority) as server:
        assert server.store(ca_file=str(tmp_path / "ca.pem")).get("k") == DATA
        with pytest.raises(Unavailable, match="certificate"):
            server.store().size("k")
    (tmp_path / "no.pem").write_text("no certificate")
    for bad in ("no.pem", "missing.pem"):
        with pytest.raises(InvalidArgument) as caught:
            server.store(ca_file=str(tmp_path / bad)).ensure_bucket()
        assert caught.value.reason == "BAD_S3_ADDRESS"


REFUSALS = [
    (403, "InvalidAccessKeyId", FailedPrecondition, "OBJECTS_DENIED"),
    (403, "RequestTimeTooSkewed", FailedPrecondition, "OBJECTS_DENIED"),
    (400, "AuthorizationHeaderMalformed", FailedPrecondition, "OBJECTS_DENIED"),
    (301, "PermanentRedirect", FailedPrecondition, "OBJECTS_DENIED"),
    (404, "", FailedPrecondition, "OBJECTS_DENIED"),
    (404, "NoSuchBucket", FailedPrecondition, "BUCKET_NOT_FOUND"),
    (507, "XMinioStorageFull", ResourceExhausted, "STORAGE_FULL"),
    (403, "QuotaExceeded", ResourceExhausted, "STORAGE_FULL"),
    (400, "XMinioObjectExistsAsDirectory", InvalidArgument, "KEY_CONFLICT"),
    (400, "IncompleteBody", Unavailable, "OBJECTS_UNAVAILABLE"),
    (418, "", Unavailable, "OBJECTS_UNAVAILABLE"),
]


@pytest.mark.parametrize(("number", "code", "kind", "reason"), REFUSALS)
def test_refusals_are_errors_of_the_domain(
    server: FaultyS3, number: int, code: str, kind: type[ShelflensError], reason: str
) -> None:
    server.faults.extend([status(number, code, ("Location", "http://127.0.0.1:1/"))] * 10)
    with pytest.raises(kind) as caught:
        server.store().put("new", b"x")
    assert caught.value.reason == reason
    with pytest.raises(kind):
        server.store().get("k")


def _read_in_child(store: MinioObjects, result: Path) -> None:
    result.write_bytes(store.get("k"))


def test_a_forked_process_has_connections_of_its_own(server: FaultyS3, tmp_path: Path) -> None:
    store = server.store()
    assert store.get("k") == DATA
    child = get_context("fork").Process(target=_read_in_child, args=(store, tmp_path / "read"))
    child.start()
    assert store.get("k") == DATA
    child.join(20)
    assert (tmp_path / "read").read_bytes() == DATA
    assert server.connections == 2
