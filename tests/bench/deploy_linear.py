"""A deploy that changes only the linear part embeds nothing again."""

import time
from collections.abc import Iterator
from pathlib import Path

from shelflens import Client
from tests.bench.catalogues import choose_catalog
from tests.bench.figures import Figure, Outcome, at_most
from tests.bench.servers import CATALOG, filled_server

_IMAGES = 3_000
_DIMENSION = 256


def deploy_linear(data: Path | None) -> Iterator[Outcome]:
    """Deploys the base model's embeddings whitened, against a model that embeds everything anew.

    That model is as large as the base model: the same backbone with another pooling.
    """
    catalog = choose_catalog(data)
    with filled_server(catalog, _IMAGES) as (_, client):
        images = client.get_catalog(CATALOG).image_count
        client.wait_operation(
            client.create_model(
                "white", base="base", whitening_from=CATALOG, dimension=_DIMENSION, shrinkage=0.1
            ).name
        ).raise_for_error()
        client.wait_operation(
            client.create_model("max", backbone="tf_efficientnet_lite0", pooling="max").name
        ).raise_for_error()
        linear, none = _deploy(client, "white")
        whole, embedded = _deploy(client, "max")
    if (none, embedded) != (0, images):
        raise ValueError(f"embedded {none} and {embedded} of {images} images")
    yield Figure("linear part over embedding anew", linear / whole, "", at_most(0.1))
    yield Figure("linear part", linear, "s")
    yield Figure("embedding anew", whole, "s")


def _deploy(client: Client, model: str) -> tuple[float, int]:
    """Seconds until the switch, and the number of images that were embedded for it."""
    began = time.perf_counter()
    done = client.wait_operation(client.deploy(CATALOG, model).name).raise_for_error()
    if done.progress is None:
        raise ValueError(f"{done.name} tells no progress")
    return time.perf_counter() - began, done.progress.images_embedded
