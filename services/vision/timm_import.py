"""timm, imported without torch's compiler.

torchvision takes one function from torch._dynamo (is_compile_supported, for an operator that we
do not use) and timm marks two methods for the compiler to leave alone. For that, every start would
import the compiler and sympy, 4 of 9 seconds. While timm is imported a stand-in answers both;
afterwards torch._dynamo is importable as ever, and torch.compile works.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import torch

_COMPILER = "torch._dynamo"


def _left_alone(function: Any = None, *_: Any, **__: Any) -> Any:
    """Stands for torch.compiler.disable while nothing is compiled: as decorator with or without
    arguments."""
    return function if callable(function) else lambda decorated: decorated


@contextmanager
def _without_compiler() -> Iterator[None]:
    if _COMPILER in sys.modules:
        yield
        return
    compiler, utilities = ModuleType(_COMPILER), ModuleType(f"{_COMPILER}.utils")
    stand_ins = {_COMPILER: compiler, f"{_COMPILER}.utils": utilities}
    vars(utilities)["is_compile_supported"] = lambda device_type: False
    vars(compiler).update(__path__=[], utils=utilities, disable=_left_alone)
    sys.modules.update(stand_ins)
    try:
        yield
    finally:
        for name in stand_ins:
            del sys.modules[name]
        vars(torch).pop("_dynamo", None)


with _without_compiler():
    import timm

__all__ = ["timm"]
