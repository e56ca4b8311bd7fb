"""Removing objects by the beginning of their keys."""

from services.core.ports import ObjectStore


def remove_below(objects: ObjectStore, prefix: str) -> None:
    """Removes all objects whose keys begin with `prefix`; there may be none."""
    for key in list(objects.keys(prefix)):
        objects.delete(key)
