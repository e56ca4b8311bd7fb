"""Which column gives which field: what the user said, and what the names suggest."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

from shelflens.errors import InvalidArgument, InvalidManifest

TEXTS = ("sku", "title", "description", "parent", "price", "stock")
LISTS = ("categories", "labels", "image")
FIELDS = (*TEXTS, *LISTS, "attributes")
ATTRIBUTE = "attributes."
_ALIASES = {"category": "categories", "images": "image", "label": "labels"}
# Other names under which shops export a field; used only where nothing better is there.
_SYNONYMS = {
    "sku": ("product_id", "id"),
    "title": ("name",),
    "categories": ("category",),
    "labels": ("label",),
    "image": ("images", "image_url", "image_path", "path"),
}


@dataclass(frozen=True, slots=True)
class Binding:
    """The columns of one manifest: field -> columns (several only for lists)."""

    columns: Mapping[str, tuple[str, ...]]
    ignored: tuple[str, ...] = ()

    def describe(self) -> list[str]:
        """What was decided, for people."""
        pairs = [f"{field} = {' + '.join(names)}" for field, names in self.columns.items()]
        notes = [f"columns: {', '.join(pairs)}"]
        if self.ignored:
            shown = ", ".join(self.ignored[:20]) + (" ..." if len(self.ignored) > 20 else "")
            notes.append(f"ignored columns: {shown} (take one with --map FIELD=COLUMN)")
        return notes


@dataclass(frozen=True, slots=True)
class ColumnMap:
    """The user's own `field=column` pairs; an empty column leaves a field out."""

    chosen: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def parse(cls, pairs: Mapping[str, str] | Iterable[str]) -> Self:
        """`["title=name"]` or `{"title": "name"}`. Raises InvalidArgument (INVALID_MAPPING)."""
        if isinstance(pairs, Mapping):
            pairs = [f"{name}={column}" for name, column in pairs.items()]
        chosen: dict[str, tuple[str, ...]] = {}
        for pair in pairs:
            name, equals, column = pair.partition("=")
            name = _ALIASES.get(name.strip(), name.strip())
            attribute = name.startswith(ATTRIBUTE) and name != ATTRIBUTE
            if not equals or not (name in FIELDS or attribute):
                raise InvalidArgument(
                    f"'{pair}' is not FIELD=COLUMN with a field of {', '.join(FIELDS[:-1])}, "
                    "attributes.NAME",
                    reason="INVALID_MAPPING",
                )
            if name in chosen and name not in LISTS:
                raise InvalidArgument(f"'{name}' is mapped twice", reason="INVALID_MAPPING")
            chosen[name] = (*chosen.get(name, ()), *([column] if column else []))
        return cls(chosen)

    def bind(self, columns: Sequence[str]) -> Binding:
        """The binding for a manifest with these columns.

        Raises InvalidManifest when a mapped column (COLUMN_MISSING) or any column for the SKU
        (SKU_COLUMN_MISSING) is not there.
        """
        by_key: dict[str, str] = {}
        for column in columns:
            by_key.setdefault(column_key(column), column)
        bound = {
            name: tuple(self.mapped(each, columns, by_key) for each in names)
            for name, names in self.chosen.items()
            if names
        }
        taken = {column for names in bound.values() for column in names}
        free = {key: column for key, column in by_key.items() if column not in taken}
        for name in FIELDS:
            if name not in self.chosen and (suggested := _suggested(name, free)):
                bound[name] = (suggested,)
        for key, column in free.items():
            name = ATTRIBUTE + column.strip()[len(ATTRIBUTE) :]
            if key.startswith(ATTRIBUTE) and name != ATTRIBUTE and name not in self.chosen:
                bound[name] = (column,)
        if "sku" not in bound:
            raise InvalidManifest(
                f"no column for the SKU among: {', '.join(columns)[:500]}; "
                "name it with --map sku=COLUMN",
                reason="SKU_COLUMN_MISSING",
            )
        used = {column for names in bound.values() for column in names}
        return Binding(bound, tuple(each for each in columns if each not in used))

    @staticmethod
    def mapped(name: str, columns: Sequence[str], by_key: Mapping[str, str]) -> str:
        """The column that a user's name means. Raises InvalidManifest (COLUMN_MISSING)."""
        column = name if name in columns else by_key.get(column_key(name))
        if column is None:
            raise InvalidManifest(
                f"there is no column '{name}'; the columns are: {', '.join(columns)[:500]}",
                reason="COLUMN_MISSING",
            )
        return column


def _suggested(name: str, free: Mapping[str, str]) -> str | None:
    return next((free[each] for each in (name, *_SYNONYMS.get(name, ())) if each in free), None)


def column_key(column: str) -> str:
    """What names of columns are compared by: case, spaces, hyphens and underscores are alike."""
    return "_".join(column.strip().casefold().replace("-", " ").split())
