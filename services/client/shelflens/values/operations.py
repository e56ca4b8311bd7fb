"""Long-running work."""

from dataclasses import dataclass, field
from datetime import datetime

from shelflens.errors import ShelflensError
from shelflens.values.imports import (
    ImportCounts,
    ProductChange,
    PruneResult,
    Rejection,
    StageTime,
)
from shelflens.values.models import Deployment, FillProgress, Model


@dataclass(frozen=True, slots=True)
class Erasure:
    """What an erasure removed: images of the product, and stored objects (pictures, embeddings).

    `shared_count` pictures stay, because other products show them too.
    """

    image_count: int
    object_count: int
    shared_count: int


@dataclass(frozen=True, slots=True)
class Operation:
    """Long-running work. `kind` is import, delete_catalog, erase_content, create_model,
    deploy_model, delete_deployment, or the type name of metadata that this client does not know.

    `counts`, `rejections`, `prune` and `stages` are those of an import, `changes` those that a dry
    run (`validate_only`) found. `target` is what is erased, made, deployed or removed; `erased`,
    `model` and `deployment` are what came of it, and `progress` is how far a model or deployment
    is. `error` says why a finished one failed.
    """

    name: str
    kind: str
    done: bool
    state: str
    catalog: str = ""
    display_name: str = ""
    revision: int = 0
    total_rows: int = 0
    counts: ImportCounts = field(default_factory=ImportCounts)
    rejections: tuple[Rejection, ...] = ()
    errors_uri: str = ""
    validate_only: bool = False
    prune: PruneResult | None = None
    stages: tuple[StageTime, ...] = ()
    changes: tuple[ProductChange, ...] = ()
    target: str = ""
    erased: Erasure | None = None
    progress: FillProgress | None = None
    model: Model | None = None
    deployment: Deployment | None = None
    create_time: datetime | None = None
    update_time: datetime | None = None
    error: ShelflensError | None = None

    def raise_for_error(self) -> "Operation":
        """Itself, unless it failed or was cancelled: then that error is raised."""
        if self.error is not None:
            raise self.error
        return self
