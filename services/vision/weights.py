"""Weights from files, by checksum. No network, and no code: safetensors, or a state dict that torch
reads with `weights_only`.
"""

import argparse
import hashlib
import pickle
from collections.abc import Mapping
from pathlib import Path

import safetensors
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from services.core.domain.errors import DataLoss, FailedPrecondition, InvalidArgument

State = dict[str, Tensor]
Notes = tuple[str, ...]

# Where training programs put the tensors in their checkpoints; averaged ones are the better ones.
_CONTAINERS = ("state_dict_ema", "model_ema", "state_dict", "model", "teacher", "module", "net")


def file_sha256(path: Path) -> str:
    """SHA-256 of a file in 64 hex digits. Raises FailedPrecondition (WEIGHTS_NOT_FOUND)."""
    if not path.is_file():
        raise FailedPrecondition(f"no weights at '{path}'", reason="WEIGHTS_NOT_FOUND")
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_weights(path: Path, sha256: str) -> tuple[State, Notes]:
    """The tensors in `path` by their names in the file, and which part of the file they are.

    Raises FailedPrecondition (WEIGHTS_NOT_FOUND), DataLoss (DIGEST_MISMATCH) when the file is not
    the one with `sha256` (empty: any), InvalidArgument (UNSAFE_WEIGHTS) for anything but named
    tensors, before anything in the file could run.
    """
    found = file_sha256(path)
    if sha256 and found != sha256:
        raise DataLoss(f"weights '{path.name}' have SHA-256 {found}, not {sha256}")
    return _contained(path, _content(path))


def write_weights(path: Path, state: Mapping[str, Tensor]) -> str:
    """Writes tensors as safetensors and gives the file's SHA-256: equal tensors, equal file."""
    # Copies: the format takes neither views nor memory that tensors share.
    own = {
        name: state[name].detach().clone(memory_format=torch.contiguous_format)
        for name in sorted(state)
    }
    save_file(own, path)
    return file_sha256(path)


def _content(path: Path) -> object:
    try:
        if _is_safetensors(path):
            return load_file(path)
        # Training programs keep their arguments beside the tensors, as a plain namespace.
        with torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except (
        pickle.UnpicklingError,
        safetensors.SafetensorError,
        RuntimeError,
        EOFError,
        ValueError,
        KeyError,
        AttributeError,
        TypeError,
    ) as error:
        raise _unsafe(path, "cannot be read as plain tensors") from error


def _is_safetensors(path: Path) -> bool:
    """By what is in it, for uploads have no name: 8 bytes of length, then JSON."""
    with path.open("rb") as file:
        head = file.read(9)
    return path.suffix == ".safetensors" or head[8:9] == b"{"


def _contained(path: Path, content: object) -> tuple[State, Notes]:
    notes: Notes = ()
    while isinstance(content, dict):
        inside = [each for each in _CONTAINERS if isinstance(content.get(each), dict)]
        if not inside:
            break
        notes += (f"took the tensors under '{inside[0]}' of the file",)
        content = content[inside[0]]
    if not isinstance(content, dict) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in content.items()
    ):
        raise _unsafe(path, "is no mapping of names to tensors")
    return content, notes


def _unsafe(path: Path, problem: str) -> InvalidArgument:
    return InvalidArgument(
        f"weights '{path.name}': the file {problem}; use safetensors or a state dict saved with "
        "torch.save(model.state_dict())",
        reason="UNSAFE_WEIGHTS",
    )
