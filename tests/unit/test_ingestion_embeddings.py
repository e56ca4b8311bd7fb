"""Rows that carry embeddings: each has a usable one, or is rejected with the reason."""

import base64
import contextlib
import hashlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.core.adapters.file_objects import FileObjects
from services.core.domain.keys import image_key
from services.core.messages import IngestShard
from services.core.outcomes import ShardIngested
from services.core.ports import Float32
from services.core.shard_files import (
    AcceptedRow,
    Embeddings,
    RejectedRow,
    read_accepted,
    read_embeddings,
    read_rejected,
)
from services.ingestion.handlers import Ingestor
from services.ingestion.row_embeddings import BadEmbedding, RowEmbeddings

DIMENSION = 4
VECTOR = [3.0, 0.0, 4.0, 0.0]


def encoded(*values: float) -> str:
    return base64.b64encode(np.array(values, "<f4").tobytes()).decode()


def identity(values: Float32) -> str:
    return hashlib.sha256(values.astype("<f4").tobytes()).hexdigest()


class Bench:
    """An ingestor over files, with one stored picture."""

    def __init__(self, folder: Path, distance: str = "cosine") -> None:
        self.objects = FileObjects(folder)
        self.distance = distance
        self.picture = hashlib.sha256(b"picture").hexdigest()
        self.objects.put(image_key(self.picture), b"picture")

    def ingest(self, *rows: dict[str, Any], **changes: Any) -> ShardIngested:
        lines = [json.dumps({"row": at, **row}) + "\n" for at, row in enumerate(rows, 1)]
        data = "".join(lines).encode()
        self.objects.put("manifest", data)
        values: dict[str, Any] = {
            "id": "s", "operation": "o", "revision": 1, "sequence": 0, "manifest": "manifest",
            "offset": 0, "length": len(data), "first_row": 1, "accepted": "acc",
            "rejected": "rej", "dimension": DIMENSION, "distance": self.distance,
            "model_digest": "a" * 64, "embeddings": "emb",
        }  # fmt: skip
        return Ingestor(self.objects).ingest_shard(IngestShard(**{**values, **changes}))

    @property
    def accepted(self) -> list[AcceptedRow]:
        return read_accepted(self.objects.get("acc"))

    @property
    def rejected(self) -> list[RejectedRow]:
        return read_rejected(self.objects.get("rej"))

    @property
    def embeddings(self) -> Embeddings:
        return read_embeddings(self.objects.get("emb"))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def row(sku: str = "A", embedding: Any = None, **more: Any) -> dict[str, Any]:
    return {"fields": {"sku": sku}, "embedding": embedding or encoded(*VECTOR), **more}


def test_an_embedding_without_a_picture_is_an_image_of_its_own(bench: Bench) -> None:
    outcome = bench.ingest(row())
    stored = bench.embeddings
    np.testing.assert_allclose(stored.embeddings, [[0.6, 0, 0.8, 0]], rtol=1e-6)
    assert stored.norms.tolist() == [5]
    sha256 = identity(stored.embeddings[0])
    assert outcome.embedded == stored.sha256s == (sha256,)
    (accepted,) = bench.accepted
    assert (accepted.sha256s, accepted.sources) == ((sha256,), (f"embedding:{sha256}",))
    assert accepted.given == ("sku", "images")


def test_what_was_normalised_before_keeps_its_bytes(bench: Bench) -> None:
    rng = np.random.default_rng(2)
    reader = RowEmbeddings(64, "cosine")
    for _ in range(200):
        once = reader.read(encoded(*rng.normal(size=64)))
        again = reader.read(encoded(*once.values))
        assert again.sha256 == once.sha256
        assert math.isclose(float(np.linalg.norm(once.values.astype(np.float64))), 1, abs_tol=1e-6)


def test_other_distances_leave_embeddings_as_they_are(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "euclidean")
    bench.ingest(row(), row("B", encoded(0, 0, 0, 0)))
    assert bench.embeddings.embeddings.tolist() == [VECTOR, [0, 0, 0, 0]]


def test_the_embedding_belongs_to_the_first_picture(bench: Bench) -> None:
    missing = {"source": "b.jpg", "error": "IMAGE_NOT_FOUND", "message": "no such file"}
    bench.ingest(row(images=[{"source": "a.jpg", "sha256": bench.picture}, missing]))
    (accepted,) = bench.accepted
    assert (accepted.sha256s, accepted.sources) == ((bench.picture,), ("a.jpg",))
    assert bench.embeddings.sha256s == (bench.picture,)
    (line,) = bench.rejected
    assert (line.reason, line.row_rejected) == ("IMAGE_NOT_FOUND", False)


