"""Clinical text metrics: temporal entity F1 (ours, a list of words), RadGraph F1 and CheXbert F1 (adapters).

RadGraph runs through its package (`pip install 'intervalchange[clinical]'`), CheXbert through the label file that its
own program writes; both need weights that the user has obtained under their terms. No weights are downloaded here.
Without them the error says what is missing.

Answers in the template of Medical-Diff-VQA hold hardly any word of the temporal list ("has changed", "additional" and
"missing" are not on it), so temporal F1 says nothing there: read `temporal.worded` beside it, the share of references
with a word to find. It is meant for free reports.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from intervalchange.errors import ConfigError, SourceError
from intervalchange.evaluation.metrics.statistics import (
    REPLICATES,
    Array,
    Counts,
    Measure,
    f_measure,
    named_metrics,
    ratio,
)
from intervalchange.findings import CHEXPERT

# --- temporal entity F1 --------------------------------------------------------------------------------------------

TEMPORAL_WORDS = frozenset({
    "bigger", "change", "cleared", "constant", "decrease", "decreased", "decreasing", "elevated", "elevation",
    "enlarged", "enlargement", "enlarging", "expanded", "greater", "growing", "improved", "improvement",
    "improving", "increase", "increased", "increasing", "larger", "new", "persistence", "persistent", "persisting",
    "progression", "progressive", "reduced", "removal", "resolution", "resolved", "resolving", "smaller",
    "stability", "stable", "stably", "unaltered", "unchanged", "unfolded", "worse", "worsen", "worsened",
    "worsening",
})  # fmt: skip
"""The words of temporal entity matching in BioViL-T (Bannur et al., CVPR 2023, arXiv 2301.04558, supplement)."""

_WORD = re.compile(r"[a-z]+")


@lru_cache(maxsize=1 << 16)
def temporal_words(text: str) -> frozenset[str]:
    """The different words of `TEMPORAL_WORDS` in a text, in any case; hyphens and underscores part words."""
    return TEMPORAL_WORDS.intersection(_WORD.findall(text.lower()))


def temporal_tally(answers: Sequence[str], references: Sequence[str]) -> Counts:
    """Counts per answer for `temporal_measures`.

    Per answer as published: F1 of the two sets of words, 1 where neither has any, 0 where only one has.
    Differs: the published code also asks a named-entity tagger (Stanza), and then keeps only entities that are on the
    list, which the list finds by itself.
    """
    pairs = zip(map(temporal_words, answers), map(temporal_words, references), strict=True)
    sizes = np.array(
        [(len(words & reference), len(words), len(reference)) for words, reference in pairs], float
    ).reshape(-1, 3)
    right, predicted, reference = sizes.T
    return {
        "answers": np.ones(len(sizes)),
        "right": right,
        "predicted": predicted,
        "reference": reference,
        "matched": np.where(predicted + reference == 0, 1.0, f_measure(right, predicted, reference)),
        "worded": (reference > 0).astype(float),
    }


def temporal_measures(sums: Counts) -> dict[str, Array]:
    """f1 (mean over answers, as published), micro.f1 (words pooled, empty answers count nothing), precision, recall."""
    return {
        "f1": ratio(sums["matched"], sums["answers"]),
        "micro.f1": f_measure(sums["right"], sums["predicted"], sums["reference"]),
        "micro.precision": ratio(sums["right"], sums["predicted"]),
        "micro.recall": ratio(sums["right"], sums["reference"]),
        "worded": ratio(sums["worded"], sums["answers"]),
    }


def temporal_metrics(
    answers: Sequence[str],
    references: Sequence[str],
    patients: Sequence[Any],
    replicates: int = REPLICATES,
    seed: int = 0,
) -> dict[str, float]:
    """`temporal.f1`, `temporal.micro.f1`, ..., each with `.low` and `.high` by patient."""
    return named_metrics("temporal", temporal_tally(answers, references), patients, temporal_measures, replicates, seed)


# --- metrics of others -----------------------------------------------------------------------------------------


def _package(name: str, metric: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ConfigError(
            f"{metric} needs the package {name}, which is not installed or does not load ({error}).",
            remedy="Run: pip install 'intervalchange[clinical]' (in an environment of its own if versions clash).",
        ) from error


def _weights(path: str | Path | None, metric: str, where_from: str) -> Path:
    folder = None if path is None else Path(path)
    if folder is None or not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        raise ConfigError(
            f"{metric} needs its weights, and none are {'given' if folder is None else 'there'}.",
            where=folder,
            remedy=f"Obtain them from {where_from}, and give their path; nothing is downloaded here.",
        )
    return folder


def _mean_measure(names: Sequence[str]) -> Measure:
    return lambda sums: {name: ratio(sums[name], sums["answers"]) for name in names}


RADGRAPH_LEVELS = ("simple", "partial", "complete")
"""Entities; entities with whether they have a relation; entities with their relations."""


def radgraph_metrics(
    answers: Sequence[str],
    references: Sequence[str],
    patients: Sequence[Any],
    weights: str | Path | None,
    model: str = "radgraph-xl",
    replicates: int = REPLICATES,
    seed: int = 0,
) -> dict[str, float]:
    """RadGraph F1 (Jain et al. 2021; Delbrouck et al. 2022, 2024) by the package `radgraph`.

    weights: folder that holds a folder named as `model` with the unpacked weights. `radgraph.simple.f1`,
    `radgraph.partial.f1` (the one papers mean), `radgraph.complete.f1`, means over answers with `.low` and `.high`; an
    empty answer or reference counts 0, as in the package. Raises ConfigError where package or weights are absent.
    """
    where_from = "physionet.org/content/radgraph or the StanfordAIMI page of the model, under their terms"
    _weights(None if weights is None else Path(weights) / model, "RadGraph F1", where_from)
    scorer = _package("radgraph", "RadGraph F1").F1RadGraph(
        reward_level="all", model_type=model, model_cache_dir=str(weights)
    )
    _, rewards, *_ = scorer(refs=list(references), hyps=list(answers))
    names = [f"{level}.f1" for level in RADGRAPH_LEVELS]
    by_level = np.asarray(rewards, float).reshape(len(names), len(answers))
    counts = {"answers": np.ones(len(answers)), **dict(zip(names, by_level, strict=True))}
    return named_metrics("radgraph", counts, patients, _mean_measure(names), replicates, seed)


CHEXBERT_FIVE = ("Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Pleural Effusion")
"""The five labels of the CheXpert competition."""


def read_chexbert(path: str | Path) -> pd.DataFrame:
    """Labels that CheXbert (Smit et al., EMNLP 2020) wrote by its own `label.py`, one row per text.

    (n, 14) 1 positive, 0 negative, -1 uncertain, NaN not mentioned. A file and not a call: CheXbert's code and the
    package f1chexbert 0.0.2 are written for transformers 4 and fail with 5. Raises SourceError where the file is absent
    or a label is missing.
    """
    file = Path(path)
    if not file.is_file():
        raise SourceError(
            "CheXbert F1 needs the labels of CheXbert, and there is no such file.",
            where=file,
            remedy="Obtain CheXbert with its weights (github.com/stanfordmlgroup/CheXbert), write the texts to a CSV "
            "with the column `Report Impression`, and run its label.py.",
        )
    table = pd.read_csv(file)
    absent = [name for name in CHEXPERT if name not in table]
    if absent:
        raise SourceError(
            f"these labels are missing: {', '.join(absent)}.", where=file, remedy="Give CheXbert's labeled_reports.csv."
        )
    return table[list(CHEXPERT)].astype(float)


def chexbert_counts(answers: pd.DataFrame, references: pd.DataFrame) -> Counts:
    """Two tables of `read_chexbert` -> counts per answer and label.

    Positive is 1 or -1 (uncertain counts as positive), as in the usual F1 of generated reports.
    """
    if answers.shape != references.shape:
        raise SourceError(
            f"{len(answers)} labelled answers and {len(references)} labelled references.",
            remedy="Label both files in the same order.",
        )
    predicted, reference = (np.isin(table[list(CHEXPERT)].to_numpy(float), (1, -1)) for table in (answers, references))
    return {
        "right": (predicted & reference).astype(float),
        "predicted": predicted.astype(float),
        "reference": reference.astype(float),
    }


def chexbert_measures(sums: Counts) -> dict[str, Array]:
    """14.micro.f1, 14.macro.f1, 5.micro.f1, 5.macro.f1, and <label>.f1. Macro counts a label nobody names as 0."""
    each = f_measure(sums["right"], sums["predicted"], sums["reference"])
    five = [CHEXPERT.index(name) for name in CHEXBERT_FIVE]
    measured: dict[str, Array] = {}
    for name, columns in (("14", list(range(len(CHEXPERT)))), ("5", five)):
        pooled = (sums[part][..., columns].sum(-1) for part in ("right", "predicted", "reference"))
        measured[f"{name}.micro.f1"] = f_measure(*pooled)
        measured[f"{name}.macro.f1"] = np.nan_to_num(each[..., columns]).mean(-1)
    return measured | {f"{name}.f1": each[..., label] for label, name in enumerate(CHEXPERT)}


def chexbert_metrics(
    answers: pd.DataFrame,
    references: pd.DataFrame,
    patients: Sequence[Any],
    replicates: int = REPLICATES,
    seed: int = 0,
) -> dict[str, float]:
    """`chexbert.14.micro.f1`, ... of `chexbert_measures`, each with `.low` and `.high` by patient."""
    counts = chexbert_counts(answers, references)
    return named_metrics("chexbert", counts, patients, chexbert_measures, replicates, seed)


CLINICAL = ("temporal", "radgraph", "chexbert")
"""What `score --clinical` can add."""


def clinical_metrics(
    wanted: str,
    answers: Sequence[str],
    references: Sequence[str],
    patients: Sequence[Any],
    replicates: int = REPLICATES,
) -> dict[str, float]:
    """Values of one metric as it is named on the command line.

    `temporal`; `radgraph=WEIGHTS` (folder); `chexbert=ANSWERS.csv,REFERENCES.csv` (what its label.py wrote,
    in the order of the answers). Raises ConfigError where a package, a path or the metric is unknown.
    """
    name, _, path = wanted.partition("=")
    if name == "temporal":
        return temporal_metrics(answers, references, patients, replicates)
    if name == "radgraph":
        return radgraph_metrics(answers, references, patients, path or None, replicates=replicates)
    if name == "chexbert":
        answers_path, _, references_path = path.partition(",")
        return chexbert_metrics(read_chexbert(answers_path), read_chexbert(references_path), patients, replicates)
    raise ConfigError(f"there is no clinical metric {name!r}.", remedy=f"Choose from {', '.join(CLINICAL)}.")
