"""The settings that services share, by the server that they are for."""

import ipaddress
from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from services.core.runtime.settings import Settings


class ServiceSettings(Settings):
    """Of every service."""

    ALSO_KNOWN = frozenset({"SHELFLENS_TARGET"})  # the client's, which often shares the environment

    log_level: str = Field(
        "INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="least level that is logged"
    )
    grace_seconds: float = Field(
        60.0,
        ge=0,
        le=3600,
        description="after SIGTERM, how long work in hand may take; then it is left to others",
    )


class WorkerSettings(ServiceSettings):
    """Of every service that takes messages from queues."""

    heartbeat_file: Path | None = Field(
        None,
        description="file that is touched every few seconds while the worker takes messages, for "
        "liveness probes",
    )


class ListenSettings(Settings):
    """Of what serves gRPC."""

    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(50051, ge=0, le=65535, description="gRPC port; 0 picks a free one")
    allow_remote: bool = Field(
        False, description="listen beyond this machine although nothing is authenticated"
    )

    @model_validator(mode="after")
    def _stay_on_this_machine(self) -> Self:
        if not self.allow_remote and not _is_loopback(self.host):
            raise ValueError(
                f"{self.host} is reachable from other machines and nothing is authenticated: "
                "listen on 127.0.0.1, or set SHELFLENS_ALLOW_REMOTE=true if that is meant"
            )
        return self


class BrokerSettings(Settings):
    """RabbitMQ."""

    broker_url: SecretStr = Field(description="RabbitMQ: amqp://USER:PASSWORD@HOST:5672/VHOST")

    broker_prefix: str = Field(
        "",
        pattern=r"^[a-z0-9.-]{0,40}$",
        description="before the names of queues and exchanges, so that installations can share a "
        "broker",
    )

    @field_validator("broker_url")
    @classmethod
    def _is_amqp(cls, value: SecretStr) -> SecretStr:
        return _checked(value, ("amqp", "amqps"))


class ObjectSettings(Settings):
    """The S3 server."""

    s3_url: str = Field(description="S3 server: http(s)://HOST:PORT")
    s3_bucket: str = Field("shelflens", description="bucket; made when missing")
    s3_access_key: SecretStr = Field(description="access key of the S3 server")
    s3_secret_key: SecretStr = Field(description="secret key of the S3 server")
    s3_region: str = Field("us-east-1", description="region of the bucket")
    s3_path_style: bool = Field(
        True, description="the bucket is in the path of addresses, not in the name of the host"
    )
    s3_ca_file: Path | None = Field(
        None, description="PEM file of authorities to trust beside the system's"
    )

    @field_validator("s3_url")
    @classmethod
    def _is_http(cls, value: str) -> str:
        return _checked_text(value, ("http", "https"))


class RecordSettings(Settings):
    """PostgreSQL, for the gateway and the coordinator alone."""

    records_url: SecretStr = Field(
        description="PostgreSQL: postgresql://USER:PASSWORD@HOST:5432/DATABASE"
    )

    @field_validator("records_url")
    @classmethod
    def _is_postgresql(cls, value: SecretStr) -> SecretStr:
        return _checked(value, ("postgresql",))


class VectorSettings(Settings):
    """The Qdrant server, for the gateway and the indexing workers alone."""

    qdrant_url: str = Field(description="Qdrant's gRPC address: http(s)://HOST:6334")
    qdrant_api_key: SecretStr = Field(
        SecretStr(""), description="API key of Qdrant; the gateway needs a read-only one"
    )

    qdrant_ca_file: Path | None = Field(
        None, description="PEM file of authorities to trust instead of the usual ones"
    )
    qdrant_quantization: Literal["none", "int8"] = Field(
        "none", description="of new collections: int8 copies of the vectors in memory, or none"
    )
    qdrant_oversampling: float = Field(
        2.0,
        ge=1,
        le=16,
        description="with quantization, how many times the wanted hits are scored exactly",
    )
    qdrant_datatype: Literal["float32", "float16"] = Field(
        "float32",
        description="of new collections: numbers of the vectors; float16, for cosine only, is half "
        "the memory and a faster scan, and moves scores by up to 0.0002",
    )
    qdrant_vectors_on_disk: bool | None = Field(
        None, description="of new collections: vectors in mapped files instead of memory"
    )
    qdrant_payload_on_disk: bool | None = Field(
        None, description="of new collections: payloads in files instead of memory"
    )
    qdrant_hnsw_m: int | None = Field(
        None, ge=0, le=512, description="of new collections: edges of a graph node; 0 for no graph"
    )
    qdrant_hnsw_ef_construct: int | None = Field(
        None, ge=4, le=4096, description="of new collections: candidates while a graph is built"
    )
    qdrant_hnsw_on_disk: bool | None = Field(
        None, description="of new collections: graphs in mapped files instead of memory"
    )
    qdrant_indexing_threshold_kb: int | None = Field(
        None, ge=0, description="of new collections: kB of vectors that get a graph; 0 for never"
    )
    qdrant_shard_number: int | None = Field(
        None, ge=1, le=4096, description="of new collections: shards over the nodes of Qdrant"
    )
    qdrant_replication_factor: int | None = Field(
        None, ge=1, le=64, description="of new collections: copies of each shard"
    )
    qdrant_write_consistency_factor: int | None = Field(
        None, ge=1, le=64, description="of new collections: copies that must take a write"
    )

    @field_validator("qdrant_url")
    @classmethod
    def _is_http(cls, value: str) -> str:
        return _checked_text(value, ("http", "https"))


def _checked(value: SecretStr, schemes: tuple[str, ...]) -> SecretStr:
    _checked_text(value.get_secret_value(), schemes)
    return value


def _checked_text(text: str, schemes: tuple[str, ...]) -> str:
    parts = urlsplit(text)  # raises ValueError for ports that are none
    if parts.scheme not in schemes or not parts.hostname or (parts.port or 1) < 1:
        raise ValueError(f"must be {schemes[0]}://HOST:PORT with what belongs to it")
    return text


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
