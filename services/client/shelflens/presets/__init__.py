"""Presets: what shops and data sets call their columns, as small YAML files."""

from shelflens.presets.library import builtin_names, detect_columns, detect_files, find, text_of
from shelflens.presets.schema import Detection, FieldRule, Groups, Part, Preset

__all__ = [
    "Detection",
    "FieldRule",
    "Groups",
    "Part",
    "Preset",
    "builtin_names",
    "detect_columns",
    "detect_files",
    "find",
    "text_of",
]
