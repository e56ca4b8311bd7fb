"""What cannot be delivered or done ends in `dead` with its reason, over a real RabbitMQ."""

import json
import pickle
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from services.core import dead_letter_headers as dead
from services.core.adapters.celery_queue import CeleryQueue
from services.core.domain.errors import FailedPrecondition, Unavailable
from services.core.messages import ModelOffered
from services.core.runtime.celery_app import make_app
from services.core.runtime.declaring import declare, declare_all
from services.core.runtime.topology import DELIVERY_LIMIT, Topology, topology
from services.core.runtime.worker_process import EXIT_BROKEN
from tests.integration.delivery_world import SECONDS, Delivery, drop, reason_of
from tests.servers.rabbitmq import RabbitMq
from tests.waiting import eventually

pytestmark = pytest.mark.servers


@pytest.fixture
def delivery(rabbitmq: RabbitMq, tmp_path: Path) -> Iterator[Delivery]:
    made = Delivery(rabbitmq, tmp_path)
    made.declare()
    yield made
    made.close()


def short_index(prefix: str, length: int) -> Topology:
    table = topology(prefix)
    index = table.routes["index"]
    index = replace(index, arguments=dict(index.arguments) | {"x-max-length": length})
    return replace(table, routes=dict(table.routes) | {"index": index})


def test_declaring_twice_changes_nothing(delivery: Delivery) -> None:
    delivery.publish(drop("a"))
    delivery.declare()
    assert delivery.waiting("index") == 1


def test_a_queue_with_other_settings_is_named_with_what_to_do(delivery: Delivery) -> None:
    prefix = delivery.prefix + "other."
    app = make_app(delivery.broker.url, prefix=prefix)
    with app.connection_for_write() as connection:
        declare(connection, short_index(prefix, 3))
    try:
        with pytest.raises(FailedPrecondition, match=f"{prefix}index.*x-max-length.*delete") as got:
            declare_all(delivery.broker.url, prefix)
        assert got.value.reason == "QUEUE_MISMATCH"
        with pytest.raises(FailedPrecondition):
            CeleryQueue(app).publish(drop("a"))
    finally:
        delivery.broker.delete(prefix)


def test_a_message_that_no_queue_takes_is_dead_and_not_gone(delivery: Delivery) -> None:
    delivery.publish_raw(b"{}", routing_key="no.such.queue")
    (message,) = delivery.dead(1)
    assert reason_of(message) == "UNROUTABLE"
    assert message.delivery_info["routing_key"] == delivery.prefix + "no.such.queue"


def test_a_full_queue_refuses_and_loses_nothing(delivery: Delivery) -> None:
    prefix = delivery.prefix + "short."
    app = make_app(delivery.broker.url, prefix=prefix)
    app.declare = lambda connection: declare(connection, short_index(prefix, 20))
    queue = CeleryQueue(app)
    try:
        taken = [_refusal(queue) for _ in range(60)].count("")
        assert taken < 60
        assert _refusal(queue) == "QUEUE_FULL"
        assert delivery.broker.waiting(prefix + "index") == taken
        delivery.broker.take(prefix + "index")
        eventually(lambda: not _refusal(queue), SECONDS, "there is room again")
    finally:
        queue.close()
        delivery.broker.delete(prefix)


def _refusal(queue: CeleryQueue) -> str:
    try:
        queue.publish(drop("a"))
    except Unavailable as error:
        return error.reason
    return ""


def task(message: Any, name: str = "indexing.drop", **headers: Any) -> dict[str, Any]:
    body = json.dumps([[], {"message": message}, {}]).encode()
    return {"body": body, "headers": {"task": name, "id": "x", **headers}}


class Bomb:
    """Unpickling it would end the worker."""

    def __reduce__(self) -> Any:
        return (exit, (3,))


