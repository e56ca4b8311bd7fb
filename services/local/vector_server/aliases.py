"""Second names of collections, in a file of the data directory that is replaced as a whole."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import grpc

from services.core.adapters.qdrant_vectors.stubs import q
from services.local.vector_server.directories import replace_text
from services.local.vector_server.refusals import Refused, bad_request, no_such_collection


class Aliases:
    """Collection names by alias; what a change did survives a killed process.

    Changes come one at a time, which the store sees to; reads at any time.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._targets: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}

    def all(self) -> dict[str, str]:
        return dict(self._targets)

    def target(self, name: str) -> str:
        """The collection that `name` stands for; `name` itself where it is no alias."""
        return self._targets.get(name, name)

    def change(self, actions: Sequence[q.AliasOperations], exists: Callable[[str], bool]) -> None:
        """All of the actions or none. `exists` knows the collections. Raises Refused."""
        targets = dict(self._targets)
        for action in actions:
            _apply(action, targets, exists)
        self._keep(targets)

    def forget(self, collection: str) -> None:
        """Removes the aliases of a collection that is dropped."""
        kept = {alias: name for alias, name in self._targets.items() if name != collection}
        if kept != self._targets:
            self._keep(kept)

    def _keep(self, targets: dict[str, str]) -> None:
        replace_text(self._path, json.dumps(targets, sort_keys=True))
        self._targets = targets


def _apply(
    action: q.AliasOperations, targets: dict[str, str], exists: Callable[[str], bool]
) -> None:
    match action.WhichOneof("action"):
        case "create_alias":
            new = action.create_alias
            if not exists(new.collection_name):
                raise no_such_collection(new.collection_name)
            _check_free(new.alias_name, exists)
            targets[new.alias_name] = new.collection_name
        case "rename_alias":
            names = action.rename_alias
            _check_free(names.new_alias_name, exists)
            if names.old_alias_name not in targets:
                details = f"Not found: Alias {names.old_alias_name} does not exists!"
                raise Refused(grpc.StatusCode.NOT_FOUND, details)
            targets[names.new_alias_name] = targets.pop(names.old_alias_name)
        case "delete_alias":
            targets.pop(action.delete_alias.alias_name, None)
        case other:
            raise bad_request(f"alias action {other} is not served here")


def _check_free(alias: str, exists: Callable[[str], bool]) -> None:
    if not alias:
        raise bad_request("an alias needs a name")
    if exists(alias):
        raise bad_request(f"Collection `{alias}` already exists!")
