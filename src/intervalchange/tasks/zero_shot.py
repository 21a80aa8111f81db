"""Zero-shot classification: a finding is what the film is most like of what can be said (CLIP; ConVIRT, GLoRIA).

Nothing is trained. Prompts are data (`prompts.yaml`). A film's scores depend on that film alone: raw similarities, and
beside them the same standardised by each class's mean and deviation, which are measured on other films first and kept
in a file. CheXpert 5x200 is a list of films in the user's hands (`films`), scored as its paper does: the classes
exclude each other, accuracy counts the films with exactly one of them.

Differs: GLoRIA standardises over the films of the call, so that a film's class depends on its neighbours, and leaves
    BatchNorm in training mode; here the model is in evaluation mode and the statistics come from elsewhere.
Differs: every combination of a vocabulary is a prompt, averaged; GLoRIA draws five a class and takes the largest
    (`most` and `over` in the file of prompts).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from intervalchange.data.dataset import FilmDataset
from intervalchange.data.prepared import Prepared
from intervalchange.errors import ConfigError, InputError, SourceError
from intervalchange.evaluation.metrics.labels import label_metrics
from intervalchange.evaluation.metrics.statistics import REPLICATES, Array, Counts, named_metrics, ratio
from intervalchange.evaluation.metrics.statistics import point_estimates as plain_metrics
from intervalchange.tasks.classification import CHEXPERT_TASKS
from intervalchange.tasks.image_text import ImageText, SeenFilms, WordsAndPatches, read, see, similarity
from intervalchange.tasks.prompts import Over, PromptFile, Prompts, open_prompts
from intervalchange.tasks.retrieval import Candidates, retrieval_metrics

PATH_COLUMNS = ("Path", "image", "study_id")
"""What a list of films may name them by."""


@dataclass(frozen=True)
class Standard:
    """Mean and deviation of each class's scores on some films, kept for others."""

    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    @classmethod
    def of(cls, scores: Tensor) -> Standard:
        """(n, c) -> by class."""
        return cls(tuple(scores.mean(0).tolist()), tuple(scores.std(0, correction=0).tolist()))

    def applied(self, scores: Tensor) -> Tensor:
        """(n, c) -> (n, c); a class whose scores never differed is only centred."""
        mean, spread = scores.new_tensor(self.mean), scores.new_tensor(self.deviation)
        return (scores - mean) / torch.where(spread > 0, spread, torch.ones_like(spread))


def class_scores(alike: Tensor, owner: Sequence[int], classes: int, over: Over) -> Tensor:
    """(n, m) similarities to prompts -> (n, c): mean or maximum over the prompts of each class."""
    place = torch.tensor(owner, device=alike.device).expand(len(alike), -1)
    start = alike.new_zeros(len(alike), classes)
    return start.scatter_reduce(1, place, alike, "mean" if over == "mean" else "amax", include_self=False)


def accuracy_metrics(
    prefix: str, scores: Array, labels: Array, patients: Sequence[str], replicates: int = REPLICATES
) -> dict[str, float]:
    """Of (n, c) scores and labels (1, 0, NaN), over the films with exactly one true class.

    `<prefix>.accuracy` and `<prefix>.balanced` (the mean over classes of the share that is right), with intervals by
    patient, the floors `<prefix>.chance` and `<prefix>.commonest`, and `<prefix>.films`.
    """
    one = np.flatnonzero((labels == 1).sum(1) == 1)
    if not len(one):
        return {f"{prefix}.films": 0.0}
    true = (labels[one] == 1).astype(float)
    right = true[np.arange(len(one)), scores[one].argmax(1)]
    counts = {"films": np.ones(len(one)), "right": right, "of": true, "found": true * right[:, None]}
    if replicates:
        found = named_metrics(prefix, counts, [patients[row] for row in one.tolist()], _accuracies, replicates)
    else:
        found = {f"{prefix}.{name}": value for name, value in plain_metrics(counts, _accuracies).items()}
    floors = {"chance": 1 / labels.shape[1], "commonest": float(true.mean(0).max()), "films": float(len(one))}
    return found | {f"{prefix}.{name}": value for name, value in floors.items()}


def _accuracies(sums: Counts) -> dict[str, Array]:
    by_class = ratio(sums["found"], sums["of"])
    known = np.isfinite(by_class)
    balanced = ratio(np.where(known, by_class, 0).sum(-1), known.sum(-1))
    return {"accuracy": ratio(sums["right"], sums["films"]), "balanced": balanced}


def zero_shot_metrics(
    scores: Tensor,
    labels: Array,
    names: Sequence[str],
    patients: Sequence[str],
    standard: Standard | None = None,
    replicates: int = REPLICATES,
) -> dict[str, float]:
    """Figures of (n, c) raw scores by dotted name.

    `labels.auroc.*` and `labels.ap.*`, each class by itself; with several classes `zero_shot.accuracy`,
    `zero_shot.balanced` and their floors, and with `standard` the same under `zero_shot.standardised`.
    """
    said = scores.double().numpy()
    found = label_metrics(labels, said, names, patients, replicates)
    if len(names) > 1:
        found |= accuracy_metrics("zero_shot", said, labels, patients, replicates)
        if standard is not None:
            level = standard.applied(scores).double().numpy()
            found |= accuracy_metrics("zero_shot.standardised", level, labels, patients, replicates)
    return {name: value for name, value in found.items() if not np.isnan(value)}


