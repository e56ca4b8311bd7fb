"""Logs to stderr: JSON lines, or coloured text on a terminal; the libraries' logs as well."""

import logging
import sys
from typing import Any, TextIO

import structlog

# These say at INFO what our own lines say better, or ten lines before every start.
_TALKATIVE = (
    "alembic",
    "celery.app.trace",
    "celery.worker.strategy",
    "celery.worker.consumer",
    "celery.utils.functional",
    "kombu",
    "amqp",
)


def configure_logs(level: str = "INFO", *, stream: TextIO | None = None) -> None:
    """Sends structlog and standard library logs of `level` and above to `stream` (stderr).

    Replaces any earlier configuration. `level` is DEBUG, INFO, WARNING or ERROR.
    """
    target = sys.stderr if stream is None else stream
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(target)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_rendering(target),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # Each of its repeats is part of a call whose end we tell.
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    logging.captureWarnings(True)


def _rendering(target: TextIO) -> list[Any]:
    if target.isatty():
        return [structlog.dev.ConsoleRenderer()]
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=str)]
