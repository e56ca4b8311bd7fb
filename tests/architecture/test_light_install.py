"""Who needs no torch imports none; a client imports no server. Seen in fresh interpreters."""

import json
import subprocess
import sys

import pytest

SERVERS = (
    "services.gateway.service",
    "services.coordinator.handlers",
    "services.coordinator.tasks",
    "services.ingestion.handlers",
    "services.ingestion.tasks",
    "services.indexing.handlers",
    "services.indexing.tasks",
    "services.evaluation.handlers",
    "services.evaluation.tasks",
    "services.imaging.decode_pool",
)
CLIENTS = ("shelflens", "shelflens.client", "shelflens.aio", "shelflens.cli.main")
LIST_MODULES = "import json, sys, importlib; importlib.import_module(sys.argv[1]); " + (
    "sys.stdout.write(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
)


@pytest.mark.parametrize("module", SERVERS)
def test_a_service_without_a_model_imports_no_torch(module: str) -> None:
    assert _imported_by(module) & {"torch", "timm", "torchvision", "qdrant_edge"} == set()


@pytest.mark.parametrize("module", CLIENTS)
def test_the_client_imports_neither_numpy_nor_server_code(module: str) -> None:
    heavy = {"numpy", "torch", "pyarrow", "PIL", "celery", "sqlalchemy", "services"}
    assert _imported_by(module) & heavy == set()


def test_the_list_of_modules_sees_torch_where_it_is() -> None:
    assert {"torch", "numpy", "services"} <= _imported_by("services.vision.embedder")


def _imported_by(module: str) -> set[str]:
    """Top-level packages that a fresh interpreter has loaded after `import module`."""
    run = subprocess.run(
        [sys.executable, "-c", LIST_MODULES, module],
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    return set(json.loads(run.stdout))
