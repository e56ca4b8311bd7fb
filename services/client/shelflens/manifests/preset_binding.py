"""A preset and the columns that a source has."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from shelflens.errors import InvalidManifest
from shelflens.manifests.columns import Binding, ColumnMap, column_key
from shelflens.manifests.preset_values import columns_of, renamed
from shelflens.presets import FieldRule, Groups, Part, Preset


@dataclass(frozen=True, slots=True)
class BoundPreset:
    """A preset with the columns' names as the source writes them, without those it lacks."""

    fields: Mapping[str, FieldRule]
    always: frozenset[str]
    none: Mapping[str, tuple[str, ...]]
    only: Mapping[str, tuple[str, ...]]
    groups: Groups | None
    images: str
    binding: Binding
    used: tuple[str, ...]

    def is_there(self, name: str, record: Mapping[str, object]) -> bool:
        """Whether the source has a field: in all its records, or in this one."""
        return name in self.always or any(each in record for each in columns_of(self.fields[name]))


def bind(
    preset: Preset, part: Part, columns: Sequence[str], open_ended: bool, mapped: ColumnMap
) -> BoundPreset:
    """A preset for a source with these columns; the user's own mapping wins field by field.

    `open_ended`: records may have further columns. Raises InvalidManifest when a mapped column
    (COLUMN_MISSING) or any column for the SKU (SKU_COLUMN_MISSING) is not there.
    """
    there: dict[str, str] = {}
    for column in columns:
        there.setdefault(column_key(column), column)
    names = _Names(there, open_ended)
    rules = {name: names.rule(rule) for name, rule in preset.fields.items()}
    rules.update(_mapped(mapped, columns, there))
    fields = {name: rule for name, rule in rules.items() if rule.value or any(columns_of(rule))}
    always = frozenset(name for name, rule in fields.items() if _is_known(rule, columns))
    if "sku" not in always:
        raise InvalidManifest(
            f"preset {preset.name} finds no column for the SKU "
            f"({', '.join(columns_of(preset.fields['sku']))}) among: {', '.join(columns)[:500]}; "
            "name it with --map sku=COLUMN",
            reason="SKU_COLUMN_MISSING",
        )
    only = names.table({**preset.only, **part.only})
    none = names.table(preset.none)
    groups = names.groups(preset.groups)
    by_field = {name: tuple(columns_of(rule)) for name, rule in fields.items() if name in always}
    used = dict.fromkeys(column for rule in fields.values() for column in columns_of(rule))
    used.update(dict.fromkeys((*only, *none, *_columns(groups))))
    ignored = tuple(each for each in columns if each not in used)
    return BoundPreset(
        fields=fields,
        always=always,
        none=none,
        only=only,
        groups=groups,
        images=part.images,
        binding=Binding(by_field, ignored),
        used=tuple(used),
    )


class _Names:
    """The preset's names of columns as the source writes them."""

    def __init__(self, there: Mapping[str, str], open_ended: bool) -> None:
        self._there = there
        self._open_ended = open_ended

    def rule(self, rule: FieldRule) -> FieldRule:
        known = {name: found for name in columns_of(rule) for found in self._each((name,))}
        return replace(
            rule,
            columns=self._each(rule.columns),
            value=tuple(
                renamed(each, known)
                for each in rule.value
                if all(name in known for name in columns_of(FieldRule(value=(each,))))
            ),
            named={
                known[name]: known[value]
                for name, value in rule.named.items()
                if name in known and value in known
            },
            listed_in=known.get(rule.listed_in, ""),
        )

    def table(self, values: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        return {column: some for name, some in values.items() for column in self._each((name,))}

    def groups(self, groups: Groups | None) -> Groups | None:
        if groups is None or not self._each((groups.key,)):
            return None
        return Groups(
            self._each((groups.key,))[0],
            repeat=self._each(groups.repeat),
            members=self._each(groups.members),
            shared=self._each(groups.shared),
            own=self._each(groups.own),
        )

    def _each(self, names: Sequence[str]) -> tuple[str, ...]:
        found = (self._there.get(column_key(name)) for name in names)
        if self._open_ended:
            return tuple(here or name for here, name in zip(found, names, strict=True))
        return tuple(filter(None, found))


def _is_known(rule: FieldRule, columns: Sequence[str]) -> bool:
    used = set(columns_of(rule))
    return not used or not used.isdisjoint(columns)


def _mapped(
    mapped: ColumnMap, columns: Sequence[str], there: Mapping[str, str]
) -> Iterator[tuple[str, FieldRule]]:
    for name, chosen in mapped.chosen.items():
        found = tuple(ColumnMap.mapped(each, columns, there) for each in chosen)
        yield name, FieldRule(columns=found)


def _columns(groups: Groups | None) -> tuple[str, ...]:
    if groups is None:
        return ()
    return (groups.key, *groups.repeat, *groups.members, *groups.shared, *groups.own)
