"""Settings of the ingestion worker."""

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from services.core.runtime.service_settings import BrokerSettings, ObjectSettings, WorkerSettings
from services.core.runtime.settings import Settings
from services.ingestion.fetching.limits import FetchLimits, parse_networks, parse_ports


class ManifestSettings(Settings):
    """How manifests are cut, and where images may be fetched from."""

    shard_rows: int = Field(256, ge=1, le=4096, description="manifest rows a shard")
    fetch_allowed_networks: str = Field(
        "", description="networks to fetch images from although not public, as 10.1.0.0/16,fd00::/8"
    )
    fetch_ports: str = Field("80,443", description="ports that images are fetched from")
    fetch_connections: int = Field(8, ge=1, le=256, description="images fetched at a time")
    fetch_connections_per_host: int = Field(
        4, ge=1, le=64, description="images fetched from one host at a time"
    )
    fetch_user_agent: str = Field(
        "Shelflens (product image import)", description="name told to hosts of images"
    )
    fetch_ca_file: Path | None = Field(
        None, description="PEM file of authorities to trust beside the system's when fetching"
    )

    @model_validator(mode="after")
    def _fetches_make_sense(self) -> Self:
        self.fetch_limits()  # raises ValueError
        return self

    def fetch_limits(self) -> FetchLimits:
        """Where images may be fetched from, and how many at a time."""
        return FetchLimits(
            connections=self.fetch_connections,
            connections_per_host=self.fetch_connections_per_host,
            ports=parse_ports(self.fetch_ports),
            allowed_networks=parse_networks(self.fetch_allowed_networks),
            user_agent=self.fetch_user_agent,
        )


class IngestionSettings(WorkerSettings, BrokerSettings, ObjectSettings, ManifestSettings):
    """Of `python -m services.ingestion`."""

    ingest_threads: int = Field(
        2, ge=1, le=64, description="shards at a time; one may wait for the images of a slow host"
    )
