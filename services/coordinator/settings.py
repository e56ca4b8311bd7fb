"""Settings and limits of the coordinator."""

from dataclasses import dataclass

from pydantic import Field

from services.core.runtime.service_settings import (
    BrokerSettings,
    ObjectSettings,
    RecordSettings,
    WorkerSettings,
)
from services.core.runtime.settings import Settings


class ImportSettings(Settings):
    """How imports are driven."""

    window: int = Field(6, ge=1, le=64, description="shards of one operation in flight")
    products_per_image: int = Field(
        50,
        ge=1,
        description="products that may show one picture; one of more is kept out of search",
    )


class CoordinatorSettings(
    WorkerSettings, BrokerSettings, ObjectSettings, RecordSettings, ImportSettings
):
    """Of `python -m services.coordinator`. Several may run."""

    lease_seconds: float = Field(
        900.0,
        ge=10,
        description="after which a shard that nobody reported is published again; longer than a "
        "queue takes to reach it and a worker to finish it",
    )
    dead_letters: int = Field(
        2_000, ge=1, le=1_000_000, description="dead letters that are kept; the oldest make room"
    )


@dataclass(frozen=True, slots=True)
class CoordinatorLimits:
    """`window` shards of an operation are in flight at most; a worker holds one for `lease` s.

    One that a worker could not do because a server was away waits for `outage_pause` s. A shard
    fails when its lease has ended `lapses` times although a worker had started it. The
    coordinator that writes the report of an operation has `finishing` s before another may.

    A catalogue in a collection that others share gets its own beyond `shared_images`.

    A deploy takes about `filled_images` images in a shard. It waits up to `worker_wait` s for query
    workers to load its model; one that has told nothing for `worker_silence` s is gone.

    A dataset lists the images of `listed_products` products at a time. Of these, and of the pages
    of datasets, `listed_pages` are gone through in a step. What measures or fits whole galleries
    has its worker for `long_lease` s.

    A picture that more than `products_per_image` products of a catalogue show stands for none of
    them ("no image available"), and is kept out of search. Sizes and colours may share one.

    Every `orphan_sweep` s the object store is searched for what no record needs, `orphan_keys` a
    tick. What was made less than `orphan_grace` s ago may still be on its way into the records; an
    uploaded manifest is to be imported within that time.
    """

    window: int = 6
    lease: float = 900.0
    outage_pause: float = 15.0
    lapses: int = 3
    finishing: float = 60.0
    tick: float = 1.0
    shared_images: int = 10_000
    filled_images: int = 256
    listed_products: int = 1_024
    listed_pages: int = 4
    long_lease: float = 7_200.0
    worker_silence: float = 30.0
    worker_wait: float = 600.0
    index_attempts: int = 20
    index_backoff: float = 5.0
    reported_rejections: int = 100
    reported_changes: int = 100  # of a dry run
    sweep: int = 1_000
    products_per_image: int = 50
    keep_changes: float = 3_600.0
    orphan_sweep: float = 21_600.0
    orphan_keys: int = 100
    orphan_grace: float = 604_800.0
