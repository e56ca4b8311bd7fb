"""What we ask of every module and no linter checks."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
GENERATED = ROOT / "services/client/shelflens/v1"
LINES = 300
VAGUE = {"utils", "util", "helpers", "helper", "common", "misc"}
TEST_FOLDERS = {
    *("unit", "contract", "integration", "e2e", "chaos", "bench", "architecture"),
    "results",  # what recipes reach on real photos
    "hostile",  # makers of hostile files, which several of the others use
    "servers",  # RabbitMQ, PostgreSQL and S3 servers as child processes
}
WORDS_OF_A_CLAIM = 3


def _modules(folder: str) -> list[Path]:
    return sorted(
        each for each in (ROOT / folder).rglob("*.py") if not each.is_relative_to(GENERATED)
    )


def _shown(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), _shown(path))


ALL = [*_modules("services"), *_modules("tests")]
MIGRATIONS = "services/core/adapters/sql_records/migrations/versions/"


def test_the_rules_see_the_modules() -> None:
    assert len(ALL) > 150
    assert not any("site-packages" in each.parts for each in ALL)


def test_no_module_is_longer_than_300_lines() -> None:
    lengths = {_shown(each): len(each.read_text("utf-8").splitlines()) for each in ALL}
    assert {name: lines for name, lines in lengths.items() if lines > LINES} == {}


def test_no_module_or_folder_has_a_name_that_says_nothing() -> None:
    parts = {part for each in ALL for part in each.relative_to(ROOT).with_suffix("").parts}
    assert parts & VAGUE == set()


def test_every_module_says_what_it_is() -> None:
    silent = [_shown(each) for each in ALL if not ast.get_docstring(_tree(each))]
    assert [name for name in silent if not name.startswith(MIGRATIONS)] == []


def test_every_folder_of_modules_says_what_it_is() -> None:
    folders = {each.parent for each in _modules("services")} - {ROOT / "services/client"}
    silent = [
        _shown(each)
        for each in folders
        if not (each / "__init__.py").exists() or not ast.get_docstring(_tree(each / "__init__.py"))
    ]
    assert len(folders) > 15
    assert silent == []


def test_servers_write_logs_and_never_print() -> None:
    servers = [each for each in _modules("services") if "client" not in each.parts]
    printing = [f"{_shown(each)}:{line}" for each in servers for line in _calls(each, "print")]
    assert printing == []


def test_nothing_from_outside_is_unpickled_or_executed() -> None:
    found = [
        f"{_shown(path)}:{node.lineno}"
        for path in _modules("services")
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.Call) and _is_dangerous(node)
    ]
    assert found == []


def test_tests_lie_in_the_folders_of_the_design() -> None:
    tests = [each.relative_to(ROOT / "tests").parts for each in _modules("tests")]
    assert {parts[0] for parts in tests if len(parts) > 1} <= TEST_FOLDERS
    assert not [parts for parts in tests if len(parts) == 1 and parts[0].startswith("test_")]


def test_test_names_are_claims() -> None:
    short = [
        f"{_shown(each)}:{node.name}"
        for each in _modules("tests")
        for node in ast.walk(_tree(each))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and len(node.name.split("_")) - 1 < WORDS_OF_A_CLAIM
    ]
    assert short == []


def test_no_test_mocks_our_own_ports() -> None:
    mocking = [
        _shown(each)
        for each in _modules("tests")
        if any(name.startswith(("unittest.mock", "mock")) for name in _imports(each))
    ]
    assert mocking == []


def _calls(path: Path, name: str) -> Iterator[int]:
    """Lines that call the builtin `name`."""
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name:
            yield node.lineno


def _is_dangerous(call: ast.Call) -> bool:
    """eval, exec, unpickling, or torch.load of more than tensors."""
    if isinstance(call.func, ast.Name):
        return call.func.id in {"eval", "exec"}
    if not isinstance(call.func, ast.Attribute) or not isinstance(call.func.value, ast.Name):
        return False
    module, name = call.func.value.id, call.func.attr
    if (module, name) == ("torch", "load"):
        return not any(
            each.arg == "weights_only"
            and isinstance(each.value, ast.Constant)
            and each.value.value is True
            for each in call.keywords
        )
    unpickling = {"pickle", "marshal", "shelve", "dill", "joblib"}
    return module in unpickling and name in {"load", "loads", "open", "Unpickler"}


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{each.name}" for each in node.names)
