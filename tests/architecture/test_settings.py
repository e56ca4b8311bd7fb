"""The settings of all services: known to each other, and in one table for those who run them."""

import re
from pathlib import Path

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from services.coordinator.settings import CoordinatorSettings
from services.core.runtime.settings import PREFIX, Settings
from services.core.runtime.variables import VARIABLES
from services.embedding.settings import EmbeddingSettings
from services.evaluation.settings import EvaluationSettings
from services.gateway.settings import GatewaySettings
from services.indexing.settings import IndexingSettings
from services.ingestion.settings import IngestionSettings
from services.local.settings import LocalSettings

TABLE = Path(__file__).parents[2] / "docs/configuration.md"
SERVICES: dict[str, type[Settings]] = {
    "gateway": GatewaySettings,
    "coordinator": CoordinatorSettings,
    "ingestion": IngestionSettings,
    "embedding": EmbeddingSettings,
    "indexing": IndexingSettings,
    "evaluation": EvaluationSettings,
    "serve": LocalSettings,
}


def _fields() -> dict[str, FieldInfo]:
    return {name: field for kind in SERVICES.values() for name, field in kind.model_fields.items()}


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.default
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if isinstance(value, bool):
        value = str(value).lower()
    return "" if value in (None, "") else f"`{value}`"


def _table() -> str:
    """One line a variable, in the order of the services."""
    lines = ["| variable | of | default | meaning |", "|---|---|---|---|"]
    for name, field in _fields().items():
        users = [service for service, kind in SERVICES.items() if name in kind.model_fields]
        variable = f"`{PREFIX}{name.upper()}`"
        lines.append(
            f"| {variable} | {', '.join(users)} | {_default(field)} | {field.description} |"
        )
    return "\n".join(lines)


def test_every_service_knows_the_variables_of_the_others() -> None:
    assert {PREFIX + name.upper() for name in _fields()} == VARIABLES


def test_the_table_of_settings_shows_every_variable_as_it_is() -> None:
    found = re.search(r"^\| variable .*?(?=\n\n|\Z)", TABLE.read_text(), re.MULTILINE | re.DOTALL)
    assert found is not None, f"{TABLE.name} has no table"
    assert found[0].strip() == _table(), f"put this into {TABLE.name}:\n{_table()}"


def test_workers_are_given_no_password_of_the_records() -> None:
    holders = {name for name, kind in SERVICES.items() if "records_url" in kind.model_fields}
    assert holders == {"gateway", "coordinator"}


def test_only_gateway_and_indexing_know_the_vector_store() -> None:
    holders = {name for name, kind in SERVICES.items() if "qdrant_url" in kind.model_fields}
    assert holders == {"gateway", "indexing"}
