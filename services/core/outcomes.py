"""What workers report about finished messages: the outcomes of core.messages.Report."""

from dataclasses import dataclass, field
from typing import Any


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
    """Outcome of EmbedShard: `sha256s` were embedded; `refused` holds (sha256, reason).

    The rows of each file are the images that it was to hold, in the order of the message, without
    the refused ones. `picture_hashes` (near_duplicates) is parallel to `sha256s`, or empty: then
    nothing is folded.
    """

    sha256s: tuple[str, ...]
    refused: tuple[tuple[str, str], ...]
    picture_hashes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardIndexed:
    """Outcome of IndexShard: points written or removed, as planned."""

    points: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPrepared:
    """Outcome of PrepareModel. `spec` is the JSON of the ModelSpec; `notes` are for people: which
    names of tensors were mapped, which were left out."""

    spec: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearFitted:
    """Outcome of FitLinear: the fields of a LinearSpec, and of how many embeddings it is.

    `explained` is the share of the variance that the kept dimensions have, from 0 to 1.
    """

    sha256: str
    input_dim: int
    output_dim: int
    samples: int
    explained: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetFrozen:
    """Outcome of FreezeDataset: counts, in images but for `products` of the gallery.

    `left_out_by_hash` and `left_out_near` are gallery images that were left out; `absent` are
    queries without a relevant image in the gallery.
    """

    queries: int
    gallery: int
    products: int
    absent: int
    left_out_by_hash: int
    left_out_near: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelEvaluated:
    """Outcome of EvaluateModel: `metrics` is core.domain.evaluation.Metrics.to_dict; `calibration`
    Calibration.to_dict, or empty. `failures` are pairs (sha256 of the query, of the wrong first
    image) of the worst failures, the worst first; picture i of them belongs at
    keys.failure_picture_key(results, i)."""

    metrics: dict[str, Any]
    calibration: dict[str, Any] = field(default_factory=dict)
    failures: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PairsExplained:
    """Outcome of ExplainPairs: how many pictures were written; those of images that are missing or
    damaged are left out."""

    pictures: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationReported:
    """Outcome of ReportEvaluation: `differences` are core.domain.evaluation.Difference.to_dict."""

    differences: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionVerified:
    """Outcome of VerifyCollection: the number of points, of probes, and the ids of those that were
    missing, held another vector, or were not found by a search with it."""

    points: int
    probes: int
    missing: tuple[str, ...] = ()
    different: tuple[str, ...] = ()
    unfound: tuple[str, ...] = ()
