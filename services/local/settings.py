"""Settings of the local profile."""

import ipaddress
from pathlib import Path

from pydantic import Field, model_validator

from services.core.runtime.settings import Settings
from services.ingestion.fetching.limits import FetchLimits, parse_networks, parse_ports


class LocalSettings(Settings):
    """Everything in one process, all state below one directory."""

    data: Path = Field(description="directory for all state; made when missing")
    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(50051, ge=0, le=65535, description="gRPC port; 0 picks a free one")
    allow_remote: bool = Field(
        False, description="listen beyond this machine although nothing is authenticated"
    )
    threads: int = Field(0, ge=0, le=256, description="threads of the model; 0: one a core")
    decoders: int = Field(0, ge=0, le=256, description="decoding processes; 0: one a core")
    decoder_memory: int = Field(
        400,
        ge=100,
        le=100_000,
        description="megabytes that images take together while decoded; larger ones go alone",
    )
    shard_rows: int = Field(256, ge=1, le=4096, description="manifest rows a shard")
    window: int = Field(6, ge=1, le=64, description="shards of one operation in flight")
    products_per_image: int = Field(
        50,
        ge=1,
        description="products that may show one picture; one of more is kept out of search",
    )
    backbone: str = Field(
        "", description="timm name of another default model than the built-in models/base"
    )
    weights: Path | None = Field(
        None, description="weights of `backbone`: safetensors, or a state dict without code"
    )
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
    log_level: str = Field(
        "INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="least level that is logged"
    )

    # The client's, which often shares the environment.
    ALSO_KNOWN = frozenset({"SHELFLENS_TARGET"})

    @model_validator(mode="after")
    def _weights_belong_to_a_backbone(self) -> "LocalSettings":
        if bool(self.backbone) != (self.weights is not None):
            raise ValueError("SHELFLENS_BACKBONE and SHELFLENS_WEIGHTS go together: set both")
        return self

    @model_validator(mode="after")
    def _fetches_make_sense(self) -> "LocalSettings":
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

    @model_validator(mode="after")
    def _stay_on_this_machine(self) -> "LocalSettings":
        if not self.allow_remote and not _is_loopback(self.host):
            raise ValueError(
                f"{self.host} is reachable from other machines and nothing is authenticated: "
                "listen on 127.0.0.1, or set SHELFLENS_ALLOW_REMOTE=true if that is meant"
            )
        return self


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
