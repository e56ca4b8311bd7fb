"""`shelflens export`: a catalogue's records or embeddings as a file."""

from pathlib import Path
from typing import Annotated

import typer

from shelflens.cli.catalogs import Catalog
from shelflens.cli.output import AsJson, Target, connect, print_json, say
from shelflens.cli.saving import STDOUT, saved
from shelflens.errors import InvalidArgument


def export_command(
    context: typer.Context,
    catalog: Catalog,
    output: Annotated[
        Path, typer.Option("--output", "-o", help=".parquet or .jsonl; - is JSON Lines on stdout.")
    ],
    embeddings: Annotated[
        bool, typer.Option("--embeddings", help="Embeddings of the images instead of records.")
    ] = False,
    target: Target = None,
    as_json: AsJson = False,
) -> None:
    """Write the products of a catalogue with their images, or the embeddings of its images."""
    from shelflens.exporting import embeddings as vectors
    from shelflens.exporting import records
    from shelflens.exporting.files import file_format, write_rows

    to_stdout = str(output) == STDOUT
    if to_stdout and as_json:
        raise InvalidArgument("--json and -o - both want stdout", reason="STDOUT_TWICE")
    form = file_format(output)
    with connect(context, target) as client:
        found = client.get_catalog(catalog)
        about = {"catalog": found.name, "model": found.model, "model_digest": found.model_digest}
        columns = vectors.EMBEDDINGS if embeddings else records.RECORDS
        read = vectors.embeddings if embeddings else records.records
        with saved(output) as file:
            count = write_rows(file, form, columns, read(client, catalog), about)
    if as_json:
        print_json({"file": str(output), "rows": count, **about})
    elif not to_stdout:
        say(f"wrote {count} rows to {output}")
