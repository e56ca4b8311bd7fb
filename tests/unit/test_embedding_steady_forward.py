"""Forward passes on a GPU that is full or broken, told by the errors that torch raises."""

import numpy as np
import pytest
import torch

from services.core.domain.errors import Unavailable
from services.core.runtime.fatal import FatalWorkerError
from services.embedding.forward_gate import Batch, Embedded, ForwardGate
from services.embedding.steady_forward import SteadyForward


class Gpu:
    """Has memory for `room` images at a time; embeds an image as its first two bytes."""

    def __init__(self, room: int, error: RuntimeError | None = None) -> None:
        self.room = room
        self.error = error or torch.OutOfMemoryError("CUDA out of memory. Tried to allocate")
        self.sizes: list[int] = []

    def __call__(self, pixels: Batch) -> Embedded:
        self.sizes.append(len(pixels))
        if len(pixels) > self.room:
            raise self.error
        flat = pixels.reshape(len(pixels), -1).astype(np.float32)
        return flat[:, :2], flat[:, 0]


def images(count: int) -> Batch:
    return np.random.default_rng(5).integers(0, 256, (count, 2, 2, 3)).astype(np.uint8)


@pytest.mark.parametrize("count", [1, 7, 64, 65])
def test_a_full_gpu_changes_neither_results_nor_their_order(count: int) -> None:
    pixels = images(count)
    expected = Gpu(room=count)(pixels)
    found = SteadyForward(Gpu(room=5))(pixels)
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[1], expected[1])


def test_the_size_that_fits_is_remembered() -> None:
    gpu = Gpu(room=20)
    forward = SteadyForward(gpu)
    forward(images(64))
    assert gpu.sizes == [64, 32, 16, 16, 16, 16]
    gpu.sizes.clear()
    forward(images(64))
    assert gpu.sizes == [16, 16, 16, 16]
    assert forward.largest == 16


def test_a_gpu_with_room_is_asked_once() -> None:
    gpu = Gpu(room=64)
    SteadyForward(gpu)(images(64))
    assert gpu.sizes == [64]


@pytest.mark.parametrize(
    "text", ["CUDA error: out of memory", "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling"]
)
def test_other_words_for_a_full_gpu_are_known(text: str) -> None:
    gpu = Gpu(room=4, error=RuntimeError(text))
    assert len(SteadyForward(gpu)(images(8))[0]) == 8


def test_a_gpu_without_room_for_one_image_is_unavailable() -> None:
    with pytest.raises(Unavailable) as caught:
        SteadyForward(Gpu(room=0))(images(4))
    assert caught.value.reason == "GPU_MEMORY_EXHAUSTED"
    assert not isinstance(caught.value, FatalWorkerError)


@pytest.mark.parametrize(
    "text",
    [
        "CUDA error: an illegal memory access was encountered",
        "CUDA error: device-side assert triggered",
        "cuDNN error: CUDNN_STATUS_EXECUTION_FAILED",
    ],
)
def test_a_broken_context_is_fatal(text: str) -> None:
    with pytest.raises(FatalWorkerError, match="CUDA is broken"):
        SteadyForward(Gpu(room=0, error=RuntimeError(text)))(images(4))


def test_an_error_of_the_model_stays_what_it_is() -> None:
    error = RuntimeError("mat1 and mat2 shapes cannot be multiplied")
    with pytest.raises(RuntimeError, match="mat1"):
        SteadyForward(Gpu(room=0, error=error))(images(4))


def test_queries_that_share_a_pass_get_over_a_full_gpu() -> None:
    gate = ForwardGate(query_batch=8)
    try:
        forward = SteadyForward(Gpu(room=1))
        pixels = images(8)
        asked = [gate.submit(forward, each[np.newaxis], urgent=True) for each in pixels]
        norms = [each.result(10)[1][0] for each in asked]
        assert norms == [float(each.ravel()[0]) for each in pixels]
    finally:
        gate.close()
