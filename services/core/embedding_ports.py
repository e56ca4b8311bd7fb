"""The records of embeddings."""

from collections.abc import Mapping, Sequence
from typing import Protocol


class EmbeddingRecords(Protocol):
    """Which image has been embedded by which model, and where the embedding is."""

    def add(
        self, digest: str, key: str, sha256s: Sequence[str], picture_hashes: Sequence[str] = ()
    ) -> None:
        """Row i of the file `key` is sha256s[i]; those that are known already keep their place.

        `picture_hashes` (near_duplicates) is parallel to `sha256s`, or empty.
        """

    def replace(self, digest: str, key: str, rows: Mapping[str, int]) -> list[tuple[str, str, str]]:
        """The embeddings of the hashes in `rows` are now the rows of the file `key`.

        Every image that shows one of them, in any catalogue that this model serves, becomes
        unplanned, and pending where it was searchable: (catalogue, product, hash).
        """

    def known(self, digest: str, sha256s: Sequence[str]) -> set[str]:
        """Those that have an embedding."""

    def places(self, digest: str, sha256s: Sequence[str]) -> dict[str, tuple[str, int]]:
        """Hash -> (object key of the embeddings file, row) of those that have an embedding."""

    def pictures(self, digest: str, sha256s: Sequence[str]) -> dict[str, tuple[str, str, int]]:
        """As `places`, each after its picture hash (near_duplicates), empty where unknown."""

    def refuse(self, refused: Mapping[str, str]) -> None:
        """Remembers bytes that are no usable picture, for every later import."""

    def refusals(self, sha256s: Sequence[str]) -> dict[str, str]:
        """Hash -> reason of those remembered."""

    def claim(self, operation: str, sha256s: Sequence[str]) -> list[str]:
        """Those not yet claimed by this operation, now claimed, in the order given."""

    def settle(self, operation: str, refused: Mapping[str, str]) -> None:
        """Remembers refusals for the rest of the operation, also those of a passing nature."""

    def settled(self, operation: str, sha256s: Sequence[str]) -> dict[str, str]:
        """Hash -> reason of those refused within the operation."""

    def forget(self, operation: str) -> None:
        """Drops the claims of a finished operation."""
