"""`python -m tests.chaos 1-20`: runs seeds, keeps their results, prints what each fault cost.

Seeds whose results are in the file already are not run again, so that an interrupted run goes on.
"""

import argparse
import json
import shutil
import signal
import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.chaos import faults
from tests.chaos.seed import Plan, run_seed

BUILD = Path(__file__).parents[2] / "build"


def main() -> int:
    """0 when no seed found a violation."""
    options = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # servers end with their with blocks
    options.results.parent.mkdir(parents=True, exist_ok=True)
    if options.fresh:
        options.results.unlink(missing_ok=True)
    done = _read(options.results)
    for seed in options.seeds:
        if seed in done:
            continue
        say(f"# seed {seed}")
        done[seed] = _run(
            seed, options.results, Plan(faults=options.faults, names=tuple(options.only))
        )
    shown = [done[seed] for seed in options.seeds]
    for line in table(shown):
        say(line)
    return 1 if any(each["violations"] for each in shown) else 0


def table(outcomes: Iterable[dict[str, Any]]) -> Iterable[str]:
    """Lines: each fault with how often it was injected, how many of its seeds had violations, and
    the slowest recovery (seconds)."""
    counts: defaultdict[str, list[float]] = defaultdict(list)
    bad: defaultdict[str, int] = defaultdict(int)
    violations, total = 0, 0
    for outcome in outcomes:
        total += 1
        violations += len(outcome["violations"])
        for each in outcome["rounds"]:
            for name in each["faults"]:
                counts[name].append(each["recovery"])
                bad[name] += bool(outcome["violations"])
    yield f"{'fault':40} {'count':>5} {'bad seeds':>9} {'slowest recovery':>16}"
    for name in sorted(counts):
        slowest = max(counts[name])
        yield f"{name:40} {len(counts[name]):5} {bad[name]:9} {slowest:14.1f} s"
    yield f"{total} seeds, {sum(map(len, counts.values()))} faults, {violations} violations"


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _run(seed: int, results: Path, plan: Plan) -> dict[str, Any]:
    folder = results.parent / "chaos" / f"seed-{seed}"
    shutil.rmtree(folder, ignore_errors=True)
    outcome = run_seed(seed, folder, plan)
    told = outcome.to_json()
    with results.open("a", encoding="utf-8") as file:
        file.write(json.dumps(told, default=str) + "\n")
    say(f"  {len(outcome.rounds)} rounds, {outcome.seconds:.0f} s, {outcome.notes}")
    for each in outcome.rounds:
        say(f"  {' + '.join(each.faults)}: recovered in {each.recovery} s")
    for violation in outcome.violations:
        say(f"  VIOLATION {violation}")
    if outcome.violations:
        say(f"  logs: {folder}")
    else:
        shutil.rmtree(folder, ignore_errors=True)
    return told


def _read(results: Path) -> dict[int, dict[str, Any]]:
    if not results.exists():
        return {}
    lines = results.read_text(encoding="utf-8").splitlines()
    return {each["seed"]: each for each in map(json.loads, lines)}


def _seeds(text: str) -> list[int]:
    """`3`, `1-20` or `1,4,7-9`."""
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def _names(text: str) -> list[str]:
    names = [each.strip() for each in text.split(",")]
    if unknown := set(names) - set(faults.table()):
        known = "\n".join(faults.table())
        raise argparse.ArgumentTypeError(
            f"no faults: {', '.join(sorted(unknown))}; these are:\n{known}"
        )
    return names


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("seeds", type=_seeds, help="as 1-20 or 1,4,7-9")
    parser.add_argument("--results", type=Path, default=BUILD / "chaos.jsonl")
    parser.add_argument("--fresh", action="store_true", help="forget earlier results")
    parser.add_argument("--faults", type=int, default=Plan().faults, help="of a seed")
    parser.add_argument("--only", type=_names, default=[], help="faults by name, with commas")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
