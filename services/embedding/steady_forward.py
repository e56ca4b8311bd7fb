"""A forward pass that gets over a full GPU, and says when the GPU is lost to this process."""

import threading

import numpy as np
import torch

from services.core.domain.errors import Unavailable
from services.core.runtime.fatal import FatalWorkerError
from services.embedding.forward_gate import Batch, Embedded, Forward

GPU_MEMORY_EXHAUSTED = "GPU_MEMORY_EXHAUSTED"
_EXHAUSTED = (
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)
_BROKEN = ("CUDA error", "CUDNN_STATUS_EXECUTION_FAILED", "CUDNN_STATUS_INTERNAL_ERROR")


class SteadyForward:
    """Calls `forward` with as many images as fit into the memory of the GPU.

    A batch for which the memory does not do is repeated in halves, in order, and from then on no
    larger one is tried: memory that others take rarely comes back.
    """

    def __init__(self, forward: Forward) -> None:
        self._forward = forward
        self._largest: int | None = None
        self._lock = threading.Lock()

    @property
    def largest(self) -> int | None:
        """Images in a pass at most; None while nothing is known."""
        return self._largest

    def __call__(self, pixels: Batch) -> Embedded:
        """(embeddings [n, d], norms [n]) of pixels uint8 [n, ...].

        Raises Unavailable (GPU_MEMORY_EXHAUSTED) when not even one image fits, and
        FatalWorkerError when CUDA is broken: it stays so until the process is replaced.
        """
        parts: list[Embedded] = []
        start = 0
        while start < len(pixels) or not parts:
            size = min(self._largest or len(pixels), len(pixels) - start)
            part = self._attempt(pixels[start : start + size])
            if part is None:
                self._shrink(size)
            else:
                parts.append(part)
                start += size
        if len(parts) == 1:
            return parts[0]
        embeddings, norms = zip(*parts, strict=True)
        return np.concatenate(embeddings), np.concatenate(norms)

    def _attempt(self, pixels: Batch) -> Embedded | None:
        """None: out of memory. Returns before the next attempt, since an error holds tensors."""
        try:
            return self._forward(pixels)
        except torch.OutOfMemoryError:
            return None
        except RuntimeError as error:
            text = str(error)
            if any(each in text for each in _EXHAUSTED):
                return None
            if isinstance(error, torch.AcceleratorError) or any(each in text for each in _BROKEN):
                raise FatalWorkerError(f"CUDA is broken in this process: {text[:300]}") from error
            raise

    def _shrink(self, size: int) -> None:
        torch.cuda.empty_cache()
        if size <= 1:
            raise Unavailable(
                "the GPU has no memory left for a single image: give this worker a GPU of its own",
                reason=GPU_MEMORY_EXHAUSTED,
            )
        with self._lock:
            self._largest = min(self._largest or size, size // 2)
