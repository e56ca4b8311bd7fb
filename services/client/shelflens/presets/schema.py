"""What a preset can say. docs/presets.md describes the keys for people."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from shelflens.errors import InvalidArgument

Values = Mapping[str, tuple[str, ...]]  # by column


@dataclass(frozen=True, slots=True)
class Detection:
    """What must be there for a source to look like this: columns of a file, or names in a folder.

    `exact`: the file has no other columns.
    """

    columns: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    exact: bool = False


@dataclass(frozen=True, slots=True)
class FieldRule:
    """Where a field comes from, and what is done with the cells.

    Texts take the first of `columns` with a value, lists all of them unless `first`; `value` are
    templates for where no column has one. `separator` of None is the one of the import.
    """

    columns: tuple[str, ...] = ()
    value: tuple[str, ...] = ()
    separator: str | None = None
    first: bool = False
    path: str = ""
    drop: tuple[str, ...] = ()
    html: bool = False
    strip: str = ""
    prefix: str = ""
    number: bool = False
    minimum: float | None = None
    equals: str = ""
    named: Mapping[str, str] = field(default_factory=dict)
    listed_in: str = ""
    pairs: str = ""
    key: str = ""


@dataclass(frozen=True, slots=True)
class Groups:
    """Neighbouring rows with the same `key` are one product.

    Empty cells of `repeat` take the value of the group's first row. A row without any of `members`
    is no variant of its own. `shared` columns belong to all members, less what a member has in
    `own` columns.
    """

    key: str
    repeat: tuple[str, ...] = ()
    members: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()
    own: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Part:
    """A data set in a folder, or one split of it: a manifest, or patterns of image paths.

    `images` is the folder that image references start from.
    """

    manifest: str = ""
    files: tuple[str, ...] = ()
    images: str = ""
    only: Values = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Preset:
    """How one kind of source is read."""

    name: str
    title: str
    description: str
    fields: Mapping[str, FieldRule]
    detect: Detection = Detection()
    none: Values = field(default_factory=dict)
    only: Values = field(default_factory=dict)
    groups: Groups | None = None
    whole: Part = Part()
    splits: Mapping[str, Part] = field(default_factory=dict)

    def split(self, name: str) -> Part:
        """Raises InvalidArgument (SPLIT_UNKNOWN)."""
        if not self.splits:
            raise InvalidArgument(
                f"preset {self.name} knows no splits; leave --split out", reason="SPLIT_UNKNOWN"
            )
        if name not in self.splits:
            raise InvalidArgument(
                f"preset {self.name} has no split '{name}'; it has: {', '.join(self.splits)}",
                reason="SPLIT_UNKNOWN",
            )
        return self.splits[name]
