"""`python -m tests.generate_backbones`: makes backbones.json of the installed timm.

Every architecture is built on torch's meta device, where tensors have shapes and no values, and
tried with inputs of several sides. That takes half an hour on one core; a run that was stopped goes
on where it was.
"""

import json
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from services.vision.backbone import outline, pixel_recipe
from services.vision.timm_import import timm
from services.vision.token_maps import blank_tokens, token_map

TABLE = Path("services/core/domain/backbones.json")
UNFINISHED = Path("build")
COLUMNS = ("map", "features", "class_token", "side", "alone", "together", "smallest", "tags")
LARGEST = 1024  # the largest resolution of a ModelSpec
SMALL = (16, 32, 48, 64, 80, 96, 112, 128, 160, 192, 224, 256)
# Times one of these, a number is a multiple of nothing else that a backbone could ask for.
PRIMES = [p for p in range(11, 2 * LARGEST) if all(p % q for q in range(2, int(p**0.5) + 1))]

Row = dict[str, Any]
Takes = Callable[[int], bool]


def describe(name: str, twins: dict[object, Row]) -> Row:
    """The table's row of an architecture; with map "other" where no pooling can use it.

    Which sides work is tried once for all `twins`: those made of the same kinds of modules.
    """
    side = side_of(name)
    row: Row = {"map": "other", "features": 0, "class_token": False, "side": side}
    sides: Row = {"alone": 0, "together": 0, "smallest": side}
    try:
        backbone = outline(name)
        seen, stride = what_it_gives(backbone, side)
    except Exception as error:  # timm raises anything
        _say(f"{name}: {error}")
        return row | sides | {"tags": tags_of(name)}
    kind = (*fingerprint(name, backbone), side, stride, seen["map"])
    if kind not in twins:
        twins[kind] = what_it_takes(name, backbone, stride, seen["map"] == "tokens")
    return row | seen | sides | twins[kind] | {"tags": tags_of(name)}


def side_of(name: str) -> int:
    """Pixels of the input that timm's weights were made for: its width, where it is no square."""
    return int(pixel_recipe(name)["input_size"][-1])


def tags_of(name: str) -> dict[str, str]:
    """The tags of an architecture, with spaces between, by their side."""
    sides: dict[str, list[str]] = {}
    for each in timm.list_pretrained(f"{name}.*"):
        sides.setdefault(str(side_of(each)), []).append(each.partition(".")[2])
    return {side: " ".join(tags) for side, tags in sides.items()}


def fingerprint(name: str, backbone: nn.Module) -> tuple[object, ...]:
    """Equal for architectures that differ in depth and width only."""
    kinds = frozenset(type(each) for each in backbone.modules())
    windows = frozenset(str(getattr(each, "window_size", None)) for each in backbone.modules())
    return type(backbone), kinds, windows, bool(pixel_recipe(name).get("fixed_input_size"))


def what_it_gives(backbone: nn.Module, side: int) -> tuple[Row, int]:
    """The columns that one forward pass tells, and the stride of the map. Raises as timm does."""
    with torch.inference_mode():
        blank = torch.zeros(1, 3, side, side, device="meta")
        features: torch.Tensor = backbone.forward_features(blank)  # type: ignore[operator]
    tokens = token_map(backbone, features)
    if tokens.map is None:
        layout, stride = "none", side
    else:
        same = tokens.map.shape == features.shape
        layout = "tokens" if features.ndim == 3 else "nchw" if same else "nhwc"
        stride = max(1, round(side / tokens.map.shape[2]))
    has_class = tokens.class_token is not None
    return {"map": layout, "features": tokens.channels, "class_token": has_class}, stride


def what_it_takes(name: str, backbone: nn.Module, stride: int, whole: bool) -> Row:
    """The columns on other sides than its own; `whole`: only multiples of the stride."""
    side = side_of(name)

    def takes_alone(wanted: int) -> bool:
        try:
            return takes(outline(name, [wanted]), wanted)
        except Exception:  # as in describe
            return False

    if not pixel_recipe(name).get("fixed_input_size"):
        multiple = multiple_of_sides(partial(takes, backbone), side, stride, whole)
        smallest = smallest_side(partial(takes, backbone), multiple, side)
        return {"alone": multiple, "together": multiple, "smallest": smallest}
    dynamic = partial(takes, outline(name, [side, side + stride]))
    if together := multiple_of_sides(dynamic, side, stride, whole):
        least = smallest_side(lambda each: dynamic(each) and takes_alone(each), together, side)
        if takes_alone(LARGEST // together * together):
            return {"alone": together, "together": together, "smallest": least}
    alone = multiple_of_sides(takes_alone, side, stride, whole)
    least = smallest_side(takes_alone, alone or together, side)
    return {"alone": alone, "together": together, "smallest": least}


def takes(backbone: nn.Module, side: int) -> bool:
    """Whether the backbone makes a square map, if any, of a square image of `side` pixels."""
    try:
        found = blank_tokens(backbone, side).map
    except Exception:  # as in describe
        return False
    return found is None or bool(found.shape[2] == found.shape[3] > 0)


def multiple_of_sides(takes: Takes, side: int, stride: int, whole: bool) -> int:
    """The least number whose multiples are sides that work, 0 where there is none."""
    ladder = [*([] if whole else [1]), stride, 2 * stride, 4 * stride, 8 * stride]
    found = next((each for each in ladder if _takes_multiples(takes, side, each)), 0)
    while not whole and found > 1 and found % 2 == 0:
        if not _takes_multiples(takes, side, found // 2):
            break
        found //= 2
    return found


def smallest_side(takes: Takes, multiple: int, side: int) -> int:
    """The least of some small multiples that works: the true one may lie a little below."""
    small = [-(-each // multiple) * multiple for each in SMALL] if multiple else []
    return next((each for each in small if each < side and takes(each)), side)


def _takes_multiples(takes: Takes, side: int, multiple: int) -> bool:
    """Tries sides that differ from `side` by more than rounding to the stride could hide."""
    larger = next((p * multiple for p in PRIMES if p * multiple >= 1.15 * side), 0)
    largest = max((p * multiple for p in PRIMES if p * multiple <= LARGEST), default=larger)
    return all(takes(each) for each in sorted({larger, largest}))


def rows(unfinished: Path) -> Iterator[tuple[str, Row]]:
    """Every architecture, each written to `unfinished` once it is known."""
    done: dict[str, Row] = {}
    if unfinished.exists():
        done = dict(json.loads(line) for line in unfinished.read_text("utf-8").splitlines())
    names = timm.list_models()
    twins: dict[object, Row] = {}
    with unfinished.open("a", encoding="utf-8") as file:
        for number, name in enumerate(names, 1):
            if name not in done:
                done[name] = describe(name, twins)
                file.write(json.dumps([name, done[name]]) + "\n")
                file.flush()
                _say(f"{number} of {len(names)}: {name}")
            yield name, done[name]


def write(table: dict[str, Row], path: Path) -> None:
    """One architecture a line, so that an update of timm shows what changed."""
    lines = [
        f"{json.dumps(name)}:{json.dumps([row[each] for each in COLUMNS], separators=(',', ':'))}"
        for name, row in sorted(table.items())
    ]
    head = f'{{"timm":{json.dumps(timm.__version__)},"columns":{json.dumps(COLUMNS)},'
    path.write_text(head + '"architectures":{\n' + ",\n".join(lines) + "\n}}\n", "utf-8")


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    UNFINISHED.mkdir(exist_ok=True)
    known = UNFINISHED / f"backbones-{timm.__version__}.jsonl"
    write(dict(rows(known)), TABLE)
    known.unlink()
