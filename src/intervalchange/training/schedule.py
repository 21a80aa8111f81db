"""The learning rate over a training."""

from __future__ import annotations

import math

from intervalchange.config import Schedule


def rate_at(part: float, warmup: float, schedule: Schedule = "cosine") -> float:
    """Learning rate relative to its peak when this part (0 to 1) of the training is done."""
    if part < warmup:
        return part / warmup
    done = min(1.0, (part - warmup) / (1 - warmup))
    if schedule == "inverse_sqrt":
        return math.sqrt(warmup / part) if warmup else 1.0
    if schedule == "linear":
        return 1 - done
    return 1.0 if schedule == "constant" else 0.5 * (1 + math.cos(math.pi * done))
