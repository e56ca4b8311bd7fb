"""`shelflens serve`: starts the server, where it is installed."""

import importlib
from typing import Any

import typer

from shelflens.errors import ShelflensError

SETTINGS: dict[str, Any] = {
    "context_settings": {
        "ignore_unknown_options": True,
        "allow_extra_args": True,
        "help_option_names": [],  # the server explains its own options
    },
    "add_help_option": False,
}


def serve(context: typer.Context) -> None:
    """Run a server on this machine: shelflens serve --data DIR [--port 50051]."""
    try:
        server = importlib.import_module("services.local.serve")
    except ModuleNotFoundError as error:
        raise ShelflensError(
            f"{error.name} is missing; install it with: pip install 'shelflens-server[local]'",
            reason="SERVER_NOT_INSTALLED",
        ) from None
    raise typer.Exit(server.main(list(context.args)))
