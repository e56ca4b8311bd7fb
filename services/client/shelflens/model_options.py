"""What a model is made of, as users say it, and which of that goes together."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypedDict

from shelflens.errors import InvalidArgument

Spell = Callable[[str], str]

_SHA256 = re.compile(r"[0-9a-f]{64}")
_INT32 = 2**31 - 1
_SOURCES = ("backbone", "base", "ensemble")
_BELONG_TO = {
    "backbone": (
        *("pooling", "resolutions", "fit", "flip", "autocrop", "gem_p", "lca_average"),
        *("rmac_levels", "head_dim", "precision", "weights", "weights_sha256"),
    ),
    "base": ("whitening_from", "pca_from", "dimension", "shrinkage", "unnormalised_input"),
}
_OF_POOLING = {"gem_p": "gem", "lca_average": "lca", "rmac_levels": "rmac"}
_CHOICES = {
    "pooling": ("avg", "max", "gem", "cls", "lca", "rmac"),
    "fit": ("crop", "pad"),
    "lca_average": ("windows", "sizes"),
    "precision": ("bf16", "fp32"),
    "distance": ("cosine", "euclidean", "manhattan"),
    "quantization": ("none", "int8"),
}
_RANGES = {
    "autocrop": (0, 1),
    "gem_p": (1, 100),
    "rmac_levels": (1, 5),
    "head_dim": (1, 65_536),
    "dimension": (1, 65_536),
    "shrinkage": (0, 1),
    "compare_searches": (1, _INT32),
    "compare_seconds": (1, _INT32),
}
_SIDES = (16, 1024)
_MOST_SIDES = 8
_MEMBERS = (2, 8)


class ModelOptions(TypedDict, total=False):
    """Options of `create_model`; what is left out has its default.

    A model is made of a `backbone` (timm's name), of another model (`base`), or of an `ensemble` of
    2 to 8 models.

    With `backbone`: `pooling` avg, max, gem (exponent `gem_p`), cls, lca (`lca_average` windows or
    sizes) or rmac (`rmac_levels`); `resolutions` in pixels, averaged, with `flip` also over the
    mirror images; `fit` crop or pad; `autocrop`, a share of the feature map's highest energy;
    `head_dim`, the length that a projection head in the weights gives; `precision` bf16 or fp32;
    `weights`, what `upload_weights` returned, else built in or from timm's hub, and the
    `weights_sha256` that they must have.

    With `base`: `whitening_from` or `pca_from`, the catalogue that it is fitted to; `dimension`,
    the number of values to keep; `shrinkage` of a whitening, 0 to 1; `unnormalised_input` fits it
    to embeddings at their own length.

    With all: `distance` cosine, euclidean or manhattan; `unnormalised` leaves embeddings at their
    length; `validate_only` checks and makes nothing.
    """

    backbone: str | None
    pooling: str | None
    resolutions: Sequence[int]
    fit: str | None
    flip: bool
    autocrop: float | None
    gem_p: float | None
    lca_average: str | None
    rmac_levels: int | None
    head_dim: int | None
    precision: str | None
    weights: str | None
    weights_sha256: str | None
    base: str | None
    whitening_from: str | None
    pca_from: str | None
    dimension: int | None
    shrinkage: float | None
    unnormalised_input: bool
    ensemble: Sequence[str]
    distance: str | None
    unnormalised: bool
    validate_only: bool


class DeployOptions(TypedDict, total=False):
    """Options of `deploy`.

    `quantization` none or int8, else as the vector storage is set up; `on_disk` keeps the vectors
    on disk. `compare_searches`: before the switch so many searches of users run by both, awaited
    for at most `compare_seconds`. `discard_old` removes what was live instead of keeping it.
    With `gate`, a dataset, the model is first measured against the live one, and refused unless its
    `metric` (map@10) is at least `min_difference` (0) better; `override` deploys it even so.
    """

    quantization: str | None
    on_disk: bool
    compare_searches: int | None
    compare_seconds: int | None
    discard_old: bool
    gate: str | None
    metric: str | None
    min_difference: float | None
    override: bool


def check_model_options(options: ModelOptions, spell: Spell = str) -> str:
    """The source among them: backbone, base or ensemble.

    Raises InvalidArgument (INVALID_OPTION) for what does not go together or is out of range;
    `spell` writes the name of an option as the user knows it.
    """
    given = _given(options)
    sources = [each for each in _SOURCES if each in given]
    if len(sources) != 1:
        wanted = ", ".join(spell(each) for each in _SOURCES)
        found = f", not {' and '.join(map(spell, sources))}" if sources else ""
        raise _wrong(f"a model is made of one of {wanted}{found}")
    for source, names in _BELONG_TO.items():
        for name in names:
            if source != sources[0] and name in given:
                raise _wrong(f"{spell(name)} goes with {spell(source)}, not {spell(sources[0])}")
    _check_values(given, spell)
    match sources[0]:
        case "backbone":
            _check_embedder(given, spell)
        case "base":
            _check_linear(given, spell)
        case _:
            _check_ensemble(given, spell)
    if "unnormalised" in given:
        _check_unnormalised(given, spell)
    return sources[0]


def check_deploy_options(options: DeployOptions, spell: Spell = str) -> None:
    """Raises InvalidArgument (INVALID_OPTION), as `check_model_options`."""
    given = _given(options)
    _check_values(given, spell)
    if "compare_seconds" in given and "compare_searches" not in given:
        raise _wrong(f"{spell('compare_seconds')} goes with {spell('compare_searches')}")
    for name in ("metric", "min_difference", "override"):
        if name in given and "gate" not in given:
            raise _wrong(f"{spell(name)} goes with {spell('gate')}")


def _given(options: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in options.items()
        if not (value is None or value is False or value == "" or value == () or value == [])
    }


def _check_values(given: Mapping[str, Any], spell: Spell) -> None:
    for name, choices in _CHOICES.items():
        if name in given and given[name] not in choices:
            raise _wrong(f"{spell(name)}: '{given[name]}' is none of {', '.join(choices)}")
    for name, (lowest, highest) in _RANGES.items():
        if name in given and not lowest <= given[name] <= highest:
            raise _wrong(f"{spell(name)}: {given[name]} is not from {lowest} to {highest}")


def _check_embedder(given: Mapping[str, Any], spell: Spell) -> None:
    pooling = given.get("pooling", "avg")
    for name, wanted in _OF_POOLING.items():
        if name in given and pooling != wanted:
            with_it = f"{spell('pooling')} {wanted}"
            raise _wrong(f"{spell(name)} goes with {with_it}, not {spell('pooling')} {pooling}")
    if not _SHA256.fullmatch(given.get("weights_sha256", "0" * 64)):
        raise _wrong(f"{spell('weights_sha256')} is a SHA-256: 64 lower-case hex digits")
    _check_sides(given.get("resolutions", ()), spell("resolutions"))


def _check_sides(sides: Sequence[int], name: str) -> None:
    lowest, highest = _SIDES
    for each in sides:
        if not lowest <= each <= highest:
            raise _wrong(f"{name}: {each} is not from {lowest} to {highest} pixels")
    if len(sides) > _MOST_SIDES or len(set(sides)) != len(sides):
        raise _wrong(f"{name}: give at most {_MOST_SIDES} sides, each once")


def _check_linear(given: Mapping[str, Any], spell: Spell) -> None:
    whitening, pca = spell("whitening_from"), spell("pca_from")
    if ("whitening_from" in given) == ("pca_from" in given):
        raise _wrong(f"{spell('base')} goes with {whitening} or {pca}, one of them")
    if "shrinkage" in given and "pca_from" in given:
        raise _wrong(f"{spell('shrinkage')} goes with {whitening}, not {pca}")


def _check_ensemble(given: Mapping[str, Any], spell: Spell) -> None:
    members = [each.removeprefix("models/") for each in given["ensemble"]]
    fewest, most = _MEMBERS
    if not fewest <= len(members) <= most or not all(members):
        raise _wrong(f"{spell('ensemble')} takes {fewest} to {most} models, not {len(members)}")
    if twice := next((each for each in members if members.count(each) > 1), ""):
        raise _wrong(f"{spell('ensemble')} names {twice} twice")


def _check_unnormalised(given: Mapping[str, Any], spell: Spell) -> None:
    # Without a distance of its own, a model that is made from others has theirs.
    if given.get("distance", "cosine" if "backbone" in given else "") == "cosine":
        name, distance = spell("unnormalised"), spell("distance")
        raise _wrong(f"{name} goes with {distance} euclidean or manhattan, not cosine")


def _wrong(message: str) -> InvalidArgument:
    return InvalidArgument(message, reason="INVALID_OPTION")
