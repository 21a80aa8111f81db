"""Answers of several seeds, scored together and one by one: the ablations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.records import file_name
from intervalchange.evaluation.answers.predictions import read_predictions, write_predictions
from intervalchange.evaluation.scoring.score import score

SHOWN = ("change.findings.micro.f1", "change.micro.f1", "change.false_change.rate", "text.bleu4", "text.cider_d")


@dataclass(frozen=True)
class PooledRows:
    """Rows of an ablation, the seeds of each pooled: each case once per seed."""

    files: list[Path]
    """Predictions of each row."""
    rows: dict[str, Any]
    """Row -> metrics of each seed and of all together."""
    paired: dict[str, Any]
    """Each further row against the first, by a paired bootstrap over patients."""


def pool_rows(answers: Mapping[str, Sequence[Path]], out: Path, floors: str) -> PooledRows:
    """Score the predictions files of each row, one per seed. floors: which of them are kept, by prefix."""
    files = [_pool(row, own, out) for row, own in answers.items()]
    together = score(files, meteor=False)
    rows = {
        row: {
            "seeds": [{name: _metrics(file)[name] for name in SHOWN} for file in own],
            "pooled": {name: value for name, value in pooled.metrics.items() if name.startswith((*SHOWN, floors))},
        }
        for (row, own), pooled in zip(answers.items(), together.files, strict=True)
    }
    return PooledRows(files, rows, together.paired)


def _metrics(file: Path) -> dict[str, Any]:
    return score(file, meteor=False).files[0].metrics


def _pool(row: str, files: Sequence[Path], out: Path) -> Path:
    provenance, together = None, []
    for seed, file in enumerate(files):
        provenance, predictions = read_predictions(file)
        together += [replace(item, case_id=f"{item.case_id}#{seed}") for item in predictions]
    path = out / f"{file_name(row)}.pooled.jsonl"
    write_predictions(path, together, provenance)
    return path
