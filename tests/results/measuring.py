"""Recipes through a running system: `shelflens serve`, imports, models, datasets, evaluations.

Figures of single queries are kept in a file, so that a second run goes on where one ended.
"""

import hashlib
import json
import os
import re
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from services.core.adapters.file_objects import FileObjects
from services.core.domain.keys import results_prefix
from services.evaluation.result_files import QueryResults, read_results
from shelflens import Client
from shelflens.errors import NotFound
from shelflens.model_options import ModelOptions
from tests.local_server import LocalServer
from tests.results.query_sets import Shop
from tests.results.recipes import Recipe

METRICS = ("product/map@10", "product/recall@1", "image/mar@10")
_DIGITS = 6
_BUILT_IN = "lite0-own"


class Results:
    """Figures of single queries by shop and recipe, in a JSON file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._kept: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}

    def get(self, key: str) -> Any:
        """None where it is missing."""
        return self._kept.get(key)

    def keep(self, key: str, value: object) -> None:
        """Written at once."""
        self._kept[key] = value
        whole = self._path.with_suffix(".new")
        whole.write_text(json.dumps(self._kept, separators=(",", ":")))
        os.replace(whole, self._path)


class System:
    """A server with the shops, and what it measured on them. `results` may hold some already."""

    def __init__(self, server: LocalServer, client: Client, results: Results) -> None:
        self._client = client
        self._objects = FileObjects(server.data / "objects")
        self._results = results

    def fill(self, shop: Shop, folder: Path) -> None:
        """Makes the catalogue and its dataset, unless they are there."""
        gallery, queries = shop.write(folder)
        try:
            made = self._client.get_dataset(shop.name)
        except NotFound:
            found = self._client.import_products(shop.name, gallery, root=shop.root)
            counts = found.raise_for_error().counts
            if counts.rows_rejected:
                raise ValueError(
                    f"{shop.name}: {counts.rows_rejected} rows were rejected"
                ) from None
            made = self._client.make_dataset(shop.name, shop.name, queries, root=shop.root)
        if made.state != "SUCCEEDED":
            raise ValueError(f"{shop.name}: {made.state} {made.error_message}")
        counted = {
            "queries": made.query_count,
            "gallery": made.gallery_count,
            "products": made.product_count,
            "left out": made.left_out_by_hash + made.left_out_near,
        }
        self._results.keep(f"{shop.name}|dataset", counted)

    def measure(self, shop: Shop, recipes: Iterable[Recipe]) -> None:
        """Evaluates those that are not in the results yet, all with the same stages at once."""
        missing: dict[str, list[Recipe]] = {}
        for each in recipes:
            if self._results.get(result_key(shop.name, each)) is None:
                missing.setdefault(each.stages_key, []).append(each)
        for alike in missing.values():
            began = time.monotonic()
            names = [self._model(shop, each) for each in alike]
            read = self._evaluate(shop, names, alike[0])
            for recipe, results in zip(alike, read, strict=True):
                self._results.keep(result_key(shop.name, recipe), _kept(results))
            say(f"{shop.name}: {', '.join(names)}, {time.monotonic() - began:.0f} s")

    def _evaluate(self, shop: Shop, models: Sequence[str], recipe: Recipe) -> list[QueryResults]:
        names = list(dict.fromkeys(models))
        started = self._client.create_evaluation(shop.name, names, stages=recipe.stages, ks=(10,))
        self._client.wait_operation(started.operation)
        done = self._client.get_evaluation(started.name)
        if done.state != "SUCCEEDED":
            raise ValueError(f"{shop.name}: {done.state} {done.error_message}")
        evaluation = done.name.removeprefix("evaluations/")
        return [
            read_results(self._objects, results_prefix(evaluation, names.index(each)))
            for each in models
        ]

    def _model(self, shop: Shop, recipe: Recipe) -> str:
        """The name of the recipe's model, which is made unless it is there."""
        members = []
        for each in recipe.members:
            name = "base" if each.name == _BUILT_IN else self._made(each.name, each.options())
            if recipe.linear:
                options = recipe.linear.options(name, shop.name)
                name = self._made(_linear_name(name, recipe, shop), options)
            members.append(name)
        if len(members) == 1:
            return members[0]
        return self._made("--".join(members), ModelOptions(ensemble=members))

    def _made(self, name: str, options: ModelOptions) -> str:
        model = _model_id(name)
        try:
            self._client.get_model(model)
        except NotFound:
            operation = self._client.create_model(model, **options)
            self._client.wait_operation(operation.name).raise_for_error()
        return model


def result_key(shop: str, recipe: Recipe) -> str:
    """What the results of a recipe are kept under."""
    members = "+".join(each.name for each in recipe.members)
    linear = recipe.linear.name if recipe.linear else ""
    return f"{shop}|{members}|{linear}|{recipe.stages_key}"


def say(line: str) -> None:
    """To stderr at once: a run takes long."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _linear_name(base: str, recipe: Recipe, shop: Shop) -> str:
    assert recipe.linear
    return f"{base}-{recipe.linear.name}-{shop.name}"


def _model_id(name: str) -> str:
    """Ids have at most 63 characters, and only letters, digits and hyphens."""
    readable = re.sub(r"[^a-z0-9]+", "-", name)[:48].strip("-")
    return f"{readable}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _kept(results: QueryResults) -> dict[str, object]:
    return {
        "product": results.product,
        "cluster": results.cluster,
        **{
            name: [round(float(each), _DIGITS) for each in results.metrics[name]]
            for name in METRICS
        },
    }
