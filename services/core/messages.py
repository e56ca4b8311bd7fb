"""The queue contract: one frozen dataclass per message.

Names and hashes only; images, rows and embeddings travel through the object store. Unknown fields
are ignored so that a newer sender can talk to an older worker; an unknown schema is refused.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, ClassVar, Self

from services.core.domain.errors import InvalidArgument

SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What all messages carry.

    `id` names one shard of one stage of one operation and is the same for every delivery;
    `attempt` counts how often the coordinator has given it to the workers.
    """

    QUEUE: ClassVar[str]
    TASK: ClassVar[str]

    id: str
    operation: str
    revision: int
    traceparent: str = ""
    attempt: int = 1
    schema: int = SCHEMA

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Self:
        """Raises InvalidArgument (UNKNOWN_SCHEMA, BAD_MESSAGE)."""
        if body.get("schema") != SCHEMA:
            raise InvalidArgument(
                f"{cls.TASK}: schema {body.get('schema')!r} is not {SCHEMA}: "
                "start workers of the sender's version",
                reason="UNKNOWN_SCHEMA",
            )
        known = {each.name for each in fields(cls)}
        try:
            return cls(**{key: value for key, value in body.items() if key in known})
        except (TypeError, ValueError) as error:
            raise InvalidArgument(f"{cls.TASK}: {error}", reason="BAD_MESSAGE") from error


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
    """Embed the stored images `sha256s` with model `model_digest`; write the file `embeddings`."""

    QUEUE: ClassVar[str] = "embed.bulk"
    TASK: ClassVar[str] = "embedding.bulk"

    sequence: int
    model_digest: str
    sha256s: tuple[str, ...]
    embeddings: str


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
    """

    QUEUE: ClassVar[str] = "embed.query"
    TASK: ClassVar[str] = "embedding.query"

    model_digest: str
    expires: float
    object: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexShard(Message):
    """Apply the index plan (object key) to `collection`, which is made when missing."""

    QUEUE: ClassVar[str] = "index"
    TASK: ClassVar[str] = "indexing.shard"

    sequence: int
    collection: str
    dimension: int
    distance: str
    plan: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DropCollection(Message):
    """Remove a collection; it may be gone already."""

    QUEUE: ClassVar[str] = "index"
    TASK: ClassVar[str] = "indexing.drop"

    sequence: int
    collection: str


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
class ManifestCut:
    """Outcome of IngestManifest. `shards` holds (offset, length, first_row, rows)."""

    shards: tuple[tuple[int, int, int, int], ...]
    cursor: int
    rows: int
    finished: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardIngested:
    """Outcome of IngestShard: counts of rows; the rows are in the two files.

    `report_lines` counts the lines of the second file: also rows that were accepted may have some.
    `images_fetched` counts addresses whose image was downloaded, `images_unchanged` those whose
    image was stored already. Row i of the embeddings file, if there is one, is of the image
    `embedded`[i], which the i-th accepted row lists.
    """

    rows_read: int
    accepted: int
    rejected: int
    report_lines: int = 0
    images_fetched: int = 0
    images_unchanged: int = 0
    embedded: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardEmbedded:
    """Outcome of EmbedShard. Row i of the file is sha256s[i]; `refused` holds (sha256, reason).

    `picture_hashes` (near_duplicates) is parallel to `sha256s`, or empty: then nothing is folded.
    """

    sha256s: tuple[str, ...]
    refused: tuple[tuple[str, str], ...]
    picture_hashes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardIndexed:
    """Outcome of IndexShard: points written or removed, as planned."""

    points: int


MESSAGES: tuple[type[Message], ...] = (
    IngestManifest,
    IngestShard,
    EmbedShard,
    EmbedSingle,
    EmbedQuery,
    IndexShard,
    DropCollection,
    Report,
    OperationAccepted,
    ModelOffered,
)
QUEUES: tuple[str, ...] = tuple(dict.fromkeys(each.QUEUE for each in MESSAGES))
