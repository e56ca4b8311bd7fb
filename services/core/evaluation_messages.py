"""The messages of datasets and evaluations."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from services.core.message_base import Message


@dataclass(frozen=True, slots=True, kw_only=True)
class FreezeDataset(Message):
    """Make a dataset of the query and gallery pages that lie below the object key prefix `drafts`
    (core.dataset_files), and write its pages below `dataset`.

    Gallery images that are a query, by hash or as a near-duplicate, are left out. `allow_absent`
    keeps queries whose product has no image in the gallery; without, they are an error.
    """

    QUEUE: ClassVar[str] = "evaluate"
    TASK: ClassVar[str] = "evaluation.freeze"

    drafts: str
    dataset: str
    allow_absent: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateModel(Message):
    """Search the dataset below `dataset` by `model` (JSON of a Model), and measure the rankings.

    Where the embeddings of its pages are, the files below the prefix `places` say. `stages` is
    Stages.key. Results go below the prefix `results`, and are taken from there where an earlier
    attempt wrote them. `options` is JSON (core.domain.evaluation.EvaluationOptions).
    """

    QUEUE: ClassVar[str] = "evaluate"
    TASK: ClassVar[str] = "evaluation.evaluate"

    model: str
    dataset: str
    places: str
    results: str
    stages: str = "{}"
    options: str = "{}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainPairs(Message):
    """Draw which regions agree of each pair (sha256 of a query, of a gallery image), by embedder
    `embedder` (digest): PNG i goes to `pictures[i]` (object keys)."""

    QUEUE: ClassVar[str] = "embed.single"
    TASK: ClassVar[str] = "embedding.explain"

    embedder: str
    pairs: tuple[tuple[str, str], ...]
    pictures: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportEvaluation(Message):
    """Compare what was measured below the prefixes `results`, one of each of `models` (names), and
    write one HTML file to `report` and the figures as JSON to `summary` (object keys).

    `dataset` is the object key prefix of the pages. `digests` are of the models; with `stages`
    (Stages.key) and `dataset_counts` (fields of outcomes.DatasetFrozen) they are shown as they are.
    """

    QUEUE: ClassVar[str] = "evaluate"
    TASK: ClassVar[str] = "evaluation.report"

    title: str
    dataset: str
    models: tuple[str, ...]
    results: tuple[str, ...]
    report: str
    summary: str
    options: str = "{}"
    stages: str = "{}"
    digests: tuple[str, ...] = ()
    dataset_counts: Mapping[str, int] = field(default_factory=dict)
