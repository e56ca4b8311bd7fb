"""Settings of the local profile."""

from pathlib import Path

from pydantic import Field

from services.coordinator.settings import ImportSettings
from services.core.runtime.service_settings import ListenSettings
from services.embedding.settings import ModelSettings
from services.gateway.settings import CatalogSettings
from services.ingestion.settings import ManifestSettings


class LocalSettings(
    ListenSettings, ModelSettings, ManifestSettings, ImportSettings, CatalogSettings
):
    """Everything in one process, all state below one directory."""

    data: Path = Field(description="directory for all state; made when missing")
    log_level: str = Field(
        "INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="least level that is logged"
    )

    # The client's, which often shares the environment.
    ALSO_KNOWN = frozenset({"SHELFLENS_TARGET"})
