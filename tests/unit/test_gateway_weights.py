"""Uploads of weights: what is stored, and what leaves nothing behind."""

import asyncio
import hashlib
import io
import json
import os
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import pytest

from services.core.domain import keys
from services.gateway.settings import GatewayLimits
from shelflens.v1 import models_pb2 as pb
from tests.unit.test_gateway_world import World, refused

pytest_plugins = ("tests.unit.test_gateway_world",)
INVALID = "INVALID_ARGUMENT"


def safetensors(values: bytes = bytes(12)) -> bytes:
    entry = {"dtype": "U8", "shape": [len(values)], "data_offsets": [0, len(values)]}
    header = json.dumps({"__metadata__": {"format": "pt"}, "w": entry}).encode()
    return len(header).to_bytes(8, "little") + header + values


def archive(state: object) -> bytes:
    """As torch.save writes it, but for tensors."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("archive/data.pkl", pickle.dumps(state, 2))
        made.writestr("archive/data/0", bytes(100))
    return file.getvalue()


def legacy(state: object) -> bytes:
    """As torch.save wrote it before 1.6, but for tensors."""
    parts = (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}, state, ["0"])
    return b"".join(pickle.dumps(each, 2) for each in parts) + bytes(100)


class Evil:
    """Runs a command where it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch /tmp/shelflens-was-here",)


def pieces(data: bytes, cut: int = 1000, **first: Any) -> Iterator[pb.UploadWeightsRequest]:
    fields: dict[str, Any] = {
        "filename": "w.safetensors",
        "sha256": hashlib.sha256(data).hexdigest(),
        "size_bytes": len(data),
    }
    yield pb.UploadWeightsRequest(**(fields | first))
    for start in range(0, len(data), cut):
        yield pb.UploadWeightsRequest(data=data[start : start + cut])


async def test_uploaded_weights_lie_where_a_model_is_made_of_them(world: World) -> None:
    data = safetensors(os.urandom(3_000_000))
    upload = await world.models.UploadWeights(pieces(data, 300_000))
    key = keys.uploaded_weights_key(upload.name.removeprefix("uploads/"))
    assert world.objects.get(key) == data


@pytest.mark.parametrize("wrap", [archive, legacy])
async def test_state_dicts_of_torch_save_are_taken(world: World, wrap: Any) -> None:
    data = wrap(OrderedDict(weight=OrderedDict(a=1)))
    await world.models.UploadWeights(pieces(data, filename="w.pth"))
    assert len(list(world.objects.keys("models/uploads/"))) == 1


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        ({"filename": "model.onnx"}, "WEIGHTS_KIND_UNKNOWN"),
        ({"sha256": ""}, "INVALID_DIGEST"),
        ({"sha256": "0" * 64}, "DIGEST_MISMATCH"),
        ({"size_bytes": 0}, "OUT_OF_RANGE"),
        ({"size_bytes": 10}, "WEIGHTS_TOO_LARGE"),
        ({"size_bytes": 1_000_000}, "UPLOAD_INCOMPLETE"),
        ({"size_bytes": GatewayLimits().weights_bytes + 1}, "WEIGHTS_TOO_LARGE"),
    ],
)
async def test_a_file_that_is_not_as_announced_leaves_nothing(
    world: World, first: dict[str, Any], reason: str
) -> None:
    call = world.models.UploadWeights(pieces(safetensors(bytes(5_000)), **first))
    assert await refused(call) == (INVALID, reason)
    assert list(world.objects.keys("models/")) == []


@pytest.mark.parametrize(
    "data",
    [
        archive({"w": Evil()}),
        legacy({"w": Evil()}),
        pickle.dumps(Evil(), 2),
        pickle.dumps(Evil(), 5),
        pickle.dumps({"w": 1}, 2),
        pickle.dumps({"w": 1}, 0),
        archive({"w": 1})[:-30],
        safetensors()[:-1],
        safetensors() + b"more",
        b"PK\x03\x04",
        b"\x80",
        b"x",
        bytes(100),
        b"\xff" * 100,
    ],
)
async def test_code_and_rubbish_are_refused_and_leave_nothing(world: World, data: bytes) -> None:
    call = world.models.UploadWeights(pieces(data))
    assert await refused(call) == (INVALID, "UNSAFE_WEIGHTS")
    assert list(world.objects.keys("models/")) == []


async def test_what_would_be_called_is_named(world: World) -> None:
    with pytest.raises(Exception, match=r"'evil.pth': the file has code in it: it calls .*system"):
        await world.models.UploadWeights(pieces(archive({"w": Evil()}), filename="evil.pth"))


async def test_a_stream_without_messages_is_refused(world: World) -> None:
    call = world.models.UploadWeights(iter([]))
    assert await refused(call) == (INVALID, "STREAM_EMPTY")


async def test_weights_whose_client_goes_away_are_not_stored(world: World) -> None:
    call = world.models.UploadWeights()
    messages = pieces(bytes(3 << 19), 1 << 19)
    for message, _ in zip(messages, range(3), strict=False):
        await call.write(message)
    call.cancel()
    with pytest.raises(BaseException):  # noqa: B017, PT011 - cancelled, whichever way
        await call
    await asyncio.sleep(0.2)  # time enough to store it by mistake
    assert list(world.objects.keys("models/")) == []