def test_a_picture_that_is_not_usable_leaves_the_embedding_alone(bench: Bench) -> None:
    lost = {"source": "b.jpg", "sha256": "f" * 64}
    bench.ingest(row(images=[lost, {"source": "a.jpg", "sha256": bench.picture}]))
    (accepted,) = bench.accepted
    (own,) = bench.embeddings.sha256s
    assert accepted.sha256s == (own, bench.picture)
    assert accepted.sources == (f"embedding:{own}", "a.jpg")
    assert [(each.reason, each.row_rejected) for each in bench.rejected] == [
        ("IMAGE_MISSING", False)
    ]


def test_an_exported_embedding_names_itself_as_its_image(bench: Bench) -> None:
    bench.ingest(row())
    (own,) = bench.embeddings.sha256s
    name = f"catalogs/c/products/a/images/{own}"
    outcome = bench.ingest(row(images=[{"source": name, "sha256": own}]))
    assert (outcome.embedded, outcome.report_lines) == ((own,), 0)


@pytest.mark.parametrize(
    ("embedding", "reason"),
    [
        (encoded(1, 2, 3), "DIMENSION_MISMATCH"),
        (encoded(1, 2, 3, float("nan")), "EMBEDDING_NOT_FINITE"),
        (encoded(1, 2, 3, float("-inf")), "EMBEDDING_NOT_FINITE"),
        ([1, 2, 3, 1e39], "EMBEDDING_NOT_FINITE"),  # no float32
        (encoded(0, 0, 0, 0), "EMBEDDING_ZERO"),
        ("AAAA", "EMBEDDING_UNREADABLE"),  # three bytes
        ("no base64!", "EMBEDDING_UNREADABLE"),
        ([1, 2, 3, "4"], "EMBEDDING_UNREADABLE"),
        ([1, 2, 3, 10**400], "EMBEDDING_UNREADABLE"),
        ({"a": 1}, "EMBEDDING_UNREADABLE"),
    ],
)
def test_a_bad_embedding_rejects_its_row_alone(bench: Bench, embedding: Any, reason: str) -> None:
    outcome = bench.ingest(row("A", embedding), row("B"))
    assert (outcome.accepted, outcome.rejected) == (1, 1)
    (line,) = bench.rejected
    assert (line.row, line.reason, line.field, line.sku) == (1, reason, "embedding", "A")
    assert line.row_rejected


def test_a_row_without_an_embedding_is_rejected_where_rows_bring_them(bench: Bench) -> None:
    picture = {"source": "a.jpg", "sha256": bench.picture}
    outcome = bench.ingest({"fields": {"sku": "A"}}, {"fields": {"sku": "B"}, "images": [picture]})
    assert outcome.rejected == 2
    assert {each.reason for each in bench.rejected} == {"EMBEDDING_MISSING"}
    assert outcome.embedded == ()


def test_an_embedding_whose_model_nobody_named_is_not_lost_in_silence(bench: Bench) -> None:
    bench.ingest(row(), embeddings="")
    assert [each.reason for each in bench.rejected] == ["EMBEDDING_MODEL_MISSING"]


def test_a_list_of_numbers_says_the_same_as_its_bytes(bench: Bench) -> None:
    assert bench.ingest(row("A", VECTOR)).embedded == bench.ingest(row()).embedded


def test_rows_with_another_embedding_have_another_digest(bench: Bench) -> None:
    picture = [{"source": "a.jpg", "sha256": bench.picture}]
    digests = []
    for embedding in (VECTOR, VECTOR, [1, 2, 3, 4]):
        bench.ingest(row("A", embedding, images=picture))
        digests.append(bench.accepted[0].digest)
    assert digests[0] == digests[1] != digests[2]


def test_a_dry_run_writes_no_embeddings(bench: Bench) -> None:
    outcome = bench.ingest(row(), validate_only=True)
    assert len(outcome.embedded) == 1
    assert bench.objects.size("emb") is None


_JUNK: Any = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(junk=_JUNK)
def test_whatever_stands_there_is_read_or_refused(junk: Any) -> None:
    with contextlib.suppress(BadEmbedding):
        assert RowEmbeddings(DIMENSION, "cosine").read(junk).values.shape == (DIMENSION,)
