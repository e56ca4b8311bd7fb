"""What number formats a processor computes in."""

import torch

from services.core.domain.errors import FailedPrecondition
from services.core.domain.model_spec import ModelSpec

DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}


def best_precision(device: str = "cpu") -> str:
    """bf16 where the processor has it, else fp32."""
    return "bf16" if natively_fast("bf16", torch.device(device)) else "fp32"


def natively_fast(precision: str, device: torch.device) -> bool:
    """Whether the processor computes in `precision` ("bf16" or "fp32") without emulating it."""
    if precision == "fp32":
        return True
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return not _cpu_flags().isdisjoint({"avx512_bf16", "amx_bf16", "bf16"})


def check_precision(spec: ModelSpec, device: torch.device) -> None:
    """Raises FailedPrecondition (PRECISION_UNSUPPORTED)."""
    if not natively_fast(spec.precision, device):
        raise FailedPrecondition(
            f"this processor cannot run precision '{spec.precision}' of model "
            f"{spec.digest[:12]}; use a worker with native bfloat16, or make the model as fp32",
            reason="PRECISION_UNSUPPORTED",
        )


def _cpu_flags() -> set[str]:
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as lines:
            for line in lines:
                if line.startswith(("flags", "Features")):
                    return set(line.partition(":")[2].split())
    except OSError:
        pass  # no Linux: float32 always works
    return set()
