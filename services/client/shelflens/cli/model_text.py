"""Models and deployments for people, as lines of text."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from shelflens.cli.safe_text import safe_text

if TYPE_CHECKING:
    from datetime import datetime

    from shelflens.values import (
        Comparison,
        Deployment,
        Embedder,
        GateOutcome,
        LinearPart,
        Model,
        ModelMember,
        Operation,
    )

SHORT_DIGEST = 12


def parts(model: "Model") -> str:
    """What it is made of, in short: `convnext_base gem 224,288 flip -> 512 + lite0`."""
    if model.external:
        return "made elsewhere"
    joined = " + ".join(_member(each) for each in model.members)
    return joined if model.linear is None else f"({joined}) {_arrow(model.linear)}"


def where_deployed(model: "Model") -> str:
    """Its deployments in short: `shop 2, bags 1`."""
    return ", ".join(_short_deployment(each) for each in model.deployments)


def removable(model: "Model") -> bool:
    """Whether it could be deleted."""
    return not model.deployments and not model.built_in


def model_lines(model: "Model") -> Iterator[str]:
    """All that is known about it."""
    length = "normalised" if model.normalised else "not normalised"
    yield f"{model.name}: {model.embedding_dimension} values, {model.distance}, {length}"
    yield f"digest: {model.digest}"
    if model.create_time:
        yield f"made: {_time(model.create_time)}"
    if model.external:
        yield "its embeddings are made elsewhere and come with imports"
    for member in model.members:
        count = member.embedder.embedding_dimension
        yield f"embedder: {_embedder(member.embedder)}, {count} values"
        yield f"  digest: {member.embedder_digest}"
        if member.embedder.weights_sha256:
            yield f"  weights: {member.embedder.weights_sha256}"
        if member.linear:
            yield f"  linear part: {_linear(member.linear)}"
    if model.linear:
        yield f"linear part of all: {_linear(model.linear)}"
    for note in model.notes:
        yield f"note: {safe_text(note)}"
    free = ", it can be deleted" if removable(model) else ""
    yield f"deployed: {where_deployed(model) or 'nowhere'}{free}"


def deployment_lines(deployment: "Deployment") -> Iterator[str]:
    """What it is, and how searches changed by it."""
    yield (
        f"{deployment.name}: {deployment.state}, {deployment.model}, "
        f"{deployment.image_count} images{storage(deployment, ', ')}"
    )
    if deployment.comparison:
        yield comparison_line(deployment.comparison)
    if deployment.gate:
        yield gate_line(deployment.gate)


def gate_line(gate: "GateOutcome") -> str:
    """What came of its gate."""
    came = "passed" if gate.passed else "deployed all the same" if gate.overridden else "refused"
    interval = f"({gate.low:+.4f} to {gate.high:+.4f})"
    return (
        f"gate: {came}, {gate.metric} {gate.difference:+.4f} {interval}, "
        f"{gate.minimum_difference:+.4f} asked for, {gate.evaluation}"
    )


def storage(deployment: "Deployment", before: str = "") -> str:
    """How its vectors are kept, where that is said: `int8, on disk`."""
    kept = (
        deployment.quantization,
        "on disk" if deployment.on_disk else "",
        "shared collection" if deployment.shared else "",
    )
    text = ", ".join(each for each in kept if each)
    return before + text if text else ""


def comparison_line(found: "Comparison") -> str:
    """What a sample of searches found by both."""
    if not found.searches:
        return "compared: no search came meanwhile"
    return (
        f"compared: {found.searches} searches, {found.same_first:.1%} with the same first product, "
        f"{found.overlap_at_10:.1%} of the first ten in common"
    )


def progress_text(operation: "Operation") -> str:
    """How far a model or a deployment is: `embedding: 120 images embedded, 80 of 3000 points`."""
    progress = operation.progress
    if progress is None:
        return ""
    text = f"{progress.images_embedded} images embedded"
    if operation.kind == "deploy_model":
        text += f", {progress.points_indexed} of {progress.image_count} points"
    return f"{safe_text(progress.step)}: {text}" if progress.step else text


def _member(member: "ModelMember") -> str:
    text = _embedder(member.embedder, short=True)
    return f"{text} {_arrow(member.linear)}" if member.linear else text


def _embedder(embedder: "Embedder", *, short: bool = False) -> str:
    """With `short` without what most models share."""
    words = [
        safe_text(embedder.backbone),
        "" if short and embedder.pooling == "avg" else embedder.pooling,
        f"p={embedder.gem_p:g}" if embedder.gem_p and embedder.pooling == "gem" else "",
        embedder.lca_average if embedder.pooling == "lca" else "",
        f"{embedder.rmac_levels} levels" if embedder.pooling == "rmac" else "",
        f"head {embedder.head_dim}" if embedder.head_dim else "",
        ",".join(map(str, embedder.resolutions)),
        "" if short and embedder.fit == "crop" else embedder.fit,
        "flip" if embedder.flip else "",
        f"autocrop {embedder.autocrop:g}" if embedder.autocrop else "",
        "" if short else embedder.precision,
    ]
    return " ".join(each for each in words if each)


def _arrow(linear: "LinearPart") -> str:
    return f"-> {linear.output_dimension}"


def _linear(linear: "LinearPart") -> str:
    return f"{linear.input_dimension} -> {linear.output_dimension} values, {linear.sha256}"


def _short_deployment(name: str) -> str:
    catalog, _, number = name.removeprefix("catalogs/").partition("/deployments/")
    return f"{catalog} {number}"


def _time(time: "datetime") -> str:
    return f"{time:%Y-%m-%d %H:%M:%S} UTC"
