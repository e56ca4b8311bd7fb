"""docs/benchmarks.md: one section a machine, rewritten by --record, rows of other runs kept."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tests.bench.figures import Figure, Outcome

REPORT = Path(__file__).parents[2] / "docs" / "benchmarks.md"
_HEAD = "| figure | value | target | command | date | load |\n|---|---|---|---|---|---|\n"


@dataclass(frozen=True, slots=True)
class Measured:
    """An outcome, the command that repeats it, and the machine's load when that began."""

    command: str
    load: str
    outcome: Outcome


def record(measured: Sequence[Measured], machine: str) -> None:
    """Puts the figures into the machine's section; rows of commands that did not run now stay."""
    text = REPORT.read_text(encoding="utf-8")
    before, rows, after = _split(text, f"## {machine}\n")
    ran = {f"`{each.command}`" for each in measured}
    kept = [row for row in rows if row.split(" | ")[3] not in ran]
    today = datetime.now(UTC).date().isoformat()
    fresh = [
        f"| {each.outcome.name} | {each.outcome.measured} | {_judged(each.outcome)} "
        f"| `{each.command}` | {today} | {each.load} |"
        for each in measured
        if isinstance(each.outcome, Figure)
    ]
    body = "\n".join([*kept, *fresh])
    REPORT.write_text(f"{before}## {machine}\n\n{_HEAD}{body}\n{after}", encoding="utf-8")


def _judged(figure: Figure) -> str:
    return f"**{figure.wanted}: falls short**" if figure.falls_short else figure.wanted


def _split(text: str, heading: str) -> tuple[str, list[str], str]:
    """What is before the section, its rows, and what is behind it."""
    if heading not in text:
        return text.rstrip("\n") + "\n\n", [], ""
    before, _, rest = text.partition(heading)
    section, found, after = rest.partition("\n## ")
    rows = [line for line in section.splitlines() if line.startswith("| ")][1:]
    return before, rows, f"\n## {after}" if found else ""
