"""What searches and steps ask of the records is found by indexes, however much there is."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from services.core.adapters.sql_records import open_sqlite
from services.core.adapters.sql_records.store import SqlRecords
from services.core.record_ports import Records
from tests.contract.record_stores import MODEL, NOW, SPEC

HASHES = [f"{n:064x}" for n in range(50)]
PRODUCTS = [f"p{n}" for n in range(50)]
QUESTIONS: dict[str, Callable[[Records], object]] = {
    "deployment": lambda tx: tx.catalogs.deployment("shop"),
    "targets": lambda tx: tx.deployments.targets("shop"),
    "get": lambda tx: tx.deployments.get("shop", 1),
    "using": lambda tx: tx.deployments.using("d" * 64),
    "spec": lambda tx: tx.models.spec("d" * 64),
    "named": lambda tx: tx.models.named(MODEL),
    "next_products": lambda tx: tx.imports.next_products("shop", "p1", 100),
    "present": lambda tx: tx.imports.present("shop", PRODUCTS),
    "unplanned": lambda tx: tx.imports.unplanned("shop", PRODUCTS),
    "places": lambda tx: tx.embeddings.places("d" * 64, HASHES),
}


@pytest.fixture
def records(tmp_path: Path) -> Iterator[SqlRecords]:
    with closing(open_sqlite(tmp_path / "records.db")) as store:
        with store.begin(write=True) as tx:
            tx.models.put(MODEL, "d" * 64, SPEC, NOW)
            tx.catalogs.create("shop", "", MODEL, NOW)
        yield store


@pytest.mark.parametrize("name", QUESTIONS)
def test_it_is_one_statement_that_reads_indexed_rows_alone(records: SqlRecords, name: str) -> None:
    told = plan(records, QUESTIONS[name])
    assert [each for each in told if "USING" in each], told
    assert not [each for each in told if each.startswith("SCAN")], told


def test_products_are_walked_without_sorting_the_catalogue(records: SqlRecords) -> None:
    told = plan(records, QUESTIONS["next_products"])
    assert not [each for each in told if "TEMP B-TREE" in each], told


def plan(records: SqlRecords, question: Callable[[Records], object]) -> list[str]:
    """How SQLite answers the one statement that asks this."""
    asked: list[tuple[str, Any]] = []

    def note(_c: object, _cursor: object, statement: str, values: Any, *_rest: object) -> None:
        asked.append((statement, values))

    with records.begin() as tx:
        sa.event.listen(records._engine, "before_cursor_execute", note)
        question(tx)
        sa.event.remove(records._engine, "before_cursor_execute", note)
    ((statement, values),) = asked
    with records._connected() as connection:
        steps = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
        return [step[3] for step in steps]