GOOD = drop("x").to_json()
EMBED = {"callbacks": [{"task": "indexing.drop", "args": [], "options": {"queue": "index"}}]}
HOSTILE: dict[str, tuple[str, dict[str, Any]]] = {
    "no JSON": ("UNDECODABLE", task(GOOD) | {"body": b"{never closed"}),
    "no text": ("UNDECODABLE", task(GOOD) | {"body": b"\xff\xfe\x00"}),
    "deep JSON": ("UNDECODABLE", task(GOOD) | {"body": b"[" * 100_000}),
    "empty": ("UNDECODABLE", task(GOOD) | {"body": b""}),
    "no task message": ("UNDECODABLE", task(GOOD) | {"body": b'{"a": 1}'}),
    "no headers": ("UNDECODABLE", {"body": b'{"hello": "world"}'}),
    "protocol 1": ("UNDECODABLE", {"body": b'{"task": "indexing.drop", "id": "1", "args": []}'}),
    "no id": ("UNDECODABLE", {"body": task(GOOD)["body"], "headers": {"task": "indexing.drop"}}),
    "odd task header": ("UNDECODABLE", task(GOOD, name=["indexing.drop"])),  # type: ignore[arg-type]
    "odd retries": ("UNDECODABLE", task(GOOD, retries="many")),
    "callbacks": (
        "UNDECODABLE",
        task(GOOD) | {"body": json.dumps([[], {"message": GOOD}, EMBED]).encode()},
    ),
    "unknown task": ("UNKNOWN_TASK", task(GOOD, name="os.system")),
    "a task of Celery's": ("UNKNOWN_TASK", task(GOOD, name="celery.backend_cleanup")),
    "other schema": ("UNKNOWN_SCHEMA", task(GOOD | {"schema": 99})),
    "missing fields": ("BAD_MESSAGE", task({"schema": 1, "id": "x"})),
    "wrong kinds": ("BAD_MESSAGE", task(GOOD | {"id": ["x"]})),
    "no object": ("BAD_MESSAGE", task(5)),
    "4 MB": ("TOO_LARGE", task(GOOD) | {"body": b" " * 4_000_000}),
    "pickle": (
        "CONTENT_TYPE_REFUSED",
        task(GOOD)
        | {
            "body": pickle.dumps(Bomb()),
            "content_type": "application/x-python-serialize",
            "content_encoding": "binary",
        },
    ),
    "yaml": ("CONTENT_TYPE_REFUSED", task(GOOD) | {"content_type": "application/x-yaml"}),
    "odd codec": ("CONTENT_TYPE_REFUSED", task(GOOD) | {"content_encoding": "punycode"}),
    "compressed": ("CONTENT_TYPE_REFUSED", task(GOOD, compression="application/x-gzip")),
}


def test_hostile_messages_are_dead_with_a_reason_and_the_worker_lives(delivery: Delivery) -> None:
    worker = delivery.ready()
    for name, (_, message) in HOSTILE.items():
        options = message | {"headers": {**message.get("headers", {}), "test": name}}
        delivery.publish_raw(options.pop("body"), **options)
    found = {each.headers["test"]: each for each in delivery.dead(len(HOSTILE))}
    assert {name: reason_of(each) for name, each in found.items()} == {
        name: reason for name, (reason, _) in HOSTILE.items()
    }
    assert bytes(found["pickle"].body) == HOSTILE["pickle"][1]["body"]
    assert {each.headers[dead.QUEUE] for each in found.values()} == {delivery.prefix + "index"}
    assert all(each.headers[dead.DETAIL] for each in found.values())
    delivery.publish(drop("good"))
    eventually(lambda: delivery.seen("end")["good"], SECONDS, "the next good message is done")
    assert worker.poll() is None
    assert delivery.seen("begin") == Counter({"good": 1})


def test_a_date_in_the_headers_does_not_hold_a_message_up(delivery: Delivery) -> None:
    delivery.ready()
    delivery.publish_raw(**task(GOOD, eta="2999-01-01T00:00:00", expires="1999-01-01T00:00:00"))
    eventually(lambda: delivery.seen("end")["x"], SECONDS, "the message is done")


def test_a_storm_of_hostile_messages_does_not_stop_the_good_ones(delivery: Delivery) -> None:
    def storm() -> None:
        for _ in range(50):
            delivery.publish_raw(b"\x00" * 10_000)

    threads = [threading.Thread(target=storm) for _ in range(4)]
    delivery.ready()
    for each in threads:
        each.start()
    for number in range(20):
        delivery.publish(drop(str(number)))
    for each in threads:
        each.join()
    eventually(lambda: len(delivery.seen("end")) == 20, SECONDS, "20 good messages are done")
    assert {reason_of(each) for each in delivery.dead(200)} == {"UNDECODABLE"}


def test_a_task_of_another_worker_is_unknown_here(delivery: Delivery) -> None:
    delivery.ready()
    offered = ModelOffered(id="m", operation="", revision=0, name="n", spec="{}")
    delivery.publish_raw(**task(offered.to_json(), name=offered.TASK))
    assert reason_of(delivery.dead(1)[0]) == "UNKNOWN_TASK"


@pytest.mark.parametrize(("collection", "code"), [("die", -9), ("fatal", EXIT_BROKEN)])
def test_a_message_that_ends_its_workers_again_and_again_is_dead(
    delivery: Delivery, collection: str, code: int
) -> None:
    delivery.publish(drop("killer", collection))
    for _ in range(2):
        assert delivery.work().wait(SECONDS) == code
    for _ in range(DELIVERY_LIMIT - 1):
        eventually(delivery.take_and_die, SECONDS, "the message is back")
    (message,) = delivery.dead(1)
    assert reason_of(message) == "DELIVERY_LIMIT"
    assert message.delivery_info["routing_key"] == delivery.prefix + "index"
    assert delivery.seen("begin") == Counter({"killer": 2})
