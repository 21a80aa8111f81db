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
    "c2f/anatomy": ("intervalchange.methods.c2f_anatomy", "C2FAnatomy"),
    "c2f/diseases": ("intervalchange.methods.c2f_diseases", "C2FDiseases"),
    "c2f/align": ("intervalchange.methods.c2f_align", "C2FAlign"),
    "c2f/answer": ("intervalchange.methods.c2f", "C2F"),
    "idcpcl/pretrain": ("intervalchange.methods.idcpcl_pretrain", "IdcpclPretrain"),
    "idcpcl/answer": ("intervalchange.methods.idcpcl", "Idcpcl"),
    "ekaid/answer": ("intervalchange.methods.ekaid", "Ekaid"),
    "mccformers/answer": ("intervalchange.methods.mccformers", "Mccformers"),
    "plural/findings": ("intervalchange.methods.plural_reports", "PluralFindings"),
    "plural/impression": ("intervalchange.methods.plural_reports", "PluralImpression"),
    "plural/answer": ("intervalchange.methods.plural", "Plural"),
    "ved/answer": ("intervalchange.methods.ved", "Ved"),
    "question_only/answer": ("intervalchange.methods.question_only", "QuestionOnly"),
    "ffa_cl/classify": ("intervalchange.methods.ffa_cl", "FfaCl"),
    "ffa_cl/answer": ("intervalchange.methods.ffa_cl_answer", "FfaClAnswer"),
    "cm_cgns/align": ("intervalchange.methods.cm_cgns", "CmCgnsAlign"),
    "cm_cgns/reconstruct": ("intervalchange.methods.cm_cgns_reconstruct", "CmCgnsReconstruct"),
    "tasks/classification": ("intervalchange.tasks.classification", "Classification"),
    "tasks/detection": ("intervalchange.tasks.detection", "Detection"),
    "tasks/segmentation": ("intervalchange.tasks.segmentation", "Segmentation"),
}
"""Stage -> (module, class), in running order."""


def register(stage: str, module: str, name: str) -> None:
    """Add a METHOD/STAGE of one's own: the name of the class in a module, `__name__` in a script.

    Its presets are files of one's own (`--size FILE.yaml`). Raises ConfigError for a stage that another class has.
    """
    if METHODS.setdefault(stage, (module, name)) != (module, name):
        raise ConfigError(f"stage {stage!r} is {'.'.join(METHODS[stage])}.", remedy="Give yours another name.")


def method_class(stage: str) -> type[Method]:
    """The class behind METHOD/STAGE, e.g. `real/answer`."""
    if stage not in METHODS:
        close = difflib.get_close_matches(stage, METHODS, n=1)
        remedy = f"Did you mean {close[0]!r}?" if close else "See `intervalchange train --list`."
        raise ConfigError(f"unknown stage {stage!r}.", remedy=remedy)
    module, name = METHODS[stage]
    return getattr(importlib.import_module(module), name)


def method_of(model_type: str) -> type[Method]:
    """The class whose weights a config.json with this `model_type` belongs to.

    A stage's model type is its method's name for `answer`, and METHOD_STAGE for the others: c2f, c2f_anatomy.
    """
    fitting = [stage for stage in METHODS if model_type in (stage.replace("/", "_"), stage.removesuffix("/answer"))]
    return method_class(fitting[0] if fitting else f"{model_type}/answer")
