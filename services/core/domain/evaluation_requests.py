"""What the requests of operations about datasets and evaluations hold."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from services.core.domain.evaluation import Gate

_GATE = "gate"


def dataset_request(dataset: str, build: str, manifest: str, allow_absent: bool) -> dict[str, Any]:
    """Of CREATE_DATASET: the id of the dataset, of this making of it, the object key of the
    uploaded rows, which are removed when the operation ends, and whether queries may be absent.

    The record of the dataset is added in the same transaction.
    """
    return {
        "dataset": dataset,
        "build": build,
        "manifest": manifest,
        "allow_absent": allow_absent,
    }


def evaluation_request(evaluation: str) -> dict[str, Any]:
    """Of EVALUATE: the id of the evaluation, whose record says everything else. It is added in the
    same transaction."""
    return {"evaluation": evaluation}


def with_gate(request: Mapping[str, Any], gate: Gate | None) -> dict[str, Any]:
    """The request of DEPLOY, with a gate that it has to pass first."""
    return dict(request) if gate is None else {**request, _GATE: asdict(gate)}


def gate_of(request: Mapping[str, Any]) -> Gate | None:
    """The gate of a DEPLOY; None where it has none."""
    found = request.get(_GATE)
    return None if found is None else Gate(**found)
