"""The protobuf messages and gRPC stubs that qdrant-client ships, as `q`.

`import qdrant_client` also makes the pydantic models of its REST client: 1 s and 50 MB in every
process, for nothing that is used here. So its subpackage is imported past its __init__.
"""

import importlib
import importlib.util
import sys
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qdrant_client import grpc as q
else:

    def _subpackage(package: str, name: str) -> ModuleType:
        full = f"{package}.{name}"
        if full in sys.modules or package in sys.modules:
            return importlib.import_module(full)
        found = importlib.util.find_spec(package)
        if found is None or found.submodule_search_locations is None:
            raise ModuleNotFoundError(f"{package} is not installed", name=package)
        standin = ModuleType(package)
        standin.__path__ = list(found.submodule_search_locations)
        sys.modules[package] = standin
        try:
            return importlib.import_module(full)
        finally:
            del sys.modules[package]  # whoever wants the whole package gets it

    q = _subpackage("qdrant_client", "grpc")

__all__ = ["q"]
