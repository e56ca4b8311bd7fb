"""Linear parts of models: whitening (Han 2022, Algorithm 1) and PCA (Conde 2022), and their bytes.

A linear part maps x [d] to (x - mean) @ matrix [k]. It is fitted to the gallery alone and applied
to gallery and queries alike, before they are brought to length 1.
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save

from services.core.domain.errors import DataLoss, InvalidArgument
from services.core.domain.model import LinearSpec
from services.core.ports import Float32

Float64 = npt.NDArray[np.float64]
_FORMAT = {"mean", "matrix"}


@dataclass(frozen=True, eq=False)
class Linear:
    """y = (x - mean) @ matrix; mean float32 [d], matrix float32 [d, k] with 1 <= k <= d, finite.

    Raises InvalidArgument (INVALID_LINEAR).
    """

    mean: Float32
    matrix: Float32

    def __post_init__(self) -> None:
        if self.mean.dtype != np.float32 or self.matrix.dtype != np.float32:
            raise _invalid(f"{self.mean.dtype} and {self.matrix.dtype} are not both float32")
        if self.mean.ndim != 1 or self.matrix.ndim != 2 or len(self.mean) != len(self.matrix):
            raise _invalid(f"a mean {self.mean.shape} does not fit a matrix {self.matrix.shape}")
        if not 1 <= self.output_dim <= self.input_dim:
            raise _invalid(f"{self.input_dim} to {self.output_dim} values is impossible")
        if not (np.isfinite(self.mean).all() and np.isfinite(self.matrix).all()):
            raise _invalid("it holds values that are not finite")

    @property
    def input_dim(self) -> int:
        return int(self.matrix.shape[0])

    @property
    def output_dim(self) -> int:
        return int(self.matrix.shape[1])

    def apply(self, x: Float32) -> Float32:
        """float32 [n, k] of float32 [n, d]."""
        return self.precise(x).astype(np.float32)

    def precise(self, x: Float32 | Float64) -> Float64:
        """float64 [n, k] of [n, d]: a whitening makes rounding larger by the square root of the
        covariance's condition, and a row must not depend on how many others it comes with."""
        product: Float64 = (x.astype(np.float64) - self.mean) @ self._matrix
        return product

    @cached_property
    def _matrix(self) -> Float64:
        return self.matrix.astype(np.float64)

    def to_bytes(self) -> bytes:
        """Safetensors with `mean` and `matrix`; equal parts give equal bytes."""
        return save(
            {
                "mean": np.ascontiguousarray(self.mean),
                "matrix": np.ascontiguousarray(self.matrix),
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes, spec: LinearSpec) -> "Linear":
        """The linear part that `spec` names. Raises DataLoss (LINEAR_DAMAGED) for other bytes."""
        digest = hashlib.sha256(data).hexdigest()
        if digest != spec.sha256:
            raise _damaged(spec, f"its bytes have the digest {digest}")
        try:
            tensors = load(data)
            if tensors.keys() != _FORMAT:
                raise _damaged(spec, f"it holds {sorted(tensors)}, not {sorted(_FORMAT)}")
            linear = cls(**tensors)
        except (SafetensorError, InvalidArgument, KeyError, ValueError) as error:
            raise _damaged(spec, str(error)) from error
        found, wanted = linear.matrix.shape, (spec.input_dim, spec.output_dim)
        if found != wanted:
            raise _damaged(spec, f"its matrix is {found}, not {wanted}")
        return linear


def _invalid(problem: str) -> InvalidArgument:
    return InvalidArgument.field("linear", problem, reason="INVALID_LINEAR")


def _damaged(spec: LinearSpec, problem: str) -> DataLoss:
    return DataLoss(
        f"linear part {spec.sha256} is damaged: {problem}; fit it again",
        reason="LINEAR_DAMAGED",
        metadata={"linear": spec.sha256},
    )
