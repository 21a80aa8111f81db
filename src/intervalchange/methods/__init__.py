"""One method, one folder: `<stage>.py`, its presets `<stage>.<size>.yaml`, and what only this method needs.

What several methods share is in `base/`. Which stages there are is read from the folders: see `registry.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from intervalchange.registry import register, stage_class, stages

if TYPE_CHECKING:
    from intervalchange.methods.base.method import Method

__all__ = ["method_class", "method_of", "register", "stages"]


def method_class(stage: str) -> type[Method]:
    """The class behind METHOD/STAGE, e.g. `real/answer`. Raises ConfigError for an unknown stage."""
    return stage_class(stage)


def method_of(model_type: str) -> type[Method]:
    """The class whose weights a config.json with this `model_type` belongs to.

    A stage's model type is its method's name for `answer`, and METHOD_STAGE for the others: c2f, c2f_anatomy.
    """
    fitting = [stage for stage in stages() if model_type in (stage.replace("/", "_"), stage.removesuffix("/answer"))]
    return method_class(fitting[0] if fitting else f"{model_type}/answer")
