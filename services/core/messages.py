"""The queue contract: one frozen dataclass per message.

Names and hashes only; images, rows and embeddings travel through the object store. Unknown fields
are ignored so that a newer sender can talk to an older worker; an unknown schema is refused.
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar

from services.core.evaluation_messages import (
    EvaluateModel,
    ExplainPairs,
    FreezeDataset,
    ReportEvaluation,
)
from services.core.message_base import SCHEMA as SCHEMA
from services.core.message_base import Message as Message


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestManifest(Message):
    """Cut the manifest at `manifest` (object key) into shards, from byte `cursor` on."""

    QUEUE: ClassVar[str] = "ingest.manifest"
    TASK: ClassVar[str] = "ingestion.manifest"

    manifest: str
    cursor: int = 0
    rows_before: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestShard(Message):
    """Check the rows in bytes [offset, offset + length) of the manifest.

    Writes shard_files accepted rows to `accepted` and rejections to `rejected` (object keys).
    With `validate_only` no image is fetched or stored, and none needs to be stored. With
    `by_reference` images in objects are referred to and not copied.

    Where `embeddings` is not empty, every row has an embedding of `dimension` values, compared by
    `distance`; those of the accepted rows become the embeddings file of that key.
    """

    QUEUE: ClassVar[str] = "ingest.shard"
    TASK: ClassVar[str] = "ingestion.shard"

    sequence: int
    manifest: str
    offset: int
    length: int
    first_row: int
    rows: int = 0
    accepted: str
    rejected: str
    validate_only: bool = False
    by_reference: bool = False
    model_digest: str = ""
    dimension: int = 0
    distance: str = ""
    embeddings: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedShard(Message):
    """Embed the stored images `sha256s`, each decoded once, with every embedder of `embedders`.

    Embedder `embedders[i]` (digest) embeds the images at the places `wanted[i]`, all where that is
    empty, and writes the file `embeddings[i]` (object key).
    """

    QUEUE: ClassVar[str] = "embed.bulk"
    TASK: ClassVar[str] = "embedding.bulk"

    sequence: int
    sha256s: tuple[str, ...]
    embedders: tuple[str, ...]
    embeddings: tuple[str, ...]
    wanted: tuple[tuple[int, ...], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedSingle(EmbedShard):
    """As EmbedShard, for single uploads, which do not wait behind an import."""

    QUEUE: ClassVar[str] = "embed.single"
    TASK: ClassVar[str] = "embedding.single"


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedQuery(Message):
    """Embed a user's photo: the bytes behind the message (core.adapters.query_wire), or the object
    that `object` names where it is large.

    The answer goes to the message's reply address. A worker drops the message after `expires`
    (seconds since the epoch): by then nobody waits. `operation` is empty, `revision` 0.

    Where `explain` names stored images (sha256), pictures of the regions that agree with theirs are
    the answer instead; a worker from before that answers with an embedding.
    """

    QUEUE: ClassVar[str] = "embed.query"
    TASK: ClassVar[str] = "embedding.query"

    model_digest: str
    expires: float
    object: str = ""
    explain: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareModel(Message):
    """Make an embedder ready for use: fetch and check its weights, and store both.

    `recipe` is what the user asked for (core.domain.recipes), as JSON. `weights` is the object key
    of an uploaded file, or empty: then the weights are built in, or fetched from timm's hub.
    """

    QUEUE: ClassVar[str] = "embed.single"
    TASK: ClassVar[str] = "embedding.prepare"

    recipe: str
    weights: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FitLinear(Message):
    """Fit a whitening or PCA to the embeddings by `model` (JSON of a Model) that the plans below
    the object key prefix `plans` name, and store it.

    `method` is "whitening" or "pca". `dimension` 0 keeps as many values as the model gives.
    `shrinkage` in [0, 1] mixes the covariance with a multiple of the identity. With `norms`
    embeddings have the length that they had before they were brought to 1.
    """

    QUEUE: ClassVar[str] = "evaluate"
    TASK: ClassVar[str] = "evaluation.fit"

    model: str
    plans: str
    method: str
    dimension: int = 0
    shrinkage: float = 0.0
    norms: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyCollection(Message):
    """Count what `collection` holds, and look up the points of the plan `probes`.

    Every planned upsert of the plan is to be there with its embedding by `model`, and a search with
    that embedding is to find it. `tenant` and `model` are as in IndexShard.
    """

    QUEUE: ClassVar[str] = "index"
    TASK: ClassVar[str] = "indexing.verify"

    collection: str
    tenant: str = ""
    model: str
    probes: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexShard(Message):
    """Apply the index plan (object key) to `collection`, which is made when missing.

    `model` is the JSON of the Model whose linear parts the embeddings go through, empty where it is
    plain. `tenant` says whose points these are in a collection that several catalogues share, and
    is empty otherwise. `storage` are fields of CollectionSpec, for one that is made.
    """

    QUEUE: ClassVar[str] = "index"
    TASK: ClassVar[str] = "indexing.shard"

    sequence: int
    collection: str
    dimension: int
    distance: str
    plan: str
    tenant: str = ""
    model: str = ""
    storage: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class DropCollection(Message):
    """Remove a collection, or a tenant's points from a shared one; they may be gone already."""

    QUEUE: ClassVar[str] = "index"
    TASK: ClassVar[str] = "indexing.drop"

    sequence: int
    collection: str
    tenant: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report(Message):
    """A worker's answer to the message with the same id.

    With `started` it only says that a worker has taken this attempt, and will answer later.
    `failure` is empty, or the UPPER_SNAKE reason why the shard can never succeed; `outcome` depends
    on the task, see the dataclasses below. A failure that is `passing` is not the shard's: a server
    is away or set up wrongly, and the shard is to be tried again later.
    """

    QUEUE: ClassVar[str] = "control"
    TASK: ClassVar[str] = "coordinator.report"

    task: str
    outcome: dict[str, Any] = field(default_factory=dict)
    failure: str = ""
    failure_message: str = ""
    elapsed_ms: float = 0.0
    started: bool = False
    passing: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationAccepted(Message):
    """An operation was created or is to be cancelled. Losing this message costs a second."""

    QUEUE: ClassVar[str] = "control"
    TASK: ClassVar[str] = "coordinator.accepted"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOffered(Message):
    """An embedding worker has put a model into the object store and can embed with it.

    `spec` is the JSON of its ModelSpec. `operation` is empty, `revision` 0.
    """

    QUEUE: ClassVar[str] = "control"
    TASK: ClassVar[str] = "coordinator.model_offered"

    name: str
    spec: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelsLoaded(Message):
    """The query worker `worker` can embed with `models` (digests), of those that it is to keep
    loaded (keys.SERVING_KEY): when that changes, and every few seconds. `operation` is empty."""

    QUEUE: ClassVar[str] = "control"
    TASK: ClassVar[str] = "coordinator.models_loaded"

    worker: str
    models: tuple[str, ...]


MESSAGES: tuple[type[Message], ...] = (
    IngestManifest,
    IngestShard,
    EmbedShard,
    EmbedSingle,
    EmbedQuery,
    PrepareModel,
    FitLinear,
    FreezeDataset,
    EvaluateModel,
    ExplainPairs,
    ReportEvaluation,
    IndexShard,
    VerifyCollection,
    DropCollection,
    Report,
    OperationAccepted,
    ModelOffered,
    ModelsLoaded,
)
QUEUES: tuple[str, ...] = tuple(dict.fromkeys(each.QUEUE for each in MESSAGES))
