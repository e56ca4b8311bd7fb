"""The table of all faults: what is broken, by name, and how it heals.

Not here: a model that is switched while users search. Nothing can switch models yet.
"""

import os
import random
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from tests.chaos.crash_points import Point
from tests.chaos.message_faults import Poison, poison, repeat_and_shuffle
from tests.chaos.object_faults import ObjectFault
from tests.chaos.tcp_proxy import TcpProxy
from tests.chaos.world import PAIRS, SERVERS, World

Heal = Callable[[], None]
Begin = Callable[[World, random.Random], Heal]

SERVICES = (
    "gateway",
    "coordinator",
    "ingestion",
    "embedding-bulk",
    "embedding-query",
    "indexing",
)
CRASHES: tuple[tuple[Point, str], ...] = (
    (Point.STORED, "gateway"),
    (Point.STORED, "ingestion"),
    (Point.STORED, "embedding-bulk"),
    (Point.BEFORE_REPORT, "ingestion"),
    (Point.BEFORE_REPORT, "embedding-bulk"),
    (Point.BEFORE_REPORT, "indexing"),
    (Point.REPORTED, "ingestion"),
    (Point.REPORTED, "embedding-bulk"),
    (Point.REPORTED, "indexing"),
    (Point.UPSERTED, "indexing"),
    (Point.BEFORE_COMMIT, "gateway"),
    (Point.BEFORE_COMMIT, "coordinator"),
    (Point.COMMITTED, "gateway"),
    (Point.COMMITTED, "coordinator"),
)
LINK_FAULTS: Mapping[str, Callable[[TcpProxy], None]] = {
    "cut": TcpProxy.cut,
    "half-open": TcpProxy.half_open,
    "partition": TcpProxy.partition,
    "vanish": TcpProxy.vanish,
    "500 ms": TcpProxy.delay,
    "slices": TcpProxy.slice,
}
WORK_QUEUES: Mapping[str, str] = {  # and who works them off
    "ingest.manifest": "ingestion",
    "ingest.shard": "ingestion",
    "embed.bulk": "embedding-bulk",
    "embed.single": "embedding-bulk",
    "index": "indexing",
    "control": "coordinator",
}
_LATEST_PASS = 4  # of a crash point
_ALARM_BYTES = 20 << 20  # below RabbitMQ's limit, where it blocks publishers
_PILE_SECONDS = 15.0  # for messages to pile up
_LOOK_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Fault:
    """`begin` breaks something and returns what heals it. `holds`: how long it lasts (seconds);
    None leaves it to the run. Two faults that share one of `targets` do not run at once."""

    name: str
    group: str
    targets: frozenset[str]
    begin: Begin
    holds: float | None = None


def table(stop_seconds: float = 30.0) -> dict[str, Fault]:
    """All faults by name. Processes are stopped for `stop_seconds`."""
    found = [
        *(_kill_service(each) for each in SERVICES),
        *(_kill_server(each) for each in SERVERS),
        *(_crash(point, service) for point, service in CRASHES),
        *(_suspend_service(each, stop_seconds) for each in SERVICES),
        *(_suspend_server(each, stop_seconds) for each in SERVERS),
        Fault("rolling restart", "restart", frozenset(SERVICES), _rolling_restart, 0.0),
        *(_link(pair, kind) for pair in PAIRS for kind in LINK_FAULTS),
        *(_object_store(each) for each in ObjectFault),
        *(_full_disk(each) for each in ("objects", "broker", "records")),
        *(_shuffle(each) for each in WORK_QUEUES),
        *(_poison(each) for each in Poison),
    ]
    return {each.name: each for each in found}


def _kill_service(service: str) -> Fault:
    def begin(world: World, _: random.Random) -> Heal:
        world.hold(service)
        world.services[service].kill()
        return lambda: world.release(service)

    return Fault(f"kill {service}", "kill", frozenset({service}), begin)


def _kill_server(server: str) -> Fault:
    def begin(world: World, _: random.Random) -> Heal:
        world.server(server).kill()
        return world.server(server).start

    return Fault(f"kill {server}", "kill server", frozenset({server}), begin)


