"""What the proxy in front of an S3 server does, seen by the project's own adapter."""

from collections.abc import Iterator

import pytest

from services.core.adapters.minio_objects import MinioObjects, S3Address
from services.core.domain.errors import ResourceExhausted, ShelflensError, Unavailable
from tests.chaos.object_faults import ObjectFault, ObjectFaults
from tests.servers.s3 import RcloneS3

pytestmark = pytest.mark.servers

DATA = bytes(range(256)) * 1024


@pytest.fixture(scope="module")
def faults(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectFaults]:
    with RcloneS3(tmp_path_factory.mktemp("s3")) as server, ObjectFaults(server.port) as proxy:
        yield proxy


@pytest.fixture
def store(faults: ObjectFaults) -> Iterator[MinioObjects]:
    found = MinioObjects(
        S3Address(f"http://127.0.0.1:{faults.port}", "chaos", "shelf", "shelf-secret")
    )
    found.ensure_bucket()
    yield found
    faults.heal()


def test_signed_requests_pass_through_a_healthy_proxy(store: MinioObjects) -> None:
    store.put("a/b", DATA)
    assert store.get("a/b") == DATA
    assert store.size("a/b") == len(DATA)
    assert store.get_range("a/b", 100, 50) == DATA[100:150]
    assert list(store.keys("a/")) == ["a/b"]
    assert b"".join(store.stream("a/b")) == DATA
    store.delete("a/b")
    assert store.size("a/b") is None


def test_wrong_keys_are_refused_through_the_proxy(faults: ObjectFaults) -> None:
    stranger = MinioObjects(
        S3Address(f"http://127.0.0.1:{faults.port}", "chaos", "shelf", "guessed")
    )
    with pytest.raises(ShelflensError):
        stranger.get("a/b")


@pytest.mark.parametrize("fault", [ObjectFault.ERROR, ObjectFault.BUSY, ObjectFault.TRUNCATED])
def test_a_store_that_always_fails_is_unavailable(
    faults: ObjectFaults, store: MinioObjects, fault: ObjectFault
) -> None:
    store.put("c", DATA)
    faults.inject(fault)
    with pytest.raises(Unavailable):
        store.get("c")
    assert faults.injected[fault] > 0
    faults.heal()
    assert store.get("c") == DATA


def test_a_full_store_takes_nothing_and_still_answers(
    faults: ObjectFaults, store: MinioObjects
) -> None:
    store.put("d", DATA)
    faults.inject(ObjectFault.FULL)
    with pytest.raises((ResourceExhausted, Unavailable)):
        store.put("e", DATA)
    assert store.get("d") == DATA
    assert store.size("e") is None


def test_an_unanswered_write_has_happened(faults: ObjectFaults, store: MinioObjects) -> None:
    faults.inject(ObjectFault.UNANSWERED)
    with pytest.raises(Unavailable):
        store.put("f", DATA)
    faults.heal()
    assert store.get("f") == DATA


def test_the_same_seed_draws_the_same_faults() -> None:
    with ObjectFaults(1) as faults:
        drawn = []
        for _ in range(2):
            faults.inject(ObjectFault.ERROR, 0.3, seed=5)
            drawn.append([faults.drawn("GET")[0] for _ in range(50)])
    assert drawn[0] == drawn[1]
    assert 5 < sum(each is not None for each in drawn[0]) < 25
