"""`shelflens products`: read, change and delete products."""

from itertools import islice
from typing import Annotated

import typer

from shelflens.cli.catalogs import Catalog
from shelflens.cli.output import AsJson, Limit, Target, connect, print_json, say, show, show_table

app = typer.Typer(
    help="List, change and delete products.", no_args_is_help=True, rich_markup_mode=None
)
Product = Annotated[
    str, typer.Argument(metavar="PRODUCT", help="CATALOG/SKU, or the full resource name.")
]
Words = list[str] | None


@app.command("list")
def list_(
    context: typer.Context,
    catalog: Catalog,
    limit: Limit = 1000,
    target: Target = None,
    as_json: AsJson = False,
) -> None:
    """List the products of a catalogue."""
    with connect(context, target) as client:
        show_table(
            islice(client.list_products(catalog), limit),
            (
                ("PRODUCT", lambda each: each.name),
                ("SKU", lambda each: each.sku),
                ("TITLE", lambda each: each.title),
                ("CATEGORY", lambda each: next(iter(each.categories), "")),
                ("PRICE", lambda each: each.price),
                ("IMAGES", lambda each: each.image_count),
            ),
            as_json=as_json,
            empty=f"no products in {catalog}",
        )


@app.command()
def get(
    context: typer.Context, product: Product, target: Target = None, as_json: AsJson = False
) -> None:
    """Show one product."""
    with connect(context, target) as client:
        show(client.get_product(product), as_json)


@app.command()
def update(
    context: typer.Context,
    product: Product,
    title: Annotated[str | None, typer.Option()] = None,
    description: Annotated[str | None, typer.Option()] = None,
    category: Annotated[Words, typer.Option(help="May be repeated.")] = None,
    label: Annotated[Words, typer.Option(help="May be repeated.")] = None,
    parent: Annotated[str | None, typer.Option(help="The style that variants share.")] = None,
    price: Annotated[float | None, typer.Option()] = None,
    stock: Annotated[float | None, typer.Option()] = None,
    clear: Annotated[Words, typer.Option(metavar="FIELD", help="Empty a field.")] = None,
    target: Target = None,
    as_json: AsJson = False,
) -> None:
    """Change the fields that are given."""
    with connect(context, target) as client:
        changed = client.update_product(
            product,
            title=title,
            description=description,
            categories=category or None,
            labels=label or None,
            parent=parent,
            price=price,
            stock=stock,
            clear=clear or (),
        )
        show(changed, as_json)


@app.command()
def delete(
    context: typer.Context, product: Product, target: Target = None, as_json: AsJson = False
) -> None:
    """Delete a product with its images."""
    with connect(context, target) as client:
        revision = client.delete_product(product)
    if as_json:
        print_json({"deleted": product, "revision": revision})
    else:
        say(f"deleted {product}")
