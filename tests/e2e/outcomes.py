"""All that a user can see of an imported catalogue, to compare one with another."""

from dataclasses import astuple, dataclass
from pathlib import Path

from shelflens import Client
from shelflens.values import ImportCounts, Operation


@dataclass(frozen=True)
class Outcome:
    """Two imports of the same files end equal; scores are compared by `differences`."""

    state: str
    rows: tuple[int, int, int]
    products: tuple[tuple[object, ...], ...]
    images: tuple[tuple[str, str, str, str], ...]
    rejections: tuple[tuple[object, ...], ...]
    scores: tuple[dict[str, float], ...]  # of every image, by query

    def largest_difference(self, other: "Outcome") -> float:
        """Of any score; both must have scored the same images."""
        differences = [0.0]
        for mine, theirs in zip(self.scores, other.scores, strict=True):
            assert mine.keys() == theirs.keys()
            differences += [abs(mine[image] - theirs[image]) for image in mine]
        return max(differences)


def observe(client: Client, operation: Operation, queries: list[Path]) -> Outcome:
    """Reads everything of the catalogue that `operation` filled.

    Products and images go by the ends of their names, so that catalogues can be compared.
    """
    catalog = operation.catalog
    products = list(client.list_products(catalog))
    images = [image for each in products for image in client.list_images(each.name)]
    return Outcome(
        state=operation.state,
        rows=_rows(operation.counts),
        products=tuple(
            (
                each.sku,
                each.title,
                each.categories,
                each.labels,
                each.parent,
                each.price,
                each.stock,
                each.image_count,
            )
            for each in products
        ),
        images=tuple((_end(each.name), each.state, each.refusal, each.source) for each in images),
        rejections=tuple(astuple(each) for each in operation.rejections),
        scores=tuple(_scores(client, catalog, query) for query in queries),
    )


def self_scores(client: Client, outcome: Outcome, catalog: str) -> list[float]:
    """Of every searchable image, searched by its own name: its score as a hit (0 if none)."""
    found = []
    for end, state, _, _ in outcome.images:
        if state != "SEARCHABLE":
            continue
        name = f"{catalog}/{end}"
        results = client.search(catalog, image=name, top_k=3, hits_per_result=50).results
        hits = {hit.image: hit.score for each in results for hit in each.hits}
        found.append(hits.get(name, 0.0))
    return found


def _rows(counts: ImportCounts) -> tuple[int, int, int]:
    return counts.rows_read, counts.rows_accepted, counts.rows_rejected


def _scores(client: Client, catalog: str, query: Path) -> dict[str, float]:
    response = client.search(catalog, query, top_k=500, hits_per_result=50)
    return {_end(hit.image): hit.score for each in response.results for hit in each.hits}


def _end(name: str) -> str:
    """`products/{p}/images/{i}`."""
    return name.split("/", 2)[2]
