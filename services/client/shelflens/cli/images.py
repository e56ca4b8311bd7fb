"""`shelflens images`: the pictures of a product."""

import sys
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from shelflens.cli.output import AsJson, Limit, Target, connect, print_json, say, show, show_table
from shelflens.cli.products import Product

app = typer.Typer(
    help="List, upload, download and delete images.", no_args_is_help=True, rich_markup_mode=None
)
Image = Annotated[
    str, typer.Argument(metavar="IMAGE", help="CATALOG/SKU/SHA256, or the full resource name.")
]


@app.command("list")
def list_(
    context: typer.Context,
    product: Product,
    limit: Limit = 1000,
    target: Target = None,
    as_json: AsJson = False,
) -> None:
    """List the images of a product."""
    with connect(context, target) as client:
        show_table(
            islice(client.list_images(product), limit),
            (
                ("IMAGE", lambda each: each.name),
                ("STATE", lambda each: each.state),
                ("REFUSAL", lambda each: each.refusal),
                ("SOURCE", lambda each: each.source),
            ),
            as_json=as_json,
            empty=f"no images of {product}",
        )


@app.command()
def get(
    context: typer.Context, image: Image, target: Target = None, as_json: AsJson = False
) -> None:
    """Show one image's record."""
    with connect(context, target) as client:
        show(client.get_image(image), as_json)


@app.command()
def upload(
    context: typer.Context,
    product: Product,
    photo: Annotated[Path, typer.Argument(metavar="FILE", help="JPEG, PNG or WebP.")],
    target: Target = None,
    as_json: AsJson = False,
) -> None:
    """Add an image to a product."""
    with connect(context, target) as client:
        show(client.upload_image(product, photo), as_json)


@app.command()
def download(
    context: typer.Context,
    image: Image,
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write; - is stdout.")],
    target: Target = None,
    as_json: AsJson = False,
) -> None:
    """Write the stored bytes of an image to a file."""
    with connect(context, target) as client:
        data = client.download_image(image)
    if str(output) == "-":
        sys.stdout.buffer.write(data)
        return
    output.write_bytes(data)
    if as_json:
        print_json({"image": image, "file": str(output), "size_bytes": len(data)})
    else:
        say(f"wrote {len(data)} bytes to {output}")


@app.command()
def delete(
    context: typer.Context, image: Image, target: Target = None, as_json: AsJson = False
) -> None:
    """Delete one image of a product."""
    with connect(context, target) as client:
        revision = client.delete_image(image)
    if as_json:
        print_json({"deleted": image, "revision": revision})
    else:
        say(f"deleted {image}")
