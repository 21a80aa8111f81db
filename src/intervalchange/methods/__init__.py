"""One method, one file. The registry is lazy: nothing heavy is imported until a method is asked for."""

from __future__ import annotations

import difflib
import importlib
from typing import TYPE_CHECKING

from intervalchange.errors import ConfigError

if TYPE_CHECKING:
    from intervalchange.methods.method import Method

METHODS: dict[str, tuple[str, str]] = {
    "real/answer": ("intervalchange.methods.real", "Real"),
    "set_difference/answer": ("intervalchange.methods.set_difference", "SetDifference"),
}
"""Stage -> (module, class), in running order."""


def method_class(stage: str) -> type[Method]:
    """The class behind METHOD/STAGE, e.g. `real/answer`."""
    if stage not in METHODS:
        close = difflib.get_close_matches(stage, METHODS, n=1)
        remedy = f"Did you mean {close[0]!r}?" if close else "See `intervalchange train --list`."
        raise ConfigError(f"unknown stage {stage!r}.", remedy=remedy)
    module, name = METHODS[stage]
    return getattr(importlib.import_module(module), name)


def method_of(model_type: str) -> type[Method]:
    """The class whose weights a config.json with this `model_type` belongs to."""
    return method_class(f"{model_type}/answer")
