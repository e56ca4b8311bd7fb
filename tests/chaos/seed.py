"""One seed: a cluster, its customers, faults one after the other, and the reckoning."""

import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from shelflens import Client
from shelflens.errors import ShelflensError
from tests.chaos.customers import FED, SHOP, Customer, Editor, Importer, Searcher
from tests.chaos.faults import Fault, table
from tests.chaos.feeds import Feed
from tests.chaos.invariants import Windows, check_deadlines, check_memory
from tests.chaos.journal import Journal
from tests.chaos.probe import PROMISED_SECONDS, Probe
from tests.chaos.reckoning import drain, reckon
from tests.chaos.world import World
from tests.waiting import eventually

_WARM_SECONDS = 90.0
_TWO_AT_ONCE = 0.2
_HOLDS = (3.0, 8.0)
_AFTERGLOW = 2.0  # seconds after the gateway is back in which its searches may still be late
_SEVERAL = {"coordinator": 2, "ingestion": 2, "indexing": 2}  # in seeds with odd numbers
_KILLING = frozenset({"kill", "kill server", "crash", "stop", "restart", "messages"})
_GATEWAY = frozenset({"gateway", "client-gateway"})


@dataclass(frozen=True, slots=True)
class Plan:
    """How much a seed does. No new fault begins after `fault_seconds`. `names` are the faults to
    inject instead of those that are the seed's turn."""

    products: int = 80
    faults: int = 11
    fault_seconds: float = 200.0
    stop_seconds: float = 30.0
    names: tuple[str, ...] = ()


@dataclass(slots=True)
class Round:
    """One fault, or two at once. `recovery` in seconds, infinite when it never came."""

    faults: list[str]
    recovery: float
    last_error: str = ""


@dataclass(slots=True)
class Outcome:
    """What a seed found. `notes` violate nothing and are worth knowing."""

    seed: int
    seconds: float = 0.0
    rounds: list[Round] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    notes: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def choose(seed: int, plan: Plan) -> list[Fault]:
    """The faults of a seed. Seeds that follow each other go through the whole table in turn."""
    faults = table(plan.stop_seconds)
    if plan.names:
        return [faults[each] for each in plan.names]
    first = seed * plan.faults
    chosen = []
    for position in range(first, first + plan.faults):
        turn, place = divmod(position, len(faults))
        order = sorted(faults)
        random.Random(turn).shuffle(order)
        chosen.append(faults[order[place]])
    return chosen


def in_rounds(faults: Sequence[Fault], rng: random.Random) -> Iterator[list[Fault]]:
    """One after the other, sometimes two at once that do not meet."""
    waiting = list(faults)
    while waiting:
        together = [waiting.pop(0)]
        both = waiting and not together[0].targets & waiting[0].targets
        if both and rng.random() < _TWO_AT_ONCE:
            together.append(waiting.pop(0))
        yield together


def run_seed(seed: int, folder: Path, plan: Plan | None = None) -> Outcome:
    """Runs everything below `folder`, which must not exist, and returns what was found."""
    plan = plan or Plan()
    began = time.monotonic()
    folder.mkdir(parents=True)
    run = _Run(seed, folder, plan)
    try:
        run.go()
    except Exception as error:
        run.outcome.violations.append(f"the run broke: {type(error).__name__}: {error}")
        run.journal.line("run.broken", error=repr(error))
    run.outcome.seconds = round(time.monotonic() - began, 1)
    return run.outcome


