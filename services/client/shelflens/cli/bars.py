"""Progress bars on stderr."""

from typing import Any


def make_bars() -> Any:
    """A rich.progress.Progress; its tasks have `text`, or `rows`, `rejected` and `megabytes`."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
    from rich.progress import TimeRemainingColumn as TimeLeft
    from rich.table import Column
    from rich.text import Text

    class Figures(ProgressColumn):
        """The text; else rows, rate, megabytes, rejected rows."""

        def render(self, task: Task) -> Text:
            if "text" in task.fields:
                return Text(task.fields["text"])
            rows, seconds = task.fields["rows"], task.finished_time or task.elapsed or 0.0
            text = f"{rows} rows, {rows / seconds if seconds else 0:.0f}/s"
            if megabytes := task.fields.get("megabytes"):
                text += f", {megabytes:.1f} MB sent"
            shown = Text(text)
            if rejected := task.fields["rejected"]:
                shown.append(f", {rejected} rejected", style="yellow")
            return shown

    title = TextColumn("{task.description}")
    left = TimeLeft(elapsed_when_finished=True)
    figures = Figures(table_column=Column(no_wrap=True))
    return Progress(title, BarColumn(), figures, left, console=Console(stderr=True))
