"""Tensors are found under the names that other programs give them, or refused by name."""

import pytest
import torch
from torch import Tensor

from services.core.domain.errors import InvalidArgument
from services.vision.backbone import make_backbone, outline
from services.vision.weight_names import fit_weights, load_fitted
from services.vision.weights import State
from tests.unit.vision_networks import SMALL, small_state


def fitted_equally(name: str, given: State) -> tuple[str, ...]:
    """Notes on fitting `given`, after checking that it gives the tensors of small_state."""
    expected = small_state(name)
    fitted = fit_weights(outline(name), given, "theirs")
    backbone = make_backbone(name)
    load_fitted(backbone, fitted)
    for key, value in backbone.state_dict().items():
        assert key.endswith("num_batches_tracked") or torch.equal(value, expected[key]), key
    return fitted.notes


def test_fitting_names_say_nothing() -> None:
    assert fitted_equally(SMALL, small_state()) == ()


@pytest.mark.parametrize("prefix", ["module.", "backbone.", "model.", "module.model.backbone."])
def test_prefixes_are_taken_off_and_reported(prefix: str) -> None:
    given = {f"{prefix}{key}": value for key, value in small_state().items()}
    notes = fitted_equally(SMALL, given)
    assert len(notes) == prefix.count(".")
    assert f"begin with '{prefix.partition('.')[0]}.', without it" in notes[0]


def test_what_lies_beside_a_prefix_is_left_out_and_reported() -> None:
    given = {f"image_encoder.{key}": value for key, value in small_state().items()}
    given |= {"text_encoder.weight": torch.zeros(3), "temperature": torch.zeros(1)}
    notes = fitted_equally(SMALL, given)
    assert notes[0].endswith("left out the others: text_encoder.weight, temperature")


@pytest.mark.parametrize(("name", "layer"), [(SMALL, "classifier"), ("test_vit", "head")])
def test_classifiers_are_left_out_and_reported(name: str, layer: str) -> None:
    head = {f"{layer}.weight": torch.zeros(10, 4), f"{layer}.bias": torch.zeros(10)}
    notes = fitted_equally(name, small_state(name) | head)
    assert notes == (f"left out what the backbone has no place for: {layer}.weight, {layer}.bias",)


def test_the_names_of_convnext_authors_are_translated() -> None:
    name = "convnext_atto"
    original = convnext_of_the_authors(small_state(name))
    assert "downsample_layers.0.0.weight" in original
    notes = fitted_equally(name, original)
    assert "translated by timm's rules for 'convnext_atto'" in notes[0]


def convnext_of_the_authors(state: State) -> State:
    """timm's names -> those of github.com/facebookresearch/ConvNeXt."""
    renamed: State = {}
    for key, value in state.items():
        name = key
        if name.startswith("stem."):
            name = name.replace("stem.", "downsample_layers.0.")
        elif ".downsample." in name:
            stage, _, rest = name.removeprefix("stages.").partition(".downsample.")
            name = f"downsample_layers.{stage}.{rest}"
        name = name.replace(".blocks.", ".").replace("conv_dw", "dwconv")
        name = name.replace("mlp.fc", "pwconv").replace("head.norm", "norm")
        flat = "pwconv" in name and name.endswith("weight")
        renamed[name] = value.flatten(1) if flat else value
    return renamed


def test_the_names_of_swin_authors_are_translated() -> None:
    name = "swin_tiny_patch4_window7_224"
    state = {
        key: torch.arange(value.numel()).reshape(value.shape).to(value)
        for key, value in outline_state(name).items()
    }
    original = {swin_of_the_authors(key): value for key, value in state.items()}
    original["layers.0.blocks.0.attn.relative_position_index"] = torch.zeros(49, 49).long()
    original["head.weight"] = torch.zeros(1000, 768)
    fitted = fit_weights(outline(name), original, "theirs")
    assert fitted.backbone.keys() == state.keys()
    assert all(torch.equal(fitted.backbone[key], state[key]) for key in state)
    assert "translated by timm's rules" in fitted.notes[0]


