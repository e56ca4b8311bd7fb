"""One seed of the chaos suite, short enough for every build. `make chaos` runs many."""

from pathlib import Path

import pytest

from tests.chaos.seed import Plan, run_seed

pytestmark = [pytest.mark.servers, pytest.mark.slow, pytest.mark.timeout(400)]

SEED = 7
SHORT = Plan(
    products=60,
    fault_seconds=120.0,
    stop_seconds=6.0,
    names=(
        "kill broker",
        "crash reported indexing",
        "partition coordinator-records",
        "repeat and shuffle embed.bulk",
        "poison pickled",
        "crash before-commit coordinator",
        "objects 503",
        "stop gateway",
        "kill vectors",
    ),
)


def test_a_cluster_keeps_its_promises_under_seeded_faults(tmp_path: Path) -> None:
    outcome = run_seed(SEED, tmp_path / "seed", SHORT)
    assert outcome.violations == []
    assert len(outcome.rounds) >= 4
    assert outcome.notes["imports"] >= 3
    assert outcome.notes["searches"]["OK"] > 20
