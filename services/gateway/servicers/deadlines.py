"""The time that a call may take."""

from typing import Any

import grpc

from services.gateway.settings import GatewayLimits

Context = grpc.aio.ServicerContext[Any, Any]


def budget(context: Context, limits: GatewayLimits) -> float:
    """Seconds until an answer must be under way; calls without a deadline get the default."""
    remaining: float | None = context.time_remaining()  # None without a deadline
    if remaining is None:
        return limits.deadline
    # A tenth of short deadlines, so that these leave time for the work.
    margin = min(limits.deadline_margin, remaining / 10)
    return min(remaining - margin, limits.max_deadline)
