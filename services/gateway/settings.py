"""What the gateway allows and how much it does at once."""

from dataclasses import dataclass, field

from pydantic import Field

from services.core.runtime.service_settings import (
    BrokerSettings,
    ListenSettings,
    ObjectSettings,
    RecordSettings,
    ServiceSettings,
    VectorSettings,
)
from services.core.runtime.settings import Settings
from services.imaging.limits import ImageLimits

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class GatewayLimits:
    """Sizes in bytes, times in seconds."""

    photo: ImageLimits = field(default_factory=lambda: ImageLimits(max_bytes=7 * MIB))
    image: ImageLimits = field(default_factory=ImageLimits)
    manifest_bytes: int = 4_000_000_000
    weights_bytes: int = 16_000_000_000
    hashes_per_call: int = 1_000
    display_name_length: int = 200
    share_collections: bool = False

    page_size: int = 100
    max_page_size: int = 1_000

    top_k: int = 10
    max_top_k: int = 500
    hits_per_result: int = 3
    max_hits_per_result: int = 50
    candidates: int = 1_000

    max_compare_searches: int = 10_000
    max_compare_seconds: int = 86_400
    compare_seconds: int = 600
    compared_at_once: int = 2  # searches that also run on a deployment to come; others do not
    compared_within: float = 10.0

    deadline: float = 10.0  # of calls that bring none
    max_deadline: float = 60.0
    deadline_margin: float = 0.05  # kept back so that the answer arrives before the deadline
    poll_interval: float = 0.1  # between two looks at operations that someone waits for
    watch_interval: float = 0.5  # between two looks at an evaluation that someone watches

    stream_searches: int = 8  # at once on one stream
    uploads: int = 16  # streams of images that are read at once; further ones wait
    upload_batches: int = 2  # on their way to the object store at once, a stream
    upload_batch_bytes: int = MIB  # small images are handed over together

    record_threads: int = 8
    object_threads: int = 8
    search_threads: int = 8
    upload_threads: int = 8  # manifests, weights: each is held for a whole upload, however slow


class CatalogSettings(Settings):
    """How new catalogues are kept."""

    share_collections: bool = Field(
        False,
        description="new catalogues share a collection of the vector store with others of their "
        "model until they have more than 10,000 images; for thousands of small ones",
    )


class GatewaySettings(
    CatalogSettings,
    ServiceSettings,
    ListenSettings,
    BrokerSettings,
    ObjectSettings,
    RecordSettings,
    VectorSettings,
):
    """Of `python -m services.gateway`. Several may run."""

    drain_seconds: float = Field(
        0.0,
        ge=0,
        le=600,
        description="after SIGTERM, how long to go on serving while balancers notice",
    )
    max_connection_age: float = Field(
        0.0,
        ge=0,
        description="seconds after which clients are made to connect anew, so that new gateways "
        "get their share; 0: never",
    )
