"""Wrong settings stop the start and are named, all at once."""

import os

import pytest
from pydantic import Field, SecretStr

from services.core.domain.errors import InvalidArgument
from services.core.runtime.settings import Settings, read_settings


class Example(Settings):
    """Settings of the tests."""

    ALSO_KNOWN = frozenset({"SHELFLENS_SERVER"})

    data_dir: str = Field(description="the folder of the data")
    grpc_port: int = Field(default=7700, ge=0, le=65_535)
    broker_password: SecretStr = SecretStr("")


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("SHELFLENS_"):
            monkeypatch.delenv(name)


def failure(**overrides: object) -> str:
    with pytest.raises(InvalidArgument) as caught:
        read_settings(Example, **overrides)
    assert caught.value.reason == "BAD_SETTINGS"
    return caught.value.message


def test_variables_become_typed_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELFLENS_DATA_DIR", "/data")
    monkeypatch.setenv("SHELFLENS_GRPC_PORT", "8000")
    settings = read_settings(Example)
    assert (settings.data_dir, settings.grpc_port) == ("/data", 8000)


def test_a_command_line_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELFLENS_DATA_DIR", "/data")
    monkeypatch.setenv("SHELFLENS_GRPC_PORT", "8000")
    assert read_settings(Example, grpc_port=9000).grpc_port == 9000


def test_an_unknown_variable_is_named_with_the_nearest_known_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SHELFLENS_DATA_DIR", "/data")
    monkeypatch.setenv("SHELFLENS_GRPC_PROT", "8000")
    text = failure()
    assert "SHELFLENS_GRPC_PROT is not a setting; did you mean SHELFLENS_GRPC_PORT?" in text


def test_all_problems_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELFLENS_GRPC_PORT", "99999")
    monkeypatch.setenv("SHELFLENS_ZZZZ", "1")
    text = failure()
    assert "SHELFLENS_DATA_DIR is not set: the folder of the data" in text
    assert "SHELFLENS_GRPC_PORT" in text
    assert "(it is '99999')" in text
    assert "SHELFLENS_ZZZZ is not a setting" in text


def test_variables_of_other_programs_and_of_nobody_are_left_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SHELFLENS_DATA_DIR", "/data")
    monkeypatch.setenv("SHELFLENS_SERVER", "localhost:7700")
    monkeypatch.setenv("OTHER_PORT", "no number")
    assert read_settings(Example).grpc_port == 7700


def test_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELFLENS_DATA_DIR", "/data")
    monkeypatch.setenv("SHELFLENS_BROKER_PASSWORD", "hunter2")
    monkeypatch.setenv("SHELFLENS_GRPC_PORT", "x")
    assert "hunter2" not in failure() + repr(read_settings(Example, grpc_port=1))


def test_an_unknown_override_is_an_error() -> None:
    assert "colour" in failure(data_dir="/data", colour="red")
