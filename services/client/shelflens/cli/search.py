"""`shelflens search`: which products look like this photo."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from shelflens.cli.catalogs import Catalog
from shelflens.cli.output import AsJson, Target, connect, print_json, say, show_table

if TYPE_CHECKING:
    from shelflens.values import SearchResponse

Words = list[str] | None


def search_command(
    context: typer.Context,
    catalog: Catalog,
    photo: Annotated[Path | None, typer.Argument(help="JPEG, PNG or WebP.")] = None,
    top_k: Annotated[
        int, typer.Option("--top-k", "-k", min=1, max=500, help="Number of results.")
    ] = 10,
    image: Annotated[
        str, typer.Option(metavar="IMAGE", help="A stored image instead of a photo.")
    ] = "",
    category: Annotated[Words, typer.Option(help="Only these or below; repeatable.")] = None,
    label: Annotated[Words, typer.Option(help="Only with one of these; repeatable.")] = None,
    sku: Annotated[Words, typer.Option(help="Only these; repeatable.")] = None,
    min_price: Annotated[float | None, typer.Option()] = None,
    max_price: Annotated[float | None, typer.Option()] = None,
    min_stock: Annotated[float | None, typer.Option()] = None,
    max_stock: Annotated[float | None, typer.Option()] = None,
    threshold: Annotated[float | None, typer.Option(help="Leave lower scores out.")] = None,
    group_by: Annotated[Literal["product", "parent"], typer.Option()] = "product",
    timings: Annotated[bool, typer.Option("--timings", help="Show the time by stage.")] = False,
    target: Target = None,
    as_json: AsJson = False,
) -> None:
    """Find the products of a catalogue that look like a photo."""
    with connect(context, target) as client:
        response = client.search(
            catalog,
            photo,
            image=image,
            top_k=top_k,
            categories=category or (),
            labels=label or (),
            skus=sku or (),
            min_price=min_price,
            max_price=max_price,
            min_stock=min_stock,
            max_stock=max_stock,
            threshold=threshold,
            group_by=group_by,
            timings=timings or as_json,
        )
    if as_json:
        print_json(as_document(response))
    else:
        _show(response, timings)


def as_document(response: "SearchResponse") -> dict[str, Any]:
    """What `search --json` prints (docs/cli.md)."""
    return {
        "results": response.results,
        "model": response.model,
        "index_time": response.index_time,
        "timings_ms": response.timings_ms,
    }


def _show(response: "SearchResponse", timings: bool) -> None:
    show_table(
        response.results,
        (
            ("SCORE", lambda each: f"{each.score:.4f}"),
            ("SKU", lambda each: each.sku),
            ("TITLE", lambda each: each.title),
            ("CATEGORY", lambda each: each.category),
            ("PRICE", lambda each: each.price),
            ("PRODUCT", lambda each: each.product),
        ),
        as_json=False,
        empty="nothing found",
    )
    if response.truncated:
        say("1,000 candidate images were not enough to fill the list")
    if timings:
        say(", ".join(f"{stage} {ms:.1f} ms" for stage, ms in response.timings_ms.items()))
