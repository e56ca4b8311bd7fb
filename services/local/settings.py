"""Settings of the local profile."""

import ipaddress
from pathlib import Path

from pydantic import Field, model_validator

from services.core.runtime.settings import Settings


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
    shard_rows: int = Field(256, ge=1, le=4096, description="manifest rows a shard")
    window: int = Field(6, ge=1, le=64, description="shards of one operation in flight")
    backbone: str = Field(
        "", description="timm name of another default model than the built-in models/base"
    )
    weights: Path | None = Field(
        None, description="weights of `backbone`: safetensors, or a state dict without code"
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
