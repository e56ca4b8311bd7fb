"""`shelflens feedback`: what users said about search results."""

import csv
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shelflens.cli.catalogs import Catalog
from shelflens.cli.output import AsJson, Limit, Target, connect, say, show_table
from shelflens.cli.output import show as show_value
from shelflens.cli.saving import saved
from shelflens.errors import InvalidArgument, NotFound

if TYPE_CHECKING:
    from shelflens.client import Client
    from shelflens.values import Feedback

app = typer.Typer(
    help="Record, list and export what users said about search results.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command()
def record(
    context: typer.Context,
    catalog: Catalog,
    token: Annotated[
        str, typer.Argument(metavar="TOKEN", help="feedback_token of the answer (search --json).")
    ],
    product: Annotated[str, typer.Option(metavar="SKU", help="The product that was shown.")],
    right: Annotated[bool, typer.Option("--right/--wrong", help="Whether it was right.")],
    expected: Annotated[
        str, typer.Option(metavar="SKU", help="The product that would have been right.")
    ] = "",
    photo: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Kept where the catalogue keeps photos.")
    ] = None,
    target: Target = None,
    as_json: AsJson = False,
) -> None:
    """Say whether a result was right."""
    with connect(context, target) as client:
        noted = client.record_feedback(
            catalog, token, product, right=right, expected=expected, photo=photo
        )
    show_value(noted, as_json)


@app.command("list")
def list_(
    context: typer.Context,
    catalog: Catalog,
    limit: Limit = 1000,
    target: Target = None,
    as_json: AsJson = False,
) -> None:
    """List what users said, oldest first."""
    with connect(context, target) as client:
        show_table(
            islice(client.list_feedback(catalog), limit),
            (
                ("TIME", lambda each: f"{each.create_time:%Y-%m-%d %H:%M}"),
                ("RIGHT", lambda each: "yes" if each.right else "no"),
                ("PRODUCT", lambda each: _id(each.product)),
                ("EXPECTED", lambda each: _id(each.expected_product)),
                ("PHOTO", lambda each: each.photo_sha256[:12]),
                ("KEPT", lambda each: "yes" if each.photo_expire_time else "no"),
                ("MODEL", lambda each: each.model_digest[:12]),
            ),
            as_json=as_json,
            empty=f"nobody has said anything about {catalog}",
        )


@app.command()
def export(
    context: typer.Context,
    catalog: Catalog,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Must not exist, or be empty.")],
    target: Target = None,
) -> None:
    """Save kept photos, labelled queries (queries.csv) and pairs for training (pairs.csv)."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InvalidArgument(f"{folder} is no empty directory", reason="INVALID_OPTION")
    with connect(context, target) as client:
        count, photos = _export(client, catalog, folder)
    say(f"{count} answers and {photos} photos in {folder}/")


def _export(client: "Client", catalog: str, folder: Path) -> tuple[int, int]:
    (folder / "photos").mkdir(parents=True)
    skus: dict[str, str] = {}
    saved_photos: dict[str, str] = {}
    queries: dict[str, str] = {}
    count = 0
    with saved(folder / "pairs.csv") as pairs_file:
        pairs_file.write(b"photo,sku,right\n")
        for count, each in enumerate(client.list_feedback(catalog), 1):  # noqa: B007 - counted
            photo = _photo(client, each, folder, saved_photos)
            if not photo:
                continue
            judged = [(each.product, each.right)]
            if each.expected_product:
                judged.append((each.expected_product, True))
            for product, right in judged:
                sku = _sku(client, product, skus)
                if not sku:
                    continue
                pairs_file.write(_line(photo, sku, str(int(right))))
                if right:
                    queries[photo] = sku
    with saved(folder / "queries.csv") as queries_file:
        queries_file.write(b"image,sku\n")
        for photo, sku in queries.items():
            queries_file.write(_line(photo, sku))
    return count, len(saved_photos)


def _photo(client: "Client", each: "Feedback", folder: Path, known: dict[str, str]) -> str:
    """Its path within the folder, empty where it is not kept."""
    if each.photo_expire_time is None:
        return known.get(each.photo_sha256, "")
    if each.photo_sha256 not in known:
        try:
            data = client.download_feedback_photo(each.name)
        except NotFound:  # it has expired meanwhile
            return ""
        path = f"photos/{each.photo_sha256}"
        (folder / path).write_bytes(data)
        known[each.photo_sha256] = path
    return known[each.photo_sha256]


def _sku(client: "Client", product: str, known: dict[str, str]) -> str:
    """Empty where the product is gone."""
    if product not in known:
        try:
            known[product] = client.get_product(product).sku
        except NotFound:
            known[product] = ""
    return known[product]


def _line(*cells: str) -> bytes:
    from io import StringIO

    text = StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue().encode()


def _id(name: str) -> str:
    return name.rpartition("/")[2]
