"""Settings from the environment, read once by each `__main__`."""

import difflib
import os
from typing import Any, ClassVar, TypeVar

from pydantic import SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.core.domain.errors import InvalidArgument
from services.core.runtime.variables import VARIABLES

PREFIX = "SHELFLENS_"
TESTS = PREFIX + "TEST_"  # addresses of real servers for the contract suites


class Settings(BaseSettings):
    """Base of every service's settings: field `grpc_port` is variable `SHELFLENS_GRPC_PORT`.

    Variables of other services in the same environment are no mistakes (see runtime.variables),
    nor are those that `ALSO_KNOWN` names.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)

    ALSO_KNOWN: ClassVar[frozenset[str]] = frozenset()


S = TypeVar("S", bound=Settings)


def read_settings(kind: type[S], **overrides: Any) -> S:
    """The settings of this process; `overrides` (a command line's) win over the environment.

    Raises InvalidArgument (BAD_SETTINGS) whose message lists every unknown variable, with the
    nearest known name, and every wrong value.
    """
    problems = _unknown(kind)
    try:
        settings = kind(**overrides)
    except ValidationError as error:
        problems += [_wrong(kind, dict(each)) for each in error.errors()]
    if problems:
        raise InvalidArgument("\n".join(["wrong settings:", *problems]), reason="BAD_SETTINGS")
    return settings


def _variable(field: str) -> str:
    return PREFIX + field.upper()


def _unknown(kind: type[Settings]) -> list[str]:
    own = {_variable(each) for each in kind.model_fields}
    known = own | VARIABLES | kind.ALSO_KNOWN
    problems = []
    for name in sorted(os.environ):
        ours = name.upper().startswith(PREFIX) and not name.upper().startswith(TESTS)
        if ours and name.upper() not in known:
            near = difflib.get_close_matches(name.upper(), own, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            problems.append(f"  {name} is not a setting{hint}")
    return problems


def _wrong(kind: type[Settings], error: dict[str, Any]) -> str:
    path = [str(each) for each in error["loc"]]
    field = kind.model_fields.get(path[0]) if path else None
    if field is None:  # a rule over several fields, or an unknown override
        return f"  {'.'.join(path) or kind.__name__}: {error['msg']}"
    if error["type"] == "missing":
        return f"  {_variable(path[0])} is not set: {field.description or 'it is required'}"
    shown = "" if field.annotation is SecretStr else f" (it is {str(error['input'])[:80]!r})"
    return f"  {'.'.join([_variable(path[0]), *path[1:]])}: {error['msg']}{shown}"
