"""Whether a file of weights is one that can be read without running anything in it.

The worker that reads it refuses code too (`weights_only`); here a file is refused before there is
work to do, with the name of what it would call. Nothing is unpickled: the instructions of the
pickles are looked at one by one.
"""

import io
import json
import pickle
import pickletools
import re
import zipfile
from typing import BinaryIO, cast

from services.core.domain.errors import InvalidArgument
from services.gateway.handlers.object_file import ObjectFile

_MOST = 16 << 20  # bytes of a header or a pickle; a thousand tensors need about 150 KiB
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C  # torch.save before 1.6
_LEGACY_PICKLES = 5  # magic number, protocol, system, state dict, keys of the storages
_DTYPES = r"(bfloat16|half|bool|complex(32|64|128)|(float|int|uint)[0-9]+\w*)"
_HARMLESS = re.compile(
    r"collections (OrderedDict|Counter)"
    r"|torch\._utils _rebuild_\w+"
    r"|torch (\w+Storage|Size|device|Tensor|" + _DTYPES + r")"
    r"|torch\.storage (UntypedStorage|TypedStorage)"
    r"|torch\.nn\.parameter (Parameter|Buffer)"
    r"|_codecs encode"
)
# Other ways to name what is called, which torch.save does not take.
_ODD = frozenset({"INST", "OBJ", "STACK_GLOBAL", "EXT1", "EXT2", "EXT4", "NEWOBJ_EX"})


def check_weights(file: ObjectFile, label: str) -> None:
    """Raises InvalidArgument (UNSAFE_WEIGHTS) unless `file` is safetensors, or a state dict of
    torch.save without code. `label` is what messages call it."""
    start = file.read(8)
    file.seek(0)
    try:
        if start.startswith(b"PK"):
            _check_archive(file, label)
        elif start.startswith(b"\x80"):
            _check_legacy(io.BytesIO(file.read(min(_size(file), _MOST))), label)
        else:
            _check_safetensors(file, label)
    except InvalidArgument as error:
        if error.reason == "UNSAFE_WEIGHTS":
            raise
        raise _unsafe(label, "cannot be read as plain tensors") from error
    except (
        ValueError,
        KeyError,
        IndexError,
        TypeError,
        EOFError,
        NotImplementedError,
        RecursionError,
        RuntimeError,
        zipfile.BadZipFile,
        pickle.UnpicklingError,
    ) as error:
        raise _unsafe(label, "cannot be read as plain tensors") from error


def _size(file: ObjectFile) -> int:
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    return size


def _check_safetensors(file: ObjectFile, label: str) -> None:
    """https://github.com/huggingface/safetensors#format"""
    size = _size(file)
    length = int.from_bytes(file.read(8), "little")
    if not 2 <= length <= min(size - 8, _MOST):
        raise _unsafe(label, "is neither safetensors nor of torch.save")
    header = json.loads(file.read(length))
    ends = [each["data_offsets"][1] for name, each in header.items() if name != "__metadata__"]
    if not ends or 8 + length + max(ends) != size:
        raise _unsafe(label, "has no tensors, or not all bytes of them")


def _check_archive(file: ObjectFile, label: str) -> None:
    with zipfile.ZipFile(cast(BinaryIO, file)) as archive:
        found = [each for each in archive.infolist() if each.filename.endswith("/data.pkl")]
        if len(found) != 1:
            raise _unsafe(label, "is an archive, but not of torch.save(model.state_dict())")
        with archive.open(found[0]) as member:
            data = member.read(_MOST + 1)
    if len(data) > _MOST:
        raise _unsafe(label, f"has more than {_MOST} bytes beside its tensors")
    _check_pickle(io.BytesIO(data), label)


def _check_legacy(file: io.BytesIO, label: str) -> None:
    if _check_pickle(file, label) != _LEGACY_MAGIC:
        raise _unsafe(label, "is a pickle, but not of torch.save(model.state_dict())")
    for _ in range(_LEGACY_PICKLES - 1):
        _check_pickle(file, label)


def _check_pickle(file: io.BytesIO, label: str) -> object:
    """The last long number in a pickle, once all its instructions are harmless."""
    number: object = None
    texts = ["", ""]  # the last two: STACK_GLOBAL calls what they name
    for opcode, argument, _ in pickletools.genops(file):
        if opcode.name in _ODD or (
            opcode.name == "GLOBAL" and not _HARMLESS.fullmatch(str(argument))
        ):
            called = str(argument or " ".join(texts)).replace(" ", ".")[:80]
            raise _unsafe(label, f"has code in it: it calls {called}")
        if isinstance(argument, str):
            texts = [texts[1], argument]
        if opcode.name.startswith("LONG"):
            number = argument
    return number


def _unsafe(label: str, problem: str) -> InvalidArgument:
    return InvalidArgument(
        f"{label}: the file {problem}; use safetensors, or a state dict saved with "
        "torch.save(model.state_dict())",
        reason="UNSAFE_WEIGHTS",
    )
