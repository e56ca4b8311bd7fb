"""`shelflens datasets`: query photos and gallery images, frozen for evaluation."""

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shelflens.cli.output import AsJson, Limit, Target, connect, print_json, say, show_table
from shelflens.cli.safe_text import safe_text
from shelflens.cli.watching import watching
from shelflens.errors import FailedPrecondition

if TYPE_CHECKING:
    from shelflens.values import Dataset

app = typer.Typer(
    help="Freeze query photos and gallery images for evaluation.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
Name = Annotated[str, typer.Argument(metavar="NAME", help="With or without datasets/.")]
Text = str | None


@app.command()
def create(
    context: typer.Context,
    name: Name,
    catalog: Annotated[str, typer.Option(metavar="CATALOG", help="Its images are the gallery.")],
    queries: Annotated[
        Path,
        typer.Option(
            metavar="SOURCE",
            help="Photos and their SKUs: a manifest, an archive or a directory, as for import.",
        ),
    ],
    mapping: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="FIELD=COLUMN", help="As for import; repeatable."),
    ] = None,
    images: Annotated[
        Path | None, typer.Option(metavar="ROOT", help="Where image paths start.")
    ] = None,
    preset: Annotated[Text, typer.Option(metavar="NAME|FILE", show_default=False)] = None,
    split: Annotated[
        Text, typer.Option(metavar="NAME", help="Part of a data set.", show_default=False)
    ] = None,
    allow_absent: Annotated[
        bool,
        typer.Option(
            "--allow-absent", help="Keep photos of products that the gallery lacks, to calibrate."
        ),
    ] = False,
    wait: Annotated[bool, typer.Option(help="Wait until it is made.")] = True,
    target: Target = None,
    as_json: AsJson = False,
) -> None:
    """Freeze a dataset. Images that are a query, or its copy, are left out of the gallery."""
    with connect(context, target) as client, watching() as bars:
        made = client.make_dataset(
            name,
            catalog,
            queries,
            allow_absent=allow_absent,
            mapping=mapping or (),
            root=images,
            preset=preset,
            split=split,
            wait=wait,
            on_progress=bars.show,
            on_note=bars.note,
        )
    if as_json:
        print_json(made)
    if wait:
        _finish(made, quiet=as_json)
    elif not as_json:
        say(f"started; follow it with: shelflens operations wait {made.operation}")


@app.command("list")
def list_(
    context: typer.Context, limit: Limit = 1000, target: Target = None, as_json: AsJson = False
) -> None:
    """List datasets."""
    with connect(context, target) as client:
        show_table(
            islice(client.list_datasets(), limit),
            (
                ("DATASET", lambda each: each.name),
                ("CATALOG", lambda each: each.catalog),
                ("STATE", lambda each: each.state),
                ("QUERIES", lambda each: each.query_count),
                ("GALLERY", lambda each: each.gallery_count),
                ("PRODUCTS", lambda each: each.product_count),
                ("ABSENT", lambda each: each.absent_count),
            ),
            as_json=as_json,
            empty="no datasets; make one with: shelflens datasets create",
        )


@app.command()
def show(
    context: typer.Context, name: Name, target: Target = None, as_json: AsJson = False
) -> None:
    """Show one dataset."""
    with connect(context, target) as client:
        found = client.get_dataset(name)
    if as_json:
        print_json(found)
        return
    for line in dataset_lines(found):
        typer.echo(line)


@app.command()
def delete(
    context: typer.Context, name: Name, target: Target = None, as_json: AsJson = False
) -> None:
    """Delete a dataset. Evaluations on it stay."""
    with connect(context, target) as client:
        client.delete_dataset(name)
    if as_json:
        print_json({"deleted": name})
    else:
        say(f"deleted {name}")


def dataset_lines(dataset: "Dataset") -> list[str]:
    """All that is known about it."""
    lines = [f"{dataset.name}: {dataset.state}, of {dataset.catalog}"]
    if dataset.display_name:
        lines.append(f"queries from: {safe_text(dataset.display_name)}")
    if dataset.state == "SUCCEEDED":
        lines += [
            f"queries: {dataset.query_count}, {dataset.absent_count} of them of products that the "
            "gallery lacks",
            f"gallery: {dataset.gallery_count} images of {dataset.product_count} products",
            f"left out of the gallery: {dataset.left_out_by_hash} that are a query, "
            f"{dataset.left_out_near} that look like a query's copy",
        ]
    if dataset.error_reason:
        lines.append(f"error: {dataset.error_reason}: {safe_text(dataset.error_message)}")
    return lines


def _finish(dataset: "Dataset", *, quiet: bool) -> None:
    if dataset.state != "SUCCEEDED":
        raise FailedPrecondition(
            f"{dataset.name} was not made: {dataset.error_message or dataset.state}",
            reason=dataset.error_reason or dataset.state,
        )
    if not quiet:
        for line in dataset_lines(dataset):
            typer.echo(line)
