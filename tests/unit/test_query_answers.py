"""Queries and answers as bytes, and what a worker makes of the one and the other."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from services.core.adapters.file_objects import FileObjects
from services.core.adapters.query_wire import (
    QUERY_PREFIX,
    read_answer,
    read_pictures,
    read_query,
    write_answer,
    write_pictures,
    write_query,
)
from services.core.domain.errors import (
    FailedPrecondition,
    InvalidArgument,
    InvalidImage,
    ShelflensError,
    Unavailable,
)
from services.core.messages import EmbedQuery
from services.core.ports import QueryEmbedding
from services.core.runtime.fatal import FatalWorkerError
from services.embedding.query_replies import Replies
from services.embedding.query_tasks import QueryAnswers
from tests.contract.embedders import SmallModel, embedder_here, photo, small_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> SmallModel:
    return small_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> FileObjects:
    return FileObjects(tmp_path_factory.mktemp("objects"))


@pytest.fixture(scope="module")
def answers(model: SmallModel, objects: FileObjects) -> Iterator[QueryAnswers]:
    with embedder_here(model) as embedder:
        yield QueryAnswers(embedder, objects)


def query(digest: str = "ab" * 32, seconds: float = 60.0) -> EmbedQuery:
    return EmbedQuery(
        id="q1", operation="", revision=0, model_digest=digest, expires=time.time() + seconds
    )


def test_a_query_is_read_as_it_was_written() -> None:
    message = replace(query(), explain=("ab" * 32, "cd" * 32))
    for data in (b"", b"\x00{}\xff", photo(1)):
        assert read_query(write_query(message, data)) == (message, data)


def test_an_answer_is_read_as_it_was_written() -> None:
    embedding = np.random.default_rng(1).normal(size=1280).astype(np.float32)
    found = read_answer(write_answer(QueryEmbedding(embedding, 3.25, {"decode": 1.5})))
    assert np.array_equal(found.embedding, embedding)
    assert (found.norm, found.timings_ms) == (3.25, {"decode": 1.5})


def test_pictures_are_read_as_they_were_written() -> None:
    png = b"\x89PNG\r\n\x1a\n"
    for pictures in ([png + b"a"], [b"", png, b"", png + b"b" * 1000], [b""]):
        assert read_pictures(write_pictures(pictures), len(pictures)) == pictures


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (write_pictures([b"", b""]), "it holds no 3 pictures"),
        (write_pictures([b"<svg", b"", b""]), "no PNG files"),
        (write_pictures([b""] * 3) + b"more", "other lengths"),
        (write_answer(QueryEmbedding(np.ones(4, np.float32), 1.0, {})), "it holds no 3 pictures"),
        (b"", "it is not framed"),
    ],
)
def test_other_answers_than_the_pictures_asked_for_are_refused(body: bytes, problem: str) -> None:
    with pytest.raises(Unavailable, match=problem) as caught:
        read_pictures(body, 3)
    assert caught.value.reason == "BAD_ANSWER"
    with pytest.raises(InvalidImage):
        read_pictures(write_answer(InvalidImage("a")), 3)


class Special(InvalidImage):
    """A kind of error that the reader does not know."""


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (InvalidImage("a", reason="IMAGE_EMPTY", metadata={"x": "ä"}), InvalidImage),
        (Special("a"), InvalidImage),
        (ShelflensError("a"), Unavailable),
    ],
)
def test_an_error_comes_back_as_the_nearest_kind_that_both_ends_know(
    error: ShelflensError, kind: type[ShelflensError]
) -> None:
    with pytest.raises(kind) as caught:
        read_answer(write_answer(error))
    found = caught.value
    assert type(found) is kind
    assert (found.message, found.reason, found.metadata) == ("a", error.reason, error.metadata)


@pytest.mark.parametrize(
    "change",
    [
        {"expires": "soon"},
        {"expires": float("nan")},
        {"expires": None},
        {"model_digest": 5},
        {"object": "images/secret"},
        {"object": "../../etc/passwd"},
        {"object": QUERY_PREFIX + "another"},
        {"explain": "ab" * 32},
        {"explain": (5,)},
        {"explain": None},
    ],
)
def test_a_query_with_wrong_fields_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(InvalidArgument) as caught:
        read_query(write_query(replace(query(), **change), b""))  # type: ignore[arg-type]
    assert caught.value.reason == "BAD_MESSAGE"


def test_no_prefix_of_a_query_is_anything_but_refused_or_a_shorter_photo() -> None:
    body = write_query(query(), b"photo")
    for length in range(len(body) - len(b"photo")):
        with pytest.raises(InvalidArgument):
            read_query(body[:length])


def test_a_photo_is_answered_with_its_embedding(answers: QueryAnswers, model: SmallModel) -> None:
    answer = answers.answer(write_query(query(model.spec.digest), photo(1)))
    assert answer is not None
    found = read_answer(answer)
    assert found.embedding.shape == (model.spec.embedding_dim,)
    assert found.timings_ms.keys() == {"decode", "embed"}


def test_a_large_photo_is_read_from_its_object_and_left_there(
    answers: QueryAnswers, model: SmallModel, objects: FileObjects
) -> None:
    key = QUERY_PREFIX + "q1"
    objects.put(key, photo(1))
    body = write_query(replace(query(model.spec.digest), object=key), b"")
    first, again = answers.answer(body), answers.answer(body)  # delivered twice
    assert first is not None
    assert again is not None
    assert np.array_equal(read_answer(first).embedding, read_answer(again).embedding)
    objects.delete(key)
    assert answers.answer(body) is None


def test_a_query_that_nobody_waits_for_is_not_answered(
    answers: QueryAnswers, model: SmallModel
) -> None:
    for seconds in (-1.0, 0.001):
        assert answers.answer(write_query(query(model.spec.digest, seconds), photo(1))) is None


@pytest.mark.parametrize("data", [b"", b"GIF89a", photo(1)[:300]])
def test_a_bad_photo_is_answered_with_its_reason(
    answers: QueryAnswers, model: SmallModel, data: bytes
) -> None:
    answer = answers.answer(write_query(query(model.spec.digest), data))
    assert answer is not None
    with pytest.raises(InvalidImage):
        read_answer(answer)


def test_an_unknown_model_and_an_unreadable_query_are_answered(answers: QueryAnswers) -> None:
    answer = answers.answer(write_query(query(), photo(1)))
    assert answer is not None
    with pytest.raises(FailedPrecondition, match="abababababab"):
        read_answer(answer)
    answer = answers.answer(b"nonsense")
    assert answer is not None
    with pytest.raises(InvalidArgument):
        read_answer(answer)


class Failing(FileObjects):
    """An object store that fails as it is told to."""

    def __init__(self, error: Exception) -> None:
        super().__init__(Path("unused"))
        self._error = error

    def get(self, key: str) -> bytes:
        raise self._error


def test_a_failure_that_nobody_foresaw_is_answered_without_its_details(model: SmallModel) -> None:
    with embedder_here(model) as embedder:
        answer = QueryAnswers(embedder, Failing(RuntimeError("secret"))).answer(in_object())
    assert answer is not None
    with pytest.raises(Unavailable) as caught:
        read_answer(answer)
    assert caught.value.reason == "EMBEDDING_FAILED"
    assert "secret" not in caught.value.message


def test_a_broken_process_leaves_its_queries_to_others(model: SmallModel) -> None:
    with embedder_here(model) as embedder:
        answers = QueryAnswers(embedder, Failing(FatalWorkerError("the GPU is gone")))
        with pytest.raises(FatalWorkerError):
            answers.answer(in_object())


def in_object() -> bytes:
    return write_query(replace(query(), object=QUERY_PREFIX + "q1"), b"")


def test_an_answer_goes_to_no_queue() -> None:
    replies = Replies("amqp://127.0.0.1:1//")
    for address in ("control", "", "amq.rabbitmq.reply-to", "None"):
        with pytest.raises(ValueError, match="address"):
            replies.send(address, "id", b"answer")
