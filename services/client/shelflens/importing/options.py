"""What an import may be told beside catalogue and source."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypedDict

from shelflens.errors import InvalidArgument


class ImportOptions(TypedDict, total=False):
    """Options of `import_products`.

    `mapping`: columns of fields, `{"title": "name"}` or `["title=name"]`; they win over the preset.
    `root`: where image references start, else the manifest's folder.
    `separator`: between several values in one cell, `|` unless given.
    `preset`: a built-in preset's name or the path of a YAML file; "none" for none; detected unless
    given. `split`: which part of a data set (train, val, test).
    `member`: the manifest within an archive, where it cannot be told by itself.
    `prune`: the source is the full feed: products that it no longer lists are removed, unless these
    are more than `max_removals` (a share of the catalogue, 0 to 1; 0.05 unless given).
    `validate_only`: changes nothing and says what would change.
    `max_errors`: the import fails once more rows than this are rejected.
    `fold_duplicates`: keeps near-duplicates within a product out of search.
    `embeddings_model`: the rows bring embeddings that this model made elsewhere; a catalogue that
    is made has no other. `embeddings`: a .npy file whose row i belongs to row i of the manifest,
    else a column `embedding`. `embeddings_distance`: cosine, euclidean or manhattan.
    `by_reference`: images in objects (`object:...`) are not copied and must stay as they are.
    """

    mapping: Mapping[str, str] | Sequence[str]
    root: str | Path | None
    separator: str
    preset: str | Path | None
    split: str | None
    member: str | None
    prune: bool
    max_removals: float | None
    validate_only: bool
    max_errors: int | None
    fold_duplicates: bool
    embeddings_model: str | None
    embeddings: str | Path | None
    embeddings_distance: str | None
    by_reference: bool


@dataclass(frozen=True, slots=True)
class Rules:
    """What the server is told about an import. Raises InvalidArgument (INVALID_OPTION)."""

    prune: bool = False
    max_removals: float | None = None
    validate_only: bool = False
    max_errors: int | None = None
    fold_duplicates: bool = False
    embeddings_model: str = ""
    by_reference: bool = False

    @classmethod
    def of(cls, options: ImportOptions) -> Self:
        """Those among the options of an import that are the server's business."""
        return cls(
            prune=options.get("prune", False),
            max_removals=options.get("max_removals"),
            validate_only=options.get("validate_only", False),
            max_errors=options.get("max_errors"),
            fold_duplicates=options.get("fold_duplicates", False),
            embeddings_model=options.get("embeddings_model") or "",
            by_reference=options.get("by_reference", False),
        )

    def __post_init__(self) -> None:
        if self.max_removals is not None:
            if not self.prune:
                raise _wrong("max_removals bounds what prune removes: give prune too")
            if not 0 <= self.max_removals <= 1:
                raise _wrong(f"max_removals is a share of 0 to 1, not {self.max_removals}")
        if self.max_errors is not None and self.max_errors < 0:
            raise _wrong(f"max_errors is a number of rows, not {self.max_errors}")


def _wrong(message: str) -> InvalidArgument:
    return InvalidArgument(message, reason="INVALID_OPTION")
