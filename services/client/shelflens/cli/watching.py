"""Watching operations: live bars on a terminal, a way back after Ctrl-C, the counts at the end."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

from shelflens.cli.bars import make_bars
from shelflens.cli.model_text import progress_text
from shelflens.cli.operation_text import result_lines
from shelflens.cli.output import print_json, say

if TYPE_CHECKING:
    from shelflens.client import Client
    from shelflens.importing.progress import Progress
    from shelflens.values import Operation, WeightsProgress

_BEFORE = "interrupted before the import began; what is uploaded is not sent again"
_TITLES = {
    "upload": "uploading",
    "hash": "reading",
    "import": "importing",
    "delete_catalog": "deleting",
    "erase_content": "erasing",
    "create_model": "making",
    "deploy_model": "deploying",
    "delete_deployment": "removing",
    "create_dataset": "freezing",
    "evaluate": "evaluating",
}
EXIT_ERROR, EXIT_REJECTED, EXIT_NOT_PRUNED, EXIT_INTERRUPTED = 1, 4, 6, 130


class Watch:
    """Hears progress and notes. Off a terminal it prints the notes and steps alone."""

    def __init__(self, bars: Any) -> None:
        self._bars = bars  # rich.progress.Progress, or None
        self._tasks: dict[str, Any] = {}
        self._step = ""
        self.operation = ""

    def note(self, text: str) -> None:
        """A decision worth saying, above the bars."""
        if self._bars is None:
            say(text)
        else:
            self._bars.console.print(text, markup=False, highlight=False, style="dim")

    def show(self, progress: "Progress") -> None:
        """Moves the bar of an import's phase."""
        if progress.operation is not None:
            self.operation = progress.operation.name
        self._move(
            progress.phase,
            progress.fraction,
            rows=progress.rows,
            rejected=progress.rejected,
            megabytes=progress.uploaded_bytes / 1e6,
        )

    def show_weights(self, progress: "WeightsProgress") -> None:
        """Moves the bar of a file of weights that is read, then sent."""
        done, size = progress.done_bytes, progress.size_bytes
        self._move(progress.phase, done / size, text=f"{done / 1e6:.1f} of {size / 1e6:.1f} MB")

    def show_operation(self, operation: "Operation") -> None:
        """Moves the bar of any operation."""
        from shelflens.importing.progress import Progress

        self.operation = operation.name
        if operation.kind == "import":
            self.show(Progress.of_operation(operation))
            return
        progress = operation.progress
        text, step = progress_text(operation), progress.step if progress else ""
        if self._bars is None and step != self._step:
            say(text)
        self._step = step
        fraction = 1.0 if operation.done else None
        if fraction is None and progress and progress.image_count:
            fraction = min(1.0, progress.points_indexed / progress.image_count)
        self._move(operation.kind, fraction, text=text)

    def _move(self, phase: str, fraction: float | None, **figures: Any) -> None:
        if self._bars is None:
            return
        # Hundredths of a percent: the share is known where the number of rows is not.
        total = None if fraction is None else 10_000
        if phase not in self._tasks:
            self._finish_phases()
            title = _TITLES.get(phase, phase)
            self._tasks[phase] = self._bars.add_task(title, total=None, **figures)
        completed = int((fraction or 0) * 10_000)
        self._bars.update(self._tasks[phase], total=total, completed=completed, **figures)

    def _finish_phases(self) -> None:
        for task in self._tasks.values():
            self._bars.update(task, total=10_000, completed=10_000)


@contextmanager
def watching(before: str = _BEFORE) -> Iterator[Watch]:
    """Bars on stderr while it lasts. Ctrl-C prints how to come back and exits 130.

    `before` is what it prints while no operation is known.
    """
    watch = Watch(None)
    try:
        if not sys.stderr.isatty():
            yield watch
            return
        with make_bars() as bars:
            watch = Watch(bars)
            yield watch
    except KeyboardInterrupt:
        if watch.operation:
            say(f"{watch.operation} goes on without you; come back with:")
            say(f"  shelflens operations wait {watch.operation}")
        else:
            say(before)
        raise typer.Exit(EXIT_INTERRUPTED) from None


def wait_for(client: "Client", name: str, timeout: float | None = None) -> "Operation":
    """Waits for an operation with a bar."""
    from shelflens.names import operation_name

    with watching() as watch:
        watch.operation = operation_name(name)
        return client.wait_operation(name, timeout=timeout, on_progress=watch.show_operation)


def tell_how_to_rejoin(operation: "Operation") -> None:
    """For commands that do not wait."""
    say(f"started; follow it with: shelflens operations wait {operation.name}")


def finish(operation: "Operation", *, as_json: bool, fail_on_rejected: bool = False) -> None:
    """Prints what came of an operation; raises its error, or Exit for rejected rows."""
    if as_json:
        print_json(operation)
        if operation.error is not None:
            raise typer.Exit(EXIT_ERROR)
    else:
        for line in result_lines(operation):
            typer.echo(line)
        operation.raise_for_error()
        typer.echo(f"{operation.name} {operation.state}")
    if operation.prune is not None and operation.prune.refusal:
        raise typer.Exit(EXIT_NOT_PRUNED)
    if fail_on_rejected and operation.counts.rows_rejected:
        raise typer.Exit(EXIT_REJECTED)
