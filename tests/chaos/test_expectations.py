"""The reckoning of the chaos suite finds what is wrong: each rule is broken once here."""

from pathlib import Path

from shelflens.values import Image, ImportCounts, Operation, Product, PruneResult
from tests.chaos.expectations import Imported, expect
from tests.chaos.faults import SERVICES, table
from tests.chaos.feeds import Feed, FeedRow, Version
from tests.chaos.invariants import (
    Found,
    check_deadlines,
    check_memory,
    check_products,
    check_uploads,
)
from tests.chaos.journal import Journal, Search, Upload, Write
from tests.chaos.seed import Plan, choose
from tests.chaos.world import PAIRS, SERVERS

ROWS = (FeedRow("A", "A one", ("a",)), FeedRow("B", "B one", ("b",)), FeedRow("", "", (), True))


def _imported(revision: int, rejected: dict[int, str], read: int = 3, lost: int = 0) -> Imported:
    accepted = 3 - len(rejected) - lost
    operation = Operation(
        "operations/o",
        "import",
        True,
        "SUCCEEDED",
        catalog="catalogs/c",
        revision=revision,
        counts=ImportCounts(read, accepted, len(rejected)),
        prune=PruneResult(0, 0, 0, "", ""),
    )
    return Imported(operation, Version("v1", Path("v1"), ROWS), True, rejected, {})


def _found(*titles: tuple[str, str], state: str = "SEARCHABLE") -> Found:
    products = {
        sku: Product(f"p/{sku}", sku, title, "", (), (), "", None, None, {}, 1, 1, None)
        for sku, title in titles
    }
    images = {sku: [Image(f"i/{sku}", sku.lower(), state, "", "", None)] for sku in products}
    return Found("c", products, images)


def test_an_import_that_adds_up_is_no_violation() -> None:
    assert _imported(1, {3: "SKU_MISSING"}).violations() == []


def test_an_import_that_does_not_add_up_is_one() -> None:
    assert _imported(1, {}).violations()  # took a bad row
    assert _imported(1, {1: "NO_IMAGE", 3: "SKU_MISSING"}).violations()
    assert _imported(1, {3: "SKU_MISSING"}, lost=1).violations()
    assert _imported(1, {3: "SKU_MISSING"}, read=2).violations()


def test_a_row_lost_to_a_fault_is_counted_and_no_violation() -> None:
    imported = _imported(1, {1: "RETRIES_EXHAUSTED", 3: "SKU_MISSING"})
    assert imported.violations() == []
    assert imported.sacrificed == 1


def test_products_that_say_what_was_written_last_are_right(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    journal.note(Write("c", "B", "B two", 5))
    expected = expect("c", [_imported(3, {3: "SKU_MISSING"})], journal)
    assert check_products(_found(("A", "A one"), ("B", "B two")), expected) == []


def test_an_older_write_that_won_is_found(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    journal.note(Write("c", "B", "B two", 5))
    expected = expect("c", [_imported(3, {3: "SKU_MISSING"})], journal)
    assert check_products(_found(("A", "A one"), ("B", "B one")), expected)
    assert check_products(_found(("A", "A one")), expected)
    assert check_products(_found(("A", "A one"), ("B", "B two"), ("C", "C")), expected)
    assert check_products(_found(("A", "A one"), ("B", "B two"), state="PENDING"), expected)


def test_a_deleted_product_that_came_back_is_found(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    journal.note(Write("c", "B", None, 5))
    expected = expect("c", [_imported(3, {3: "SKU_MISSING"})], journal)
    assert check_products(_found(("A", "A one")), expected) == []
    assert check_products(_found(("A", "A one"), ("B", "B one")), expected)


def test_a_product_that_a_full_feed_no_longer_lists_must_be_gone(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    journal.note(Write("c", "old", "old", 1))
    journal.note(Write("c", "new", "new", 9))
    expected = expect("c", [_imported(3, {3: "SKU_MISSING"})], journal)
    good = (("A", "A one"), ("B", "B one"), ("new", "new"))
    assert check_products(_found(*good), expected) == []
    assert check_products(_found(*good, ("old", "old")), expected)


def test_a_write_that_nobody_acknowledged_may_have_happened(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    journal.note(Write("c", "B", "B two", None))
    journal.note(Write("c", "A", None, None))
    expected = expect("c", [_imported(3, {3: "SKU_MISSING"})], journal)
    for titles in ((("B", "B one"),), (("A", "A one"), ("B", "B two"))):
        assert check_products(_found(*titles), expected) == []
    assert check_products(_found(("B", "B three")), expected)


def test_an_upload_that_cannot_be_found_is_a_violation() -> None:
    found = _found(("A", "A one"))
    assert check_uploads(found, [Upload("c", "A", "a")]) == []
    assert check_uploads(found, [Upload("c", "A", "other")])


def test_a_late_search_is_one_unless_the_gateway_was_away(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    journal.note(Search(100.0, 3.4, 3.0, ""))
    assert check_deadlines(journal, []) == []
    journal.note(Search(200.0, 10.6, 10.0, "DEADLINE_EXCEEDED"))
    assert len(check_deadlines(journal, [])) == 1
    assert check_deadlines(journal, [(205.0, 206.0)]) == []


def test_memory_that_grows_beyond_half_is_a_violation() -> None:
    assert check_memory({"a": 100 << 20}, {"a": 200 << 20}) == []
    assert len(check_memory({"a": 100 << 20}, {"a": 201 << 20})) == 1


def test_the_table_has_every_part_and_every_pair() -> None:
    names = set(table())
    assert {f"kill {each}" for each in (*SERVICES, *SERVERS)} <= names
    assert {f"stop {each}" for each in (*SERVICES, *SERVERS)} <= names
    assert {f"cut {one}-{other}" for one, other in PAIRS} <= names
    assert "rolling restart" in names


def test_seeds_go_through_the_whole_table_and_are_repeatable() -> None:
    plan = Plan()
    seeds = -(-len(table()) // plan.faults)
    drawn = [each.name for seed in range(seeds) for each in choose(seed, plan)]
    assert set(drawn) == set(table())
    assert [each.name for each in choose(5, plan)] == [each.name for each in choose(5, plan)]


def test_versions_of_a_feed_change_and_repeat_with_the_seed(tmp_path: Path) -> None:
    feeds = [Feed(tmp_path / name, "f", 30, seed=1) for name in "ab"]
    versions = [[feed.next_version() for _ in range(3)] for feed in feeds]
    for one, other in zip(*versions, strict=True):
        assert one.rows == other.rows
    first, second, _ = versions[0]
    assert {row.sku for row in first.rows} != {row.sku for row in second.rows}
    assert sum(row.bad for row in first.rows) == 4
    assert len(first.rows) > len({row.sku for row in first.rows})
