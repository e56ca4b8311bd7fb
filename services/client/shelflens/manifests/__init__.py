"""Streaming readers of product lists: CSV, TSV, JSON Lines, Parquet, directories of images."""

from shelflens.manifests.columns import ColumnMap
from shelflens.manifests.opening import open_manifest
from shelflens.manifests.rows import Problem, Rows, SourceRow

__all__ = ["ColumnMap", "Problem", "Rows", "SourceRow", "open_manifest"]