def outline_state(name: str) -> dict[str, Tensor]:
    """Zeros in the shapes of a backbone."""
    return {k: torch.zeros(v.shape, dtype=v.dtype) for k, v in outline(name).state_dict().items()}


def swin_of_the_authors(name: str) -> str:
    """They merge patches at the end of a stage, timm at the beginning of the next."""
    stage, _, rest = name.removeprefix("layers.").partition(".")
    return f"layers.{int(stage) - 1}.{rest}" if rest.startswith("downsample") else name


def test_the_image_half_of_clip_is_taken_out_of_the_whole() -> None:
    name = "vit_xsmall_patch16_clip_224"
    state = outline_state(name)
    state["norm.weight"] += 3
    original = clip_of_the_authors(state)
    original["text_projection"] = torch.zeros(4, 4)
    original["visual.proj"] = torch.ones(state["norm.weight"].shape[0], 6)
    fitted = fit_weights(outline(name), original, "clip.pt")
    assert torch.equal(fitted.backbone["norm.weight"], state["norm.weight"])
    assert fitted.classifier["head.weight"].shape == (6, state["norm.weight"].shape[0])
    assert "translated by timm's rules" in fitted.notes[0]


def clip_of_the_authors(state: State) -> State:
    """timm's names -> those of OpenAI's and OpenCLIP's visual transformers."""
    renames = {
        "patch_embed.proj.weight": "conv1.weight",
        "cls_token": "class_embedding",
        "pos_embed": "positional_embedding",
        "norm_pre.": "ln_pre.",
        "blocks.": "transformer.resblocks.",
        "attn.qkv.": "attn.in_proj_",
        "attn.proj": "attn.out_proj",
        "mlp.fc1": "mlp.c_fc",
        "mlp.fc2": "mlp.c_proj",
        "norm1": "ln_1",
        "norm2": "ln_2",
    }
    renamed: State = {}
    for key, value in state.items():
        name = key.replace("norm.", "ln_post.") if key.startswith("norm.") else key
        for ours, theirs in renames.items():
            name = name.replace(ours, theirs)
        flat = name in ("class_embedding", "positional_embedding")
        renamed[f"visual.{name}"] = value.reshape(value.shape[-2:]) if flat else value
        if name == "class_embedding":
            renamed[f"visual.{name}"] = value.flatten()
    return renamed


def test_position_embeddings_of_another_resolution_are_interpolated() -> None:
    state = small_state("test_vit")
    larger = make_backbone("test_vit", [224])
    fitted = fit_weights(larger, state, "theirs")
    assert fitted.backbone["pos_embed"].shape == larger.state_dict()["pos_embed"].shape
    assert fitted.backbone["pos_embed"].shape != state["pos_embed"].shape
    assert "translated by timm's rules" in fitted.notes[0]


def test_parts_of_our_own_are_told_from_the_backbone() -> None:
    parts = {"projection.weight": torch.zeros(3, 256), "pooling.p": torch.tensor([2.5])}
    given = {f"backbone.{key}": value for key, value in small_state().items()} | parts
    fitted = fit_weights(outline(SMALL), given, "ours")
    assert fitted.parts.keys() == parts.keys()


def test_weights_of_another_backbone_name_what_does_not_fit() -> None:
    with pytest.raises(
        InvalidArgument, match=r"'theirs'.*'test_resnet'; missing: .*unexpected: "
    ) as refusal:
        fit_weights(outline("test_resnet"), small_state(), "theirs")
    assert refusal.value.reason == "WEIGHTS_MISMATCH"


def test_misshapen_tensors_are_named() -> None:
    state = small_state() | {"conv_stem.weight": torch.zeros(1, 2, 3)}
    with pytest.raises(InvalidArgument, match=r"another shape: conv_stem\.weight"):
        fit_weights(outline(SMALL), state, "mine")


def test_the_norm_of_an_unused_head_may_be_missing() -> None:
    state = {k: v for k, v in small_state("test_convnext").items() if not k.startswith("head.")}
    assert fit_weights(outline("test_convnext"), state, "headless").backbone.keys() == state.keys()
