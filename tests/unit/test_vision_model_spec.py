"""A model's digest names exactly what decides its embeddings."""

import json
from dataclasses import fields, replace
from typing import Any

import pytest

from services.core.domain.errors import InvalidArgument
from services.core.domain.model_spec import ModelSpec

SPEC = ModelSpec(
    backbone="tf_efficientnet_lite0",
    weights_sha256="5" * 64,
    embedding_dim=1280,
    resize=256,
    crop=224,
    mean=(0.5, 0.5, 0.5),
    std=(0.5, 0.5, 0.5),
    precision="fp32",
)
OTHER: dict[str, Any] = {
    "backbone": "resnet50",
    "weights_sha256": "6" * 64,
    "embedding_dim": 1281,
    "resize": 257,
    "crop": 223,
    "mean": (0.5, 0.5, 0.4),
    "std": (0.5, 0.5, 0.4),
    "precision": "bf16",
    "interpolation": "bilinear",
    "distance": "euclidean",
    "normalised": False,
    "resolutions": (160, 224),
    "fit": "pad",
    "flip": True,
    "autocrop": 0.5,
    "gem_p": 4.0,
    "lca_average": "sizes",
    "rmac_levels": 2,
}


def test_the_digest_is_stable() -> None:
    # Stored embeddings lie under it: a change here orphans every one of them.
    assert SPEC.digest == "719490bab014b5defcac8fc9e070da609fcf215c3ece0f7dbf695ba86d02a100"


@pytest.mark.parametrize("name", OTHER)
def test_every_field_changes_the_digest(name: str) -> None:
    assert replace(SPEC, **{name: OTHER[name]}).digest != SPEC.digest


def test_no_field_is_forgotten_above() -> None:
    assert {each.name for each in fields(ModelSpec)} == OTHER.keys() | {"pooling", "head_dim"}


def test_json_brings_back_the_same_spec() -> None:
    again = ModelSpec.from_json(SPEC.to_json())
    assert again == SPEC
    assert again.digest == SPEC.digest
    assert ModelSpec.from_json(json.dumps(json.loads(SPEC.to_json()), indent=2)) == SPEC


def test_a_stored_dict_is_equal_to_a_fresh_one() -> None:
    # A model that is made again is recognised by this.
    made = replace(SPEC, resolutions=(160, 224)).to_dict()
    assert json.loads(json.dumps(made)) == made


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"colour": "red"}, "colour"),
        ({"crop": 300}, "crop"),
        ({"crop": "224"}, "crop"),
        ({"crop": True}, "crop"),
        ({"mean": [0.5, 0.5]}, "mean"),
        ({"mean": [0.5, 0.5, float("nan")]}, "mean"),
        ({"std": [0.5, 0.5, 0]}, "std"),
        ({"precision": "int4"}, "precision"),
        ({"pooling": "sum"}, "pooling"),
        ({"distance": ["cosine"]}, "distance"),
        ({"weights_sha256": "../../etc"}, "weights_sha256"),
        ({"weights_sha256": 5}, "weights_sha256"),
        ({"normalised": 1}, "normalised"),
        ({"backbone": ""}, "backbone"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(change: dict[str, Any], named: str) -> None:
    text = json.dumps(json.loads(SPEC.to_json()) | change)
    with pytest.raises(InvalidArgument, match=named) as refusal:
        ModelSpec.from_json(text)
    assert refusal.value.metadata["field"] == named


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", '{"backbone": "resnet50"}'])
def test_what_is_no_spec_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument):
        ModelSpec.from_json(text)