class _Run:
    def __init__(self, seed: int, folder: Path, plan: Plan) -> None:
        self.outcome = Outcome(seed)
        self.journal = Journal(folder / "journal.jsonl")
        self._plan = plan
        self._rng = random.Random(seed)
        self._folder = folder
        self._excused: Windows = []
        self._killing = False

    def go(self) -> None:
        feeds = {
            catalog: Feed(self._folder / catalog, catalog, self._plan.products, self.outcome.seed)
            for catalog in (FED, SHOP)
        }
        with World(self._folder, _SEVERAL if self.outcome.seed % 2 else None) as world:
            customers = self._customers(world.target, feeds)
            for each in customers:
                each.start()
            try:
                self._warm_up(world)
                before = world.memory()
                self._break_things(world)
            finally:
                for each in customers:
                    each.stopping.set()
            for each in customers:
                each.join(60)
            self._note(customers, world)
            told = drain(world, self.journal)
            after = world.memory()
            told += reckon(world, self.journal, self._killing, self.outcome.notes)
            told += check_deadlines(self.journal, self._excused)
            told += check_memory(before, after)
            self.outcome.notes["MiB"] = {
                name: [size >> 20, after.get(name, 0) >> 20] for name, size in before.items()
            }
            codes = world.stop()
            told += [f"{name} ended with {code} at SIGTERM" for name, code in codes.items() if code]
            self.outcome.violations += told

    def _customers(self, target: str, feeds: dict[str, Feed]) -> list[Customer]:
        rest = (target, self.outcome.seed, self.journal)
        contested = feeds[SHOP].skus[:8]
        return [
            Importer(FED, feeds[FED], True, *rest),
            Importer(SHOP, feeds[SHOP], False, *rest),
            Editor(SHOP, contested, *rest),
            Searcher(*rest),
        ]

    def _warm_up(self, world: World) -> None:
        """Until both catalogues have products that searches find."""

        def warm() -> bool:
            with Client(world.target, timeout=10) as client:
                try:
                    counts = [client.get_catalog(each).image_count for each in (FED, SHOP)]
                except ShelflensError:
                    return False
            answered = sum(not each.code for each in self.journal.searches)
            return min(counts) > self._plan.products // 2 and answered > 3

        eventually(warm, _WARM_SECONDS, "the first imports are searchable")
        self.journal.line("warm", memory=world.memory())

    def _break_things(self, world: World) -> None:
        probe = Probe(self._folder / "probes", world.target)
        end = time.monotonic() + self._plan.fault_seconds
        for together in in_rounds(choose(self.outcome.seed, self._plan), self._rng):
            if time.monotonic() > end:
                break
            self._break(world, together)
            recovery, last = probe.recovery()
            done = Round([each.name for each in together], round(recovery, 1), last)
            self.outcome.rounds.append(done)
            self.journal.line("recovered", faults=done.faults, seconds=done.recovery, last=last)
            if recovery > PROMISED_SECONDS:
                names = " + ".join(done.faults)
                self.outcome.violations.append(f"{recovery:.0f} s to recover from {names}: {last}")

    def _break(self, world: World, together: list[Fault]) -> None:
        first = time.time()
        heals = []
        for fault in together:
            self.journal.line("fault.begins", fault=fault.name)
            self._killing |= fault.group in (
                "kill",
                "crash",
                "kill server",
                "messages",
                "restart",
                "stop",
            )
            heals.append(fault.begin(world, self._rng))
        held = [each.holds for each in together]
        time.sleep(max(self._rng.uniform(*_HOLDS) if each is None else each for each in held))
        for fault, heal in zip(together, heals, strict=True):
            heal()
            self.journal.line("fault.healed", fault=fault.name)
        if any(each.targets & _GATEWAY for each in together):
            self._excused.append((first, time.time() + _AFTERGLOW))

    def _note(self, customers: list[Customer], world: World) -> None:
        outcome = self.outcome
        for each in customers:
            if each.broken:
                outcome.violations.append(f"customer {each.broken}")
            elif each.is_alive():
                outcome.violations.append(f"customer {each.name} still waits for an answer")
        codes = Counter(each.code or "OK" for each in self.journal.searches)
        outcome.notes["searches"] = dict(codes)
        outcome.notes["ended by themselves"] = [f"{name}: {code}" for name, code in world.ended]
        outcome.notes["effects"] = world.effects
        outcome.notes["writes"] = len(self.journal.writes)
        outcome.notes["uploads"] = len(self.journal.uploads)
