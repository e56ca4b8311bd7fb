"""What the ObjectStore over S3 promises with real servers: keys, buckets, restarts."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from services.core.adapters.minio_objects import MinioObjects
from services.core.domain.errors import FailedPrecondition, ShelflensError, Unavailable
from tests.servers.s3 import RcloneS3, S3Server

pytestmark = pytest.mark.servers


def refusal(store: MinioObjects) -> dict[str, ShelflensError]:
    """What every call raises."""
    calls: dict[str, Callable[[], object]] = {
        "put": lambda: store.put("k", b"x"),
        "put_stream": lambda: store.put_stream("k", [b"x"]),
        "get": lambda: store.get("k"),
        "stream": lambda: store.stream("k"),
        "get_range": lambda: store.get_range("k", 0, 1),
        "size": lambda: store.size("k"),
        "keys": lambda: list(store.keys("")),
    }
    raised = {}
    for name, call in calls.items():
        with pytest.raises(ShelflensError) as caught:
            call()
        raised[name] = caught.value
    return raised


@pytest.mark.parametrize("wrong", ["secret_key", "access_key"])
def test_wrong_keys_are_refused_with_what_to_do(s3_rclone: S3Server, wrong: str) -> None:
    changes: dict[str, Any] = {wrong: "not-this-one"}
    store = MinioObjects(replace(s3_rclone.address, **changes))
    for name, error in refusal(store).items():
        assert isinstance(error, FailedPrecondition), name
        assert error.reason == "OBJECTS_DENIED"
        assert "key" in error.message
        assert "not-this-one" not in error.message
    for call in (store.ensure_bucket, lambda: store.delete("k")):
        with pytest.raises(FailedPrecondition, match="key"):
            call()


@pytest.mark.parametrize("name", ["s3_rclone", "s3_moto"])
def test_a_missing_bucket_is_named(request: pytest.FixtureRequest, name: str) -> None:
    server: S3Server = request.getfixturevalue(name)
    store = MinioObjects(replace(server.address, bucket="nobody-made-this"))
    for error in refusal(store).values():
        assert isinstance(error, FailedPrecondition)
        assert error.reason == "BUCKET_NOT_FOUND"
        assert "nobody-made-this" in error.message


@pytest.mark.parametrize("name", ["s3_rclone", "s3_moto"])
def test_a_bucket_is_made_once(request: pytest.FixtureRequest, name: str) -> None:
    server: S3Server = request.getfixturevalue(name)
    with server.bucket() as store:
        store.put("k", b"x")
        store.ensure_bucket()
        assert store.get("k") == b"x"


def test_what_was_acknowledged_survives_a_kill_and_the_store_goes_on(tmp_path: Path) -> None:
    with RcloneS3(tmp_path) as process:
        store = MinioObjects(process.server.address)
        store.ensure_bucket()
        store.put("a", b"1")
        store.put_stream("b", [b"x" * (9 << 20)])
        process.stop()
        with pytest.raises(Unavailable):
            store.get("a")
        process.start()
        assert store.get("a") == b"1"
        assert store.size("b") == 9 << 20
        store.put("c", b"2")
        assert sorted(store.keys("")) == ["a", "b", "c"]


def test_an_aborted_upload_leaves_nothing_on_the_server(s3_moto: S3Server) -> None:
    def broken() -> Iterator[bytes]:
        yield b"x" * (17 << 20)
        raise ConnectionResetError("client went away")

    with s3_moto.bucket() as store:
        with pytest.raises(ConnectionResetError):
            store.put_stream("k", broken())
        assert list(store.keys("")) == []
        listed = store._client._list_multipart_uploads(store._bucket)
        assert listed.uploads == []
