"""What the Qdrant adapter makes of statuses, of bytes and of settings."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict
from typing import Any

import grpc
import numpy as np
import pytest
from pydantic import ValidationError

from services.core.adapters.qdrant_vectors import CollectionOptions, QdrantVectors
from services.core.adapters.qdrant_vectors.batches import BATCH, BATCH_BYTES, batches, readable
from services.core.adapters.qdrant_vectors.options import create_request, options_from
from services.core.adapters.qdrant_vectors.payload_indexes import PAYLOAD_INDEXES, missing_indexes
from services.core.adapters.qdrant_vectors.requests import Wanted
from services.core.adapters.qdrant_vectors.stubs import q
from services.core.domain.errors import (
    DeadlineExceeded,
    FailedPrecondition,
    InvalidArgument,
    ResourceExhausted,
    ShelflensError,
    Unavailable,
)
from services.core.ports import CollectionSpec
from services.core.runtime.connections.vectors import collection_options, open_vectors
from services.core.runtime.service_settings import VectorSettings

CODES = grpc.StatusCode


class Answering(q.PointsServicer):
    """Answers Count with `status`, or after `failures` such answers with a count of 7."""

    def __init__(self) -> None:
        self.status: tuple[grpc.StatusCode, str] = (CODES.UNAVAILABLE, "starting")
        self.failures = 1_000_000
        self.calls = 0

    def Count(self, request: q.CountPoints, context: grpc.ServicerContext) -> q.CountResponse:  # noqa: N802
        self.calls += 1
        if self.calls <= self.failures:
            context.abort(*self.status)
        return q.CountResponse(result=q.CountResult(count=7))


@pytest.fixture
def answering() -> Iterator[tuple[Answering, int]]:
    server = grpc.server(ThreadPoolExecutor(2))
    servicer = Answering()
    q.add_PointsServicer_to_server(servicer, server)  # type: ignore[no-untyped-call]
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield servicer, port
    server.stop(0).wait()


@pytest.mark.parametrize(
    ("code", "details", "kind", "reason"),
    [
        (CODES.RESOURCE_EXHAUSTED, "Rate limit exceeded", ResourceExhausted, "VECTOR_STORE_BUSY"),
        (
            CODES.RESOURCE_EXHAUSTED,
            "Received message larger than max (9 vs. 8)",
            InvalidArgument,
            "VECTOR_STORE_MESSAGE_TOO_LARGE",
        ),
        (
            CODES.OUT_OF_RANGE,
            "Error, decoded message length too large: found 9 bytes, the limit is: 8 bytes",
            InvalidArgument,
            "VECTOR_STORE_MESSAGE_TOO_LARGE",
        ),
        (CODES.UNAUTHENTICATED, "Invalid API key", FailedPrecondition, "VECTOR_STORE_DENIED"),
        (CODES.PERMISSION_DENIED, "Forbidden", FailedPrecondition, "VECTOR_STORE_DENIED"),
        (CODES.UNIMPLEMENTED, "unknown", FailedPrecondition, "VECTOR_STORE_TOO_OLD"),
        (CODES.DEADLINE_EXCEEDED, "timeout", DeadlineExceeded, "DEADLINE_EXCEEDED"),
        (CODES.INTERNAL, "disk full", Unavailable, "VECTOR_STORE_UNAVAILABLE"),
    ],
    ids=str,
)
def test_a_status_is_the_domains_error_and_is_not_asked_for_twice(
    answering: tuple[Answering, int],
    code: grpc.StatusCode,
    details: str,
    kind: type[ShelflensError],
    reason: str,
) -> None:
    servicer, port = answering
    servicer.status = (code, details)
    with closing(QdrantVectors(grpc_port=port)) as vectors, pytest.raises(kind) as refused:
        vectors.count("shop")
    assert refused.value.reason == reason
    assert "shop" in refused.value.message
    assert details in refused.value.message
    assert servicer.calls == 1


def test_a_server_that_is_starting_is_asked_again_and_not_for_ever(
    answering: tuple[Answering, int],
) -> None:
    servicer, port = answering
    servicer.failures = 3
    with closing(QdrantVectors(grpc_port=port, retry_seconds=30)) as vectors:
        assert vectors.count("shop") == 7
    assert servicer.calls == 4
    servicer.failures = 1_000_000
    for settings in ({"retry_seconds": 0.0}, {"retry_seconds": 60.0, "timeout": 0.4}):
        before = servicer.calls
        adapter = QdrantVectors(grpc_port=port, **settings)  # type: ignore[arg-type]
        with closing(adapter) as vectors, pytest.raises(Unavailable):
            vectors.count("shop")
        tries = servicer.calls - before
        assert tries == 1 if settings["retry_seconds"] == 0 else 1 < tries < 10


def test_batches_keep_the_order_and_both_limits() -> None:
    sizes = np.random.default_rng(4).integers(1, 400_000, 3_000).tolist()
    sizes[5] = BATCH_BYTES * 3
    cut = list(batches(sizes, int))
    assert [each for batch in cut for each in batch] == sizes
    assert all(len(batch) <= BATCH for batch in cut)
    assert all(sum(batch) <= BATCH_BYTES or len(batch) == 1 for batch in cut)
    assert len(cut) <= 2 * sum(sizes) / BATCH_BYTES + len(sizes) / BATCH + 2
    assert [len(each) for each in batches([1] * 600, int)] == [BATCH, BATCH, 600 - 2 * BATCH]
    assert list(batches([], int)) == []


def test_fewer_long_vectors_are_read_at_once() -> None:
    assert readable(1280) == BATCH
    assert readable(65_536) * 65_536 * 4 < 16 << 20
    assert readable(10_000_000) == 1


def test_what_is_not_chosen_is_left_to_the_server() -> None:
    spec = CollectionSpec("shop", 8)
    made = create_request(spec, q.Distance.Cosine, CollectionOptions())
    params = q.VectorParams(size=8, distance=q.Distance.Cosine)
    plain = q.CreateCollection(
        collection_name="shop", vectors_config=q.VectorsConfig(params=params)
    )
    assert made == plain
    assert options_from(q.CollectionConfig()).datatype == "float32"


def asked(quantization: str, oversampling: float | None) -> tuple[bool, float | None]:
    """Whether a search scores the best again, and of how many times as many hits."""
    spec = CollectionSpec("shop", 4, quantization=quantization)
    query = Wanted(spec, None, None, None, oversampling).query(np.ones(4, np.float32), 10)
    params = query.params.quantization
    return params.rescore, params.oversampling if params.HasField("oversampling") else None


def test_a_search_of_quantized_vectors_scores_twice_as_many_again() -> None:
    assert asked("int8", None) == (True, 2.0)
    assert asked("int8", 3.0) == (True, 3.0)
    assert asked("none", None) == (True, None)


def test_a_shared_collection_indexes_its_catalogues_as_tenants() -> None:
    plain = missing_indexes("shop", ["sku"], shared=False)
    assert {each.field_name for each in plain} == PAYLOAD_INDEXES.keys() - {"sku"}
    assert not any(each.HasField("field_index_params") for each in plain)
    (catalog,) = missing_indexes("shop", PAYLOAD_INDEXES, shared=True)
    assert catalog.field_name == "catalog"
    assert catalog.field_type == q.FieldType.FieldTypeKeyword
    assert catalog.field_index_params.keyword_index_params.is_tenant
    assert missing_indexes("shop", [*PAYLOAD_INDEXES, "catalog"], shared=True) == []


def test_every_setting_of_collections_reaches_them() -> None:
    chosen: dict[str, Any] = {
        "quantization": "int8",
        "vectors_on_disk": True,
        "payload_on_disk": False,
        "datatype": "float16",
        "hnsw_m": 24,
        "hnsw_ef_construct": 200,
        "hnsw_on_disk": True,
        "indexing_threshold_kb": 5_000,
        "shard_number": 6,
        "replication_factor": 2,
        "write_consistency_factor": 1,
    }
    assert asdict(CollectionOptions()).keys() == chosen.keys()
    fields = {f"qdrant_{name}": value for name, value in chosen.items()}
    settings = VectorSettings(qdrant_url="https://qdrant:6334", qdrant_api_key="k", **fields)
    assert asdict(collection_options(settings)) == chosen
    plain = VectorSettings(qdrant_url="http://qdrant:6334")
    assert collection_options(plain) == CollectionOptions()
    open_vectors(plain).close()
    with pytest.raises(ValidationError):
        VectorSettings(qdrant_url="http://qdrant:6334", qdrant_quantization="int4")
