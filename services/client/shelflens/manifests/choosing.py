"""Which preset a source is read with, and which part of a data set."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from shelflens import presets
from shelflens.errors import InvalidArgument, InvalidManifest
from shelflens.manifests.columns import column_key
from shelflens.manifests.directory import PathPattern
from shelflens.presets import Part, Preset

NO_PRESET = "none"
IMAGE_FOLDER = "image-folder"


@dataclass(frozen=True, slots=True)
class Choice:
    """A preset, and what to tell people where it was not their choice."""

    preset: Preset | None
    notes: tuple[str, ...] = ()


def choose_for_file(preset: str | Path | None, columns: Sequence[str]) -> Choice:
    """The preset that was asked for, else the one whose columns are there, else none."""
    if preset is not None:
        return Choice(None if str(preset) == NO_PRESET else presets.find(preset))
    return _detected(presets.detect_columns(columns, column_key))


def choose_for_directory(preset: str | Path | None, folder: Path) -> tuple[Preset, Sequence[str]]:
    """As `choose_for_file`, by names of files; what looks like nothing is a folder of images."""
    if preset is not None:
        return presets.find(IMAGE_FOLDER if str(preset) == NO_PRESET else preset), ()
    detected = _detected(presets.detect_files(folder))
    return detected.preset or presets.find(IMAGE_FOLDER), detected.notes


def part_of_directory(preset: Preset, folder: Path, split: str | None) -> Part:
    """What is read of a folder.

    Raises InvalidArgument (SPLIT_UNKNOWN, SPLIT_MISSING) and InvalidManifest for a preset that
    describes single files.
    """
    if split is not None:
        return preset.split(split)
    if preset.whole.manifest or preset.whole.files:
        return preset.whole
    if len(preset.splits) == 1:
        return next(iter(preset.splits.values()))
    if preset.splits:
        raise InvalidArgument(
            f"preset {preset.name} has several parts: choose one with --split "
            f"{'|'.join(preset.splits)}",
            reason="SPLIT_MISSING",
        )
    raise InvalidManifest(f"preset {preset.name} reads a file: name the one in {folder}")


def part_of_file(preset: Preset | None, source: Path, split: str | None) -> Part:
    """What is read of a file; its name tells the split where none is given. Raises as above."""
    if preset is None:
        if split is not None:
            raise InvalidArgument(
                "--split needs a preset that knows splits: give it with --preset, or leave --split "
                "out",
                reason="SPLIT_UNKNOWN",
            )
        return Part()
    parts = {**preset.splits, **({"": preset.whole} if preset.whole != Part() else {})}
    named = [name for name, part in parts.items() if part.manifest == source.name]
    if split is not None:
        part = preset.split(split)
        if named and split not in named:
            raise InvalidArgument(
                f"{source.name} is split {named[0]}, not {split}", reason="SPLIT_UNKNOWN"
            )
    else:
        part = Part(images=parts[named[0]].images) if named else Part()
    if part.files or (parts and all(each.files for each in parts.values())):
        raise InvalidManifest(f"preset {preset.name} reads a directory, and {source} is a file")
    return part


def patterns(preset: Preset, part: Part) -> Sequence[PathPattern]:
    """Where the images of a part are. Raises InvalidArgument (INVALID_PRESET)."""
    try:
        return [PathPattern.parse(each) for each in part.files]
    except ValueError as error:
        raise InvalidArgument(f"preset {preset.name}: {error}", reason="INVALID_PRESET") from None


def _detected(preset: Preset | None) -> Choice:
    if preset is None:
        return Choice(None)
    note = f"looks like {preset.title}: using preset {preset.name}; --preset none to turn that off"
    return Choice(preset, (note,))
