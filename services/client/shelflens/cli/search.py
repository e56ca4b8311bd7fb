"""`shelflens search`: which products look like this photo."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from shelflens.cli.catalogs import Catalog
from shelflens.cli.explaining import save_explanations
from shelflens.cli.output import AsJson, Target, connect, print_json, say, show_table

if TYPE_CHECKING:
    from shelflens.values import SearchResponse, SearchResult

Words = list[str] | None
_EXPLAINED = 3  # results with a picture of why


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
    also: Annotated[
        list[Path] | None,
        typer.Option(metavar="PHOTO", help="Another photo of the same product; repeatable."),
    ] = None,
    expand: Annotated[
        int | None,
        typer.Option(metavar="N", help="Query expansion by the best N hits.", show_default=False),
    ] = None,
    rerank: Annotated[
        bool, typer.Option("--rerank", help="k-reciprocal re-ranking of the nearest 200 images.")
    ] = False,
    fold: Annotated[
        bool, typer.Option("--fold", help="Show near-duplicates of different products once.")
    ] = False,
    diversify: Annotated[
        bool, typer.Option("--diversify", help="Results that differ come first.")
    ] = False,
    budget_ms: Annotated[
        int, typer.Option(metavar="MS", min=0, help="Skip stages that would not fit; 0: never.")
    ] = 0,
    explain: Annotated[
        bool, typer.Option("--explain", help="Save pictures of why the first 3 were found.")
    ] = False,
    explain_to: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where; explain-PHOTO unless given.")
    ] = None,
    timings: Annotated[bool, typer.Option("--timings", help="Show the time by stage.")] = False,
    target: Target = None,
    as_json: AsJson = False,
) -> None:
    """Find the products of a catalogue that look like a photo."""
    from shelflens.values import Diversify, Expand, Fold, RankingStages, Rerank

    stages = RankingStages(
        expand=None if expand is None else Expand(neighbours=expand),
        rerank=Rerank() if rerank else None,
        fold=Fold() if fold else None,
        diversify=Diversify() if diversify else None,
    )
    explained = _EXPLAINED if explain or explain_to else 0
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
            stages=stages,
            latency_budget_ms=budget_ms,
            more_photos=also or (),
            explain=explained,
        )
    if explained:
        save_explanations(
            response, explain_to or Path(f"explain-{photo.stem if photo else 'image'}")
        )
    if as_json:
        print_json(as_document(response))
    else:
        _show(response, timings)
        _tell(response)


def as_document(response: "SearchResponse") -> dict[str, Any]:
    """What `search --json` prints (docs/cli.md)."""
    from shelflens.values import to_json

    results = to_json(response.results)
    for each in results:
        del each["explanation"]  # saved as a file
    return {
        "results": results,
        "model": response.model,
        "index_time": response.index_time,
        "timings_ms": response.timings_ms,
        "verdict": response.verdict,
        "skipped_stages": response.skipped_stages,
        "warnings": response.warnings,
        "feedback_token": response.feedback_token,
    }


def _show(response: "SearchResponse", timings: bool) -> None:
    reranked = any(each.reranked is not None for each in response.results)
    show_table(
        response.results,
        (
            ("SCORE", lambda each: f"{each.score:.4f}"),
            *([("RERANKED", _reranked)] if reranked else []),
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


def _tell(response: "SearchResponse") -> None:
    """What to know about the answer, after it."""
    if verdict := response.verdict:
        probability, least = verdict.probability, verdict.threshold
        accepted = f"accepted from {least:.0%}" if least <= 1 else "none is accepted"
        text = "no match: the first result is" if verdict.no_match else "the first result is"
        say(f"{text} right with {probability:.0%} ({accepted})")
    for result in response.results:
        if result.folded_products:
            say(f"{result.sku} stands for {', '.join(result.folded_products)} as well")
    if response.skipped_stages:
        say(f"skipped to stay within the budget: {', '.join(response.skipped_stages)}")
    for warning in response.warnings:
        say(f"warning: {warning}")


def _reranked(result: "SearchResult") -> str:
    return "" if result.reranked is None else f"{result.reranked:.4f}"
