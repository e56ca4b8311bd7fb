"""Embeddings that came with the rows of an import: no worker makes them."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from services.coordinator.step import Step
from services.core.domain import keys
from services.core.domain.errors import DataLoss, NotFound
from services.core.domain.operations import OperationKind
from services.core.domain.vector_images import is_vector
from services.core.messages import IngestShard
from services.core.outcomes import ShardIngested
from services.core.ports import Float32
from services.core.shard_files import AcceptedRow, read_embeddings, write_embeddings

# Why an image is not usable in a catalogue whose embeddings come with imports alone.
MISSING = "EMBEDDING_MISSING"


def take_embeddings(
    step: Step, message: IngestShard, outcome: ShardIngested, rows: Sequence[AcceptedRow]
) -> None:
    """Keeps the embeddings of the images that `rows` list, as far as they are new.

    A picture whose embedding is another one than before gets it: the last import counts. An image
    that is an embedding itself never gets another.
    """
    if not outcome.embedded or not rows:
        return
    digest = message.model_digest
    carried = read_embeddings(step.objects.get(message.embeddings))
    listed = {sha for row in rows for sha in row.sha256s}
    places: dict[str, int] = {}  # of several rows with one picture the first counts
    for at, sha in enumerate(carried.sha256s):
        if sha in listed:
            places.setdefault(sha, at)
    known = step.tx.embeddings.known(digest, list(places))
    pictures = {sha for row in rows for sha in _pictures(row)} & known & places.keys()
    vectors = {sha: carried.embeddings[places[sha]] for sha in sorted(pictures)}
    changed = _changed(step, digest, vectors)
    wanted = [sha for sha in places if sha not in known or sha in changed]
    if not wanted:
        return
    key = keys.embeddings_key(digest, step.operation.id, message.sequence)
    step.objects.put(key, write_embeddings(carried.take([places[sha] for sha in wanted])))
    step.tx.embeddings.add(digest, key, wanted)
    replaced = {sha: at for at, sha in enumerate(wanted) if sha in changed}
    _show_anew(step, step.tx.embeddings.replace(digest, key, replaced))


def without_embedding(step: Step, hashes: Sequence[str]) -> dict[str, str]:
    """Hash -> reason of the images that have none, where nothing here could make one."""
    return dict.fromkeys(step.to_embed(hashes), MISSING) if step.is_external() else {}


def _pictures(row: AcceptedRow) -> list[str]:
    pairs = zip(row.sha256s, row.sources, strict=True)
    return [sha for sha, source in pairs if not is_vector(sha, source)]


def _changed(step: Step, digest: str, vectors: dict[str, Float32]) -> set[str]:
    """Those whose stored embedding is another one, or lost."""
    if not vectors:
        return set()
    same = set()
    for file in step.tx.erasing.files_of(list(vectors)):
        if file.digest != digest:
            continue
        try:
            stored = read_embeddings(step.objects.get(file.key)).embeddings
        except (NotFound, DataLoss):
            continue
        rows = step.tx.erasing.rows_of(file, list(vectors))
        same |= {sha for sha, at in rows.items() if np.array_equal(stored[at], vectors[sha])}
    return vectors.keys() - same


def _show_anew(step: Step, images: Sequence[tuple[str, str, str]]) -> None:
    """Makes the collections follow, also of other products and catalogues with these pictures."""
    products = defaultdict(set)
    for catalog, product, _ in images:
        products[catalog].add(product)
    for catalog, changed in products.items():
        revision = step.tx.catalogs.next_revision(catalog)
        request = {"products": sorted(changed), "embed": []}
        step.tx.operations.create(OperationKind.CHANGE, catalog, revision, request, step.now)
