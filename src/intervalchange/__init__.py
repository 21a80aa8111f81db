"""Difference visual question answering on longitudinal chest X-rays. Research use only; not a medical device.

import intervalchange as ic
model = ic.load("demo")
result = model.answer(prior="2019.png", current="2020.dcm")
result.answer, result.change, result.confidence, result.evidence

Every name is imported when it is first used, so that the package itself imports in milliseconds and works without the
extras that a name needs. A name whose extra is not installed raises MissingPackageError, which says which one it is.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from intervalchange.answers import Answer, Course, read_answer
    from intervalchange.archive.read_report import read_report
    from intervalchange.data.prepare import prepare
    from intervalchange.errors import (
        ConfigError,
        ImageError,
        InputError,
        IntervalChangeError,
        MissingPackageError,
        RunError,
        SourceError,
    )
    from intervalchange.evaluation.scoring.score import score
    from intervalchange.inference import load
    from intervalchange.methods.base.method import Method, MethodConfig, MethodOutput
    from intervalchange.records import Case, Change, LevelChange, Prediction, Region, Study
    from intervalchange.registry import register
    from intervalchange.runs import evaluate, predict
    from intervalchange.simulation.cohort import simulate
    from intervalchange.training import train

__version__ = "0.2.0"
__all__ = [
    "Answer",
    "Case",
    "Change",
    "ConfigError",
    "Course",
    "ImageError",
    "InputError",
    "IntervalChangeError",
    "LevelChange",
    "Method",
    "MethodConfig",
    "MethodOutput",
    "MissingPackageError",
    "Prediction",
    "Region",
    "RunError",
    "SourceError",
    "Study",
    "evaluate",
    "load",
    "predict",
    "prepare",
    "read_answer",
    "read_report",
    "register",
    "score",
    "simulate",
    "train",
]

_MODULES = {
    "answers": ("Answer", "Course", "read_answer"),
    "archive.read_report": ("read_report",),
    "data.prepare": ("prepare",),
    "errors": (
        "ConfigError",
        "ImageError",
        "InputError",
        "IntervalChangeError",
        "MissingPackageError",
        "RunError",
        "SourceError",
    ),
    "evaluation.scoring.score": ("score",),
    "inference": ("load",),
    "methods.base.method": ("Method", "MethodConfig", "MethodOutput"),
    "records": ("Case", "Change", "LevelChange", "Prediction", "Region", "Study"),
    "registry": ("register",),
    "runs": ("evaluate", "predict"),
    "simulation.cohort": ("simulate",),
    "training": ("train",),
}
"""Module -> the names of `__all__` that it defines."""
_HOMES = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> object:
    """Import a name of `__all__` when it is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module 'intervalchange' has no attribute {name!r}")
    try:
        value: object = getattr(import_module(f"intervalchange.{_HOMES[name]}"), name)
    except ModuleNotFoundError as problem:
        from intervalchange.extras import missing_package

        raise missing_package(problem, name) or problem from problem
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