def _crash(point: Point, service: str) -> Fault:
    """The service is started anew so that it dies at the point; once it is dead it stays so."""

    def begin(world: World, rng: random.Random) -> Heal:
        process = world.services[service]
        world.hold(service)
        process.kill()
        process.start(("tests.chaos.crash_points", f"{point}:{rng.randint(1, _LATEST_PASS)}"))

        def heal() -> None:
            reached = "never came to" if process.alive else "died at"
            world.effects.append(f"{service} {reached} {point}")
            process.kill()
            world.release(service)

        return heal

    return Fault(f"crash {point} {service}", "crash", frozenset({service}), begin, 15.0)


def _suspend_service(service: str, seconds: float) -> Fault:
    def begin(world: World, _: random.Random) -> Heal:
        world.hold(service)
        pid = world.services[service].pid
        os.kill(pid, signal.SIGSTOP)

        def heal() -> None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
            world.release(service)

        return heal

    return Fault(f"stop {service}", "stop", frozenset({service}), begin, seconds)


def _suspend_server(server: str, seconds: float) -> Fault:
    def begin(world: World, _: random.Random) -> Heal:
        pids = world.server(server).pids
        _signal(pids, signal.SIGSTOP)
        return lambda: _signal(pids, signal.SIGCONT)

    return Fault(f"stop {server}", "stop", frozenset({server}), begin, seconds)


def _rolling_restart(world: World, _: random.Random) -> Heal:
    """One service after the other ends in order and comes back, under load."""
    for name, service in world.services.items():
        world.hold(name)
        code = service.stop()
        if code:
            world.ended.append((f"{name} at SIGTERM", code))
        world.release(name)
    return lambda: None


def _link(pair: tuple[str, str], kind: str) -> Fault:
    def begin(world: World, _: random.Random) -> Heal:
        proxy = world.proxies[pair]
        LINK_FAULTS[kind](proxy)
        return proxy.heal

    name = f"{kind} {pair[0]}-{pair[1]}"
    return Fault(name, f"link {kind}", frozenset({f"{pair[0]}-{pair[1]}"}), begin)


def _object_store(kind: ObjectFault) -> Fault:
    def begin(world: World, rng: random.Random) -> Heal:
        share = rng.choice((0.3, 0.6, 1.0))
        world.object_faults.inject(kind, share, seed=rng.randrange(1 << 30))
        return world.object_faults.heal

    return Fault(f"objects {kind}", "object store", frozenset({"object faults"}), begin)


def _full_disk(server: str) -> Fault:
    def begin(world: World, _: random.Random) -> Heal:
        disk = world.disks[server]
        filled = disk.fill(leave=_ALARM_BYTES if server == "broker" else 0)
        world.effects.append(f"the disk of {server} is full" if filled else "no right to mount")

        def heal() -> None:
            disk.free()
            world.server(server).restart_if_dead()

        return heal

    return Fault(f"disk full {server}", "disk", frozenset({server}), begin)


def _shuffle(queue: str) -> Fault:
    """Its workers die, so that messages pile up; these they find three times, in another order."""
    service = WORK_QUEUES[queue]

    def begin(world: World, rng: random.Random) -> Heal:
        several = [name for name in world.services if name.startswith(service)]
        for each in several:
            world.hold(each)
            world.services[each].kill()
        end, taken = time.monotonic() + _PILE_SECONDS, 0
        while not taken and time.monotonic() < end:
            time.sleep(_LOOK_SECONDS)
            taken = repeat_and_shuffle(world.cluster.broker, queue, rng)
        world.effects.append(f"{taken} messages of {queue} repeated")

        def heal() -> None:
            for each in several:
                world.release(each)

        return heal

    targets = frozenset({"broker", service})
    return Fault(f"repeat and shuffle {queue}", "messages", targets, begin, 0.0)


def _poison(kind: Poison) -> Fault:
    def begin(world: World, rng: random.Random) -> Heal:
        for queue in WORK_QUEUES:
            poison(world.cluster.broker, queue, kind, f"{kind} {queue} {rng.randrange(1 << 30)}")
        return lambda: None

    return Fault(f"poison {kind}", "poison", frozenset({"broker"}), begin, 1.0)


def _signal(pids: list[int], number: signal.Signals) -> None:
    for each in pids:
        with suppress(ProcessLookupError):
            os.kill(each, number)
