"""The records of pictures that show the same: near-duplicates within a product, and pictures that
too many products share."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from services.core.domain.catalog import ImageState


@dataclass(frozen=True, slots=True)
class Foldable:
    """An image that may be folded, or others into it. Empty texts: not embedded, not known."""

    product: str
    sha256: str
    folded: bool
    picture_hash: str
    embeddings: str
    embedding_row: int


class DuplicateRecords(Protocol):
    """Images that are usable, but kept out of search."""

    def note_rule(self, catalog: str, products: Sequence[str], revision: int, folds: bool) -> None:
        """Notes whether near-duplicates fold in the products whose images the import at `revision`
        was the last to list. Where they no longer do, folded images are pending again."""

    def foldable(self, catalog: str, digest: str, products: Sequence[str]) -> list[Foldable]:
        """Images of those of the products that fold, in the order of the manifest.

        Only imported ones, neither refused nor withheld; what the product no longer lists is last.
        """

    def withheld_elsewhere(self, catalog: str, products: Sequence[str]) -> list[tuple[str, str]]:
        """Pending images of these products whose picture is withheld in another product."""

    def overshared(self, catalog: str, operation: str, most: int) -> list[str]:
        """Hashes that more than `most` products show, refused ones too.

        Looks at those that the operation claimed and those that are withheld.
        """

    def to_withhold(
        self, catalog: str, sha256s: Sequence[str], limit: int
    ) -> list[tuple[str, str]]:
        """Images with these hashes that are neither withheld nor refused."""

    def to_release(self, catalog: str, overshared: Sequence[str]) -> list[tuple[str, str]]:
        """Withheld images with other hashes than these."""

    def move(self, catalog: str, images: Sequence[tuple[str, str]], state: ImageState) -> None:
        """Gives images, (product, sha256), another state; they become unplanned."""

    def count(self, catalog: str, revision: int, state: ImageState) -> int:
        """How many of the images that the import at `revision` listed are in a hidden state."""

    def withheld(self, catalog: str) -> list[str]:
        """Hashes of the images that are withheld, each once."""
