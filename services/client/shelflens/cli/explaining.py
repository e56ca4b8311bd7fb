"""Pictures of why results were found, as files."""

from pathlib import Path
from typing import TYPE_CHECKING

from shelflens.cli.output import say

if TYPE_CHECKING:
    from shelflens.values import SearchResponse


def save_explanations(response: "SearchResponse", folder: Path) -> None:
    """Writes a PNG for every result that has one, and says where."""
    shown = [each for each in response.results if each.explanation]
    if not shown:
        say("no picture of why could be made")
        return
    folder.mkdir(parents=True, exist_ok=True)
    for number, result in enumerate(shown, 1):
        # The id within the name is safe in a path; a SKU need not be.
        product = result.product.rpartition("/")[2]
        (folder / f"{number:02d}-{product}.png").write_bytes(result.explanation)
    say(f"{len(shown)} pictures of why in {folder}/")
