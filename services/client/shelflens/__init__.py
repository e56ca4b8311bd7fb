"""Shelflens: find and recognise products by photo.

`Client` blocks, `AsyncClient` awaits; errors are in `shelflens.errors`, answers in
`shelflens.values`, the protobuf contract in `shelflens.v1`.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shelflens.aio import AsyncClient
    from shelflens.client import Client
    from shelflens.errors import ShelflensError

__all__ = ["AsyncClient", "Client", "ShelflensError"]

_HOMES = {
    "AsyncClient": "shelflens.aio",
    "Client": "shelflens.client",
    "ShelflensError": "shelflens.errors",
}


def __getattr__(name: str) -> object:
    # Loaded on first use: the server imports only shelflens.v1, and `shelflens --help` nothing.
    import importlib

    if name not in _HOMES:
        raise AttributeError(f"module 'shelflens' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOMES[name]), name)