# --- on a prepared folder ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ZeroShotOptions:
    """What a zero-shot trial is about."""

    labels: tuple[str, ...] = ()
    """Classes; none for the five of CheXpert as far as the data has them, or else all that data and prompts share."""
    prompts: Path | None = None
    """A file as `prompts.yaml`; None for that one."""
    films: Path | None = None
    """A CSV that lists the films to look at (column Path, image or study_id), as chexpert_5x200.csv does."""
    standard: Path | None = None
    """What an earlier trial wrote: its statistics are used."""


def zero_shot(model: Any, prepared: Prepared, split: str, asked: ZeroShotOptions | None = None) -> dict[str, Any]:
    """Classification and retrieval of a split by an image-text model, without training.

    Metrics by dotted names, and under `statistics` the mean and deviation of each class's scores, for
    `ZeroShotOptions.standard` of a later trial. Raises InputError for a model without a text side, ConfigError for
    classes without prompts.
    """
    asked, pixels = asked or ZeroShotOptions(), model.config.pixels
    if not isinstance(model, ImageText):
        raise InputError("this run has no text side.", remedy="Give a run trained on reports, such as cm_cgns/align.")
    file = open_prompts(asked.prompts)
    names = asked.labels or shared_classes(prepared, file)
    prompts = file.of(names)
    data = FilmDataset(prepared, split, pixels, needs=("labels",), labels=names)
    rows = listed(data, asked.films) if asked.films else list(range(len(data)))
    patients = [data.patient_ids[row] for row in rows]
    labels = prepared.labels(names)[data.studies[rows]].astype(float)
    local = isinstance(model, WordsAndPatches)
    seen = see(model, data, rows, local)
    scores = class_scores(similarity(seen, read(model, prompts.texts, local)), prompts.owner, len(names), prompts.over)
    standard = stored_standard(asked.standard, names) if asked.standard else None
    found: dict[str, Any] = {"films.count": len(rows), "prompts.count": len(prompts.texts)}
    found |= zero_shot_metrics(scores, labels, names, patients, standard)
    if len(names) > 1:
        found |= _retrieved(model, data, rows, labels, patients, seen, prompts)
    measured = Standard.of(scores)
    return found | {"statistics": {"labels": names, "mean": measured.mean, "deviation": measured.deviation}}


def shared_classes(prepared: Prepared, file: PromptFile) -> tuple[str, ...]:
    """The five of CheXpert where the data has them all; else every label that data and prompts share."""
    there = {name for text in prepared.studies["findings"] for name, value in json.loads(text).items() if value == 1}
    if there.issuperset(CHEXPERT_TASKS):
        return CHEXPERT_TASKS
    shared = tuple(name for name in file.findings if name in there)
    if not shared:
        raise ConfigError("no label of these data has a prompt.", where=prepared.folder, remedy="Give --labels.")
    return shared


def listed(data: FilmDataset, table: Path) -> list[int]:
    """The rows of a data set whose films a CSV lists, by study or by the end of its path."""
    try:
        rows = pd.read_csv(table, dtype=str)
    except (OSError, ValueError) as error:
        raise SourceError("the list of films cannot be read.", where=table, remedy="Give a CSV.") from error
    column = next((name for name in PATH_COLUMNS if name in rows.columns), None)
    if column is None:
        raise SourceError(
            "the list names no films.", where=table, remedy=f"It needs a column {' or '.join(PATH_COLUMNS)}."
        )
    kind = "study_id" if column == "study_id" else "image"
    place = {name: row for row, name in enumerate(data.prepared.studies[kind].to_numpy()[data.studies])}
    tails = (_tails(text) for text in rows[column].dropna())
    found = [next((place[tail] for tail in each if tail in place), None) for each in tails]
    kept = sorted({row for row in found if row is not None})
    if not kept:
        raise SourceError("none of the films listed is in this split.", where=table, remedy="Check --split and paths.")
    return kept


def _tails(path: str) -> list[str]:
    """a/b/c -> a/b/c, b/c, c: a path without its first folders, whatever these are called."""
    parts = path.strip().split("/")
    return ["/".join(parts[start:]) for start in range(len(parts))]


def stored_standard(path: Path, names: Sequence[str]) -> Standard:
    """The statistics that an earlier trial wrote, in the order of these classes."""
    try:
        facts: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))["statistics"]
        places = [list(facts["labels"]).index(name) for name in names]
        return Standard(*(tuple(float(facts[part][place]) for place in places) for part in ("mean", "deviation")))
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise ConfigError(
            "these statistics do not fit.",
            where=path,
            remedy="Give what `predict --zero-shot` wrote of the same classes, on other films.",
        ) from error


def _retrieved(
    model: Any,
    data: FilmDataset,
    rows: Sequence[int],
    labels: Array,
    patients: Sequence[str],
    seen: SeenFilms,
    prompts: Prompts,
) -> dict[str, float]:
    """Retrieval by the films with exactly one class: among the reports of other patients' films with one, or, where
    the data has no reports, among the prompts."""
    one = np.flatnonzero((labels == 1).sum(1) == 1)
    if not len(one):
        return {}
    classes, owners = (labels[one] == 1).argmax(1), [patients[place] for place in one.tolist()]
    reports = data.prepared.studies["report"].to_numpy()[data.studies[np.asarray(rows)[one]]].tolist()
    told = np.flatnonzero([bool(text.strip()) for text in reports])
    if len(told):
        texts = Candidates([reports[n] for n in told], classes[told], tuple(owners[n] for n in told))
    else:
        texts = Candidates(list(prompts.texts), np.array(prompts.owner), None)
    queries = SeenFilms(seen.vectors[one], None if seen.tokens is None else seen.tokens[one])
    alike = similarity(queries, read(model, texts.texts, seen.tokens is not None)).double().numpy()
    return retrieval_metrics(alike, classes, owners, texts)
