"""A query worker keeps loaded what it is told to, and says what it has."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from services.core.adapters.file_objects import FileObjects
from services.core.domain.errors import DataLoss, Unavailable
from services.core.domain.keys import SERVING_KEY
from services.core.domain.model import Member, Model
from services.core.messages import Message, ModelsLoaded
from services.core.ports import RawMessage
from services.embedding.serving import Serving
from tests.unit.embedding_world import World, spec, world
from tests.waiting import eventually

SPECS = [spec(f"embedder {number}") for number in range(4)]
ONE, TWO, THREE, FOUR = (each.digest for each in SPECS)
BOTH = Model((Member(SPECS[0]), Member(SPECS[1])))


@dataclass
class Queue:
    """Keeps what is published, unless it is down."""

    sent: list[Message] = field(default_factory=list)
    down: bool = False

    def publish(self, message: Message) -> None:
        if self.down:
            raise Unavailable("no broker")
        self.sent.append(message)

    def republish(self, message: RawMessage) -> None:
        raise AssertionError("workers that serve do not need it")

    def models(self) -> list[tuple[str, ...]]:
        """What each announcement named."""
        told = [each for each in self.sent if isinstance(each, ModelsLoaded)]
        assert len(told) == len(self.sent)
        assert {each.worker for each in told} <= {"worker-1"}
        return [each.models for each in told]


@dataclass
class Scene:
    here: World
    objects: FileObjects
    queue: Queue
    serving: Serving
    now: list[float]

    def list(self, *digests: str) -> None:
        self.objects.put(SERVING_KEY, json.dumps({"models": digests}).encode())

    def look(self, seconds: float = 2.0) -> None:
        self.now[0] += seconds
        self.serving.look()


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    objects, queue, now = FileObjects(tmp_path), Queue(), [0.0]
    with world(*SPECS, BOTH, most=1) as here:
        serving = Serving(
            objects, here.host, queue, "worker-1", interval=0.01, clock=lambda: now[0]
        )
        yield Scene(here, objects, queue, serving, now)
        serving.close()


def test_models_of_the_list_are_loaded_and_announced(scene: Scene) -> None:
    scene.list(BOTH.digest, THREE)
    scene.look()
    assert sorted(scene.here.loads) == sorted((ONE, TWO, THREE))
    assert scene.queue.models() == [tuple(sorted((BOTH.digest, THREE)))]


def test_what_is_served_stays_loaded_however_many_others_are_used(scene: Scene) -> None:
    scene.list(ONE, TWO)
    scene.look()
    for digest in (THREE, FOUR):
        with scene.here.host.model(digest):
            pass
    assert {ONE, TWO} <= set(scene.here.host.digests)


def test_what_left_the_list_is_let_go(scene: Scene) -> None:
    scene.list(ONE, TWO)
    scene.look()
    scene.list(TWO)
    scene.look()
    assert scene.queue.models()[-1] == (TWO,)
    assert scene.here.host.digests == (TWO,)


def test_announcements_come_when_something_changes_and_every_ten_seconds(scene: Scene) -> None:
    for _ in range(11):
        scene.look(2.0)
    assert scene.queue.models() == [()] * 3
    scene.list(ONE)
    scene.look(0.1)
    assert scene.queue.models()[3:] == [(ONE,)]


def test_a_model_that_fails_to_load_is_not_announced_and_keeps_no_other_away(
    scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    scene.here.broken[ONE] = DataLoss("the weights are damaged")
    scene.list(ONE, "f" * 64, TWO)
    for _ in range(16):
        scene.look(2.0)
    assert set(scene.queue.models()) == {(TWO,)}
    assert capsys.readouterr().out.count("the weights are damaged") == 1
    for _ in range(16):
        scene.look(2.0)
    assert capsys.readouterr().out.count("the weights are damaged") == 1
    scene.here.broken.clear()
    scene.look()
    assert scene.queue.models()[-1] == tuple(sorted((ONE, TWO)))


@pytest.mark.parametrize("content", [b"", b"[]", b'{"models": ["x"]}', b'{"models": 5}', b"{}"])
def test_a_damaged_list_changes_nothing(scene: Scene, content: bytes) -> None:
    scene.list(ONE)
    scene.look()
    scene.objects.put(SERVING_KEY, content)
    scene.look(20)
    assert scene.queue.models() == [(ONE,), (ONE,)]


def test_what_the_broker_did_not_take_is_announced_again(scene: Scene) -> None:
    scene.list(ONE)
    scene.queue.down = True
    scene.look()
    scene.queue.down = False
    scene.look(0.1)
    assert scene.queue.models() == [(ONE,)]


def test_everything_is_tried_before_the_start_returns_and_goes_on_after(scene: Scene) -> None:
    scene.list(ONE)
    scene.serving.start()
    assert scene.here.host.digests == (ONE,)
    scene.list(ONE, TWO)
    eventually(lambda: scene.queue.models()[-1:] == [tuple(sorted((ONE, TWO)))], 20, "announced")


class Gone(FileObjects):
    def get(self, key: str) -> bytes:
        raise Unavailable("no object store")


def test_a_start_without_object_store_says_so_and_can_be_repeated(
    scene: Scene, tmp_path: Path
) -> None:
    serving = Serving(Gone(tmp_path), scene.here.host, scene.queue, "worker-1", clock=lambda: 0.0)
    for _ in range(2):
        with pytest.raises(Unavailable):
            serving.start()
    serving.close()
