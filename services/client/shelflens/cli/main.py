"""The `shelflens` command: its groups, its exit codes, its one-line errors."""

import os
import sys
from typing import Annotated, Any

import typer

from shelflens.cli import (
    catalogs,
    datasets,
    dead_letters,
    deploying,
    erasing,
    evaluating,
    exporting,
    feedback,
    images,
    importing,
    models,
    operations,
    presets,
    products,
    search,
    serve,
)
from shelflens.errors import InvalidArgument, NotFound, ShelflensError, Unavailable

EXIT_ERROR, EXIT_USAGE, EXIT_NOT_FOUND, EXIT_REJECTED, EXIT_UNAVAILABLE = 1, 2, 3, 4, 5
EXIT_INTERRUPTED = 130
_EPILOG = (
    "Exit codes: 0 done, 1 error, 2 wrong usage, 3 not found, 4 import finished with rejected "
    "rows (with --fail-on-rejected), 5 server not reachable, 6 import done but --prune removed "
    "nothing, 130 interrupted."
)
# Rich is left out of the help: loading it takes longer than printing the page.
app = typer.Typer(
    name="shelflens",
    help="Find and recognise products by photo.",
    epilog=_EPILOG,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _root(
    target: Annotated[
        str | None,
        typer.Option(
            envvar="SHELFLENS_TARGET",
            metavar="HOST:PORT",
            help="Server to talk to; 127.0.0.1:50051 unless given.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Read by `output.connect`."""


app.command("serve", **serve.SETTINGS)(serve.serve)
app.command("import", epilog=_EPILOG)(importing.import_command)
app.command("search", epilog=_EPILOG)(search.search_command)
app.command("export", epilog=_EPILOG)(exporting.export_command)
app.command("erase", epilog=_EPILOG)(erasing.erase_command)
app.command("deploy", epilog=_EPILOG)(deploying.deploy_command)
app.command("evaluate", epilog=_EPILOG)(evaluating.evaluate_command)
app.command("rollback", epilog=_EPILOG)(deploying.rollback_command)
app.add_typer(catalogs.app, name="catalogs")
app.add_typer(products.app, name="products")
app.add_typer(images.app, name="images")
app.add_typer(models.app, name="models")
app.add_typer(deploying.app, name="deployments")
app.add_typer(datasets.app, name="datasets")
app.add_typer(evaluating.app, name="evaluations")
app.add_typer(evaluating.calibrations, name="calibrations")
app.add_typer(feedback.app, name="feedback")
app.add_typer(operations.app, name="operations")
app.add_typer(dead_letters.app, name="deadletters")
app.add_typer(presets.app, name="presets")


def exit_code(error: ShelflensError) -> int:
    """The exit code for an error, as documented in docs/cli.md."""
    match error:
        case NotFound():
            return EXIT_NOT_FOUND
        case Unavailable():
            return EXIT_UNAVAILABLE
        case InvalidArgument(reason="INVALID_NAME" | "INVALID_MAPPING" | "QUERY_MISSING"):
            return EXIT_USAGE
        case InvalidArgument(reason="LETTERS_MISSING" | "INVALID_OPTION"):
            return EXIT_USAGE
        case InvalidArgument(
            reason="INVALID_PRESET" | "PRESET_UNKNOWN" | "SPLIT_UNKNOWN" | "SPLIT_MISSING"
        ):
            return EXIT_USAGE
        case _:
            return EXIT_ERROR


def main() -> None:
    """Runs the command line and exits."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Runs one command and returns its exit code; errors are one line on stderr."""
    try:
        code = app(arguments, prog_name="shelflens", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except ShelflensError as error:
        return _fail(str(error), exit_code(error))
    except KeyboardInterrupt:
        return _fail("interrupted", EXIT_INTERRUPTED)
    except BrokenPipeError:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_ERROR
    except OSError as error:
        return _fail(str(error), EXIT_ERROR)
    except typer.Abort:
        return _fail("stopped", EXIT_ERROR)
    except Exception as error:
        # Typer's own usage errors; where their class lives differs between its versions.
        if not hasattr(error, "format_message"):
            raise
        return _wrong_usage(error)


def _wrong_usage(error: Any) -> int:
    if type(error).__name__ == "NoArgsIsHelpError":
        typer.echo(error.format_message(), err=True)
        return EXIT_USAGE
    context = getattr(error, "ctx", None)
    hint = f" (see {context.command_path} --help)" if context else ""
    return _fail(f"USAGE: {error.format_message()}{hint}", EXIT_USAGE)


def _fail(message: str, code: int) -> int:
    typer.echo(f"error: {' '.join(message.split())}", err=True)
    return code
