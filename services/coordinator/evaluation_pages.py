"""Passes over the pages of a frozen dataset, some pages a step.

The first has embedded what any of the models lacks; a picture is decoded once for all of them. The
second writes down where the embeddings are, right before they are read.
"""

from collections.abc import Iterator, Sequence

from services.coordinator.dataset_pages import read_page, write_page_places
from services.coordinator.step import Step, embed_body
from services.coordinator.targets import lacking
from services.core.dataset_files import GALLERY, QUERIES, DatasetRow
from services.core.domain import keys
from services.core.domain.model import Model
from services.core.messages import EmbedShard
from services.core.work_ports import Shard, ShardState, Stage

EMBEDDED, PLACED = "embedded", "placed"  # in the result: how far the passes are, (role, page)
_ROLES = (QUERIES, GALLERY)


def embed_pages(step: Step, dataset: str, models: Sequence[Model]) -> None:
    """Adds shards for what is missing of the next pages of `dataset` (prefix), while there is
    room."""
    embedders = list(dict.fromkeys(each.digest for model in models for each in model.embedders))
    room = 2 * step.limits.window - step.tx.shards.unfinished(step.operation.id)
    if room <= 0:
        return
    for _, _, rows in _next_pages(step, EMBEDDED, dataset):
        missing = lacking(step.tx, embedders, list({each.sha256 for each in rows}))
        shards = _shards(step, missing)
        step.tx.shards.add(shards)
        room -= len(shards)
        if room <= 0:
            return


def place_pages(step: Step, dataset: str, models: Sequence[Model]) -> None:
    """Writes places files of each model for the next pages of `dataset` (prefix)."""
    for role, number, rows in _next_pages(step, PLACED, dataset):
        for at, model in enumerate(models):
            key = keys.page_key(places_prefix(step, at), role, number)
            write_page_places(step, [each.digest for each in model.embedders], rows, key)


def is_through(step: Step, name: str) -> bool:
    """Whether a pass has seen all pages."""
    return bool(step.operation.result.get(name, [0, 0])[0] == len(_ROLES))


def places_prefix(step: Step, model: int) -> str:
    """Where the places files of the model at place `model` of the evaluation are."""
    return f"{keys.working_prefix(step.operation.id)}places/{model}/"


def _next_pages(step: Step, name: str, dataset: str) -> Iterator[tuple[str, int, list[DatasetRow]]]:
    """(role, number, rows) of pages that the pass has not seen, as many as a step takes. One that
    is given out counts as seen."""
    for _ in range(step.limits.listed_pages):
        if is_through(step, name):
            return
        role, number = step.operation.result.get(name, [0, 0])
        rows = read_page(step, dataset, _ROLES[role], number)
        seen = [role + 1, 0] if rows is None else [role, number + 1]
        step.operation.result = step.operation.result | {name: seen}
        if rows is not None:
            yield _ROLES[role], number, rows


def _shards(step: Step, missing: dict[str, set[str]]) -> list[Shard]:
    hashes = sorted(set().union(*missing.values()))
    first, most = step.tx.shards.next_sequence(step.operation.id), step.limits.filled_images
    shards = []
    for number, start in enumerate(range(0, len(hashes), most), first):
        chunk = set(hashes[start : start + most])
        body = embed_body(
            step, EmbedShard, number, {each: those & chunk for each, those in missing.items()}
        )
        shards.append(Shard(step.operation.id, number, Stage.EMBED, ShardState.READY, body))
    return shards
