"""`shelflens serve`: the whole system in one process until SIGTERM or Ctrl-C."""

import argparse
import asyncio
import contextlib
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import structlog

from services.core.domain.errors import ShelflensError
from services.core.runtime.grpc_server import GrpcServer
from services.core.runtime.logs import configure_logs
from services.core.runtime.settings import read_settings
from services.local.data_directory import DataDirectory
from services.local.settings import LocalSettings
from services.local.vector_process import VectorProcess

if TYPE_CHECKING:
    from services.local.system import LocalSystem

_log = structlog.get_logger(__name__)
_GRACE_SECONDS = 10.0


def main(arguments: list[str]) -> int:
    """Serves; exit code 0 after a signal, 1 when it cannot start, with one line that says why."""
    try:
        settings = read_settings(LocalSettings, **_parse(arguments))
        configure_logs(settings.log_level)
        data = DataDirectory(settings.data)
        try:
            asyncio.run(_serve(settings, data))
        finally:
            data.close()
    except ShelflensError as error:
        sys.stderr.write(f"error: {error.reason}: {error.message}\n")
        return 1
    return 0


async def _serve(settings: LocalSettings, data: DataDirectory) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, stop.set)
    system = await asyncio.to_thread(_start, settings, data)
    try:
        server = GrpcServer(f"{settings.host}:{settings.port}", system.gateway.services())
        await server.start()
        data.announce(f"{settings.host}:{server.port}")
        _log.info("serve.ready", address=f"{settings.host}:{server.port}", data=str(data.root))
        await stop.wait()
        _log.info("serve.stopping")
        await server.stop(_GRACE_SECONDS)
    finally:
        await system.gateway.close()
        await asyncio.to_thread(system.close)


def _start(settings: LocalSettings, data: DataDirectory) -> "LocalSystem":
    """Brings the vector server up while torch is imported, which takes most of a start."""
    with ThreadPoolExecutor(1, "start-vectors") as early:
        starting = early.submit(VectorProcess, data.vectors)
        try:
            from services.local.system import LocalSystem

            return LocalSystem(settings, data, starting)
        except BaseException:
            with contextlib.suppress(ShelflensError):
                starting.result().close()
            raise


def _parse(arguments: list[str]) -> dict[str, Any]:
    """Options given on the command line; they win over SHELFLENS_* variables."""
    parser = argparse.ArgumentParser(
        prog="shelflens serve",
        description="Run all of Shelflens in one process, with its state below one directory.",
        argument_default=argparse.SUPPRESS,
    )
    for name, field in LocalSettings.model_fields.items():
        option = "--" + name.replace("_", "-")
        if field.annotation is bool:
            parser.add_argument(option, action="store_true", help=field.description)
        else:
            shown = "" if field.is_required() else f" (default: {field.default!r})"
            parser.add_argument(option, help=f"{field.description}{shown}", metavar=name.upper())
    return vars(parser.parse_args(arguments))
