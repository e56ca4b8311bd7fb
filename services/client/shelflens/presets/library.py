"""Finding presets: built-in ones by name, others by their file, or by what a source looks like."""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path

from shelflens.errors import InvalidArgument
from shelflens.presets.parsing import parse_preset
from shelflens.presets.schema import Preset

_LARGEST = 256 << 10
_BUILTIN = files("shelflens.presets") / "builtin"


@cache
def builtin_names() -> tuple[str, ...]:
    """Names of the presets that come with the client, sorted."""
    names = (each.name for each in _BUILTIN.iterdir())
    return tuple(sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml")))


def text_of(name: str | Path) -> str:
    """The YAML of a preset. Raises InvalidArgument (PRESET_UNKNOWN, INVALID_PRESET)."""
    if str(name) in builtin_names():
        return (_BUILTIN / f"{name}.yaml").read_text("utf-8")
    path = Path(name)
    if not path.is_file():
        raise InvalidArgument(
            f"there is no preset '{name}': give the path of a YAML file, or one of "
            f"{', '.join(builtin_names())}",
            reason="PRESET_UNKNOWN",
        )
    try:
        if path.stat().st_size > _LARGEST:
            raise InvalidArgument(
                f"{path} has more than {_LARGEST} bytes and is no preset", reason="INVALID_PRESET"
            )
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidArgument(f"{path}: {error}", reason="INVALID_PRESET") from None


def find(name: str | Path) -> Preset:
    """A built-in preset, or the one in a file. Raises as `text_of`."""
    if str(name) in builtin_names():
        return _builtin(str(name))
    return parse_preset(text_of(name), str(name))


def detect_columns(columns: Sequence[str], key: Callable[[str], str]) -> Preset | None:
    """The built-in preset whose columns a file has; the one that asks for most of them.

    `key` is what names of columns are compared by.
    """
    there = {key(each) for each in columns}

    def fits(preset: Preset) -> bool:
        wanted = {key(each) for each in preset.detect.columns}
        return bool(wanted) and (wanted == there if preset.detect.exact else wanted <= there)

    return max(filter(fits, _all()), key=lambda each: len(each.detect.columns), default=None)


def detect_files(folder: Path) -> Preset | None:
    """The built-in preset whose files and folders a folder has."""

    def fits(preset: Preset) -> bool:
        names = preset.detect.files
        return bool(names) and all((folder / each).exists() for each in names)

    return max(filter(fits, _all()), key=lambda each: len(each.detect.files), default=None)


@cache
def _builtin(name: str) -> Preset:
    return parse_preset(text_of(name), f"{name}.yaml")


def _all() -> Iterator[Preset]:
    return map(_builtin, builtin_names())
