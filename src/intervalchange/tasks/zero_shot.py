"""Zero-shot classification: the class whose prompts are most similar to the film (CLIP; ConVIRT, GLoRIA).

Nothing is trained. Prompts are data (`prompts.yaml`). A film's scores depend on that film alone: raw similarities, and
beside them the same standardised by each class's mean and deviation, which are measured on other films first and kept
in a file. CheXpert 5x200 is a list of films (`films`), or drawn from the labels at hand (`per_class`), scored as its
paper does: the classes exclude each other, accuracy counts the films with exactly one of them.

`form: published` is GLoRIA's: a class scores with its best prompt of five, a prompt with half its cosine and half five
times the cosine of its best word; beside the raw scores those that are standardised over the films of the call.
Retrieval standardises both similarities over the texts of a query.

Differs: GLoRIA standardises over the films of the call, so that a film's class depends on its neighbours (so does
    `form: published`), and leaves BatchNorm in training mode; here the model is in evaluation mode, and the statistics
    come from elsewhere.
Differs: every combination of a vocabulary is a prompt, averaged; GLoRIA draws five per class and takes the largest. In
    `form: published` the five are spread evenly over the combinations, not drawn.
Differs: the local similarity is the mean over the words of a text, and not its best word (`form: published`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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
from intervalchange.evaluation.metrics.statistics import REPLICATES, Array, Counts, ratio
from intervalchange.methods.base.method import greys_of
from intervalchange.tasks.classification import CHEXPERT_TASKS
from intervalchange.tasks.estimates import estimates
from intervalchange.tasks.image_text import (
    EncodedFilms,
    Form,
    ImageText,
    LocalForm,
    WordsAndPatches,
    encode_films,
    encode_texts,
    similarity,
)
from intervalchange.tasks.prompts import Over, PromptFile, Prompts, open_prompts
from intervalchange.tasks.retrieval import Candidates, retrieval_metrics

PROMPTS_PER_CLASS = 5
"""In the published form."""
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


def class_scores(similarities: Tensor, owner: Sequence[int], classes: int, over: Over) -> Tensor:
    """(n, m) similarities to prompts -> (n, c): mean or maximum over the prompts of each class."""
    column = torch.tensor(owner, device=similarities.device).expand(len(similarities), -1)
    start = similarities.new_zeros(len(similarities), classes)
    return start.scatter_reduce(1, column, similarities, "mean" if over == "mean" else "amax", include_self=False)


def accuracy_metrics(
    prefix: str, scores: Array, labels: Array, patients: Sequence[str], replicates: int = REPLICATES
) -> dict[str, float]:
    """Of (n, c) scores and labels (1, 0, NaN), over the films with exactly one class present.

    `<prefix>.accuracy` and `<prefix>.balanced` (the mean over classes of the share that is right), with intervals by
    patient, the floors `<prefix>.chance` and `<prefix>.commonest`, and `<prefix>.films`.
    """
    rows = np.flatnonzero((labels == 1).sum(1) == 1)
    if not len(rows):
        return {f"{prefix}.films": 0.0}
    target = (labels[rows] == 1).astype(float)
    right = target[np.arange(len(rows)), scores[rows].argmax(1)]
    counts = {"films": np.ones(len(rows)), "right": right, "of": target, "found": target * right[:, None]}
    metrics = estimates(prefix, counts, [patients[row] for row in rows.tolist()], _accuracies, replicates)
    floors = {"chance": 1 / labels.shape[1], "commonest": float(target.mean(0).max()), "films": float(len(rows))}
    return metrics | {f"{prefix}.{name}": value for name, value in floors.items()}


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
    """Metrics of (n, c) raw scores by dotted name.

    `labels.auroc.*` and `labels.ap.*`, each class by itself; with several classes `zero_shot.accuracy`,
    `zero_shot.balanced` and their floors, and with `standard` the same under `zero_shot.standardised`.
    """
    raw = scores.double().numpy()
    metrics = label_metrics(labels, raw, names, patients, replicates)
    if len(names) > 1:
        metrics |= accuracy_metrics("zero_shot", raw, labels, patients, replicates)
        if standard is not None:
            standardised = standard.applied(scores).double().numpy()
            metrics |= accuracy_metrics("zero_shot.standardised", standardised, labels, patients, replicates)
    return {name: value for name, value in metrics.items() if not np.isnan(value)}


# --- on a prepared folder ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ZeroShotOptions:
    """Options of a zero-shot trial."""

    labels: tuple[str, ...] = ()
    """Classes; none for the five of CheXpert as far as the data has them, or else all that data and prompts share."""
    prompts: Path | None = None
    """A file as `prompts.yaml`; None for that one."""
    films: Path | None = None
    """A CSV that lists the films to classify (column Path, image or study_id), as chexpert_5x200.csv does."""
    standard: Path | None = None
    """What an earlier trial wrote: its statistics are used."""
    per_class: int = 0
    """At most so many films of each class, which show it and nothing else that the labels know (5x200: 200); 0: all."""
    form: Form = "ours"


def zero_shot(model: Any, prepared: Prepared, split: str, options: ZeroShotOptions | None = None) -> dict[str, Any]:
    """Classification and retrieval of a split by an image-text model, without training.

    Metrics by dotted names, and under `statistics` the mean and deviation of each class's scores, for
    `ZeroShotOptions.standard` of a later trial. Raises InputError for a model without a text side, ConfigError for
    classes without prompts.
    """
    options, pixels, greys = options or ZeroShotOptions(), model.config.pixels, greys_of(model.config)
    if not isinstance(model, ImageText):
        raise InputError("this run has no text side.", remedy="Give a run trained on reports, such as cm_cgns/align.")
    file = open_prompts(options.prompts)
    if options.form == "published":
        file = replace(file, over="max", most=PROMPTS_PER_CLASS)
    names = options.labels or shared_classes(prepared, file)
    prompts = file.of(names)
    data = FilmDataset(prepared, split, pixels, needs=("labels",), labels=names, greys=greys)
    rows = listed(data, options.films) if options.films else list(range(len(data)))
    if options.per_class:
        rows = showing_one_alone(data, rows, names, options.per_class)
    patients = [data.patient_ids[row] for row in rows]
    labels = prepared.labels(names)[data.studies[rows]].astype(float)
    local = isinstance(model, WordsAndPatches)
    films = encode_films(model, data, rows, local)
    to_prompts = similarity(films, encode_texts(model, prompts.texts, local), LocalForm.of(model, options.form))
    scores = class_scores(to_prompts, prompts.owner, len(names), prompts.over)
    standard = stored_standard(options.standard, names) if options.standard else None
    if options.form == "published" and standard is None and len(rows) > 1:
        standard = Standard.of(scores)
    metrics: dict[str, Any] = {"films.count": len(rows), "prompts.count": len(prompts.texts)}
    metrics |= zero_shot_metrics(scores, labels, names, patients, standard)
    if len(names) > 1:
        metrics |= _retrieval(model, data, rows, labels, patients, films, prompts, options.form)
    measured = Standard.of(scores)
    return metrics | {"statistics": {"labels": names, "mean": measured.mean, "deviation": measured.deviation}}


def shared_classes(prepared: Prepared, file: PromptFile) -> tuple[str, ...]:
    """The five of CheXpert where the data has them all; else every label that data and prompts share."""
    present = {name for text in prepared.studies["findings"] for name, value in json.loads(text).items() if value == 1}
    if present.issuperset(CHEXPERT_TASKS):
        return CHEXPERT_TASKS
    shared = tuple(name for name in file.findings if name in present)
    if not shared:
        raise ConfigError(
            "no label of these data has a prompt.", where=prepared.folder, remedy="Name classes: --zero-shot LABEL ..."
        )
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
    row_of = {name: row for row, name in enumerate(data.prepared.studies[kind].to_numpy()[data.studies])}
    tails = (_tails(text) for text in rows[column].dropna())
    matched = [next((row_of[tail] for tail in own if tail in row_of), None) for own in tails]
    listed_rows = sorted({row for row in matched if row is not None})
    if not listed_rows:
        raise SourceError("none of the films listed is in this split.", where=table, remedy="Check --split and paths.")
    return listed_rows


def showing_one_alone(data: FilmDataset, rows: Sequence[int], names: Sequence[str], count: int) -> list[int]:
    """Of these rows at most `count` per class, drawn with seed 0: films that show exactly one of the classes and no
    other finding or device that the labels of the data know. What is not known counts as absent, as in CheXpert 5x200.

    Raises ConfigError where a class has none.
    """
    texts = data.prepared.studies["findings"].to_numpy()[data.studies[np.asarray(rows)]]
    present = [{name for name, value in json.loads(text).items() if value == 1} for text in texts]
    chosen: list[int] = []
    for name in names:
        alone = [row for row, shown in zip(rows, present, strict=True) if shown == {name}]
        if not alone:
            raise ConfigError(
                f"no film shows {name!r} alone.", where=data.prepared.folder, remedy="Name other classes or films."
            )
        drawn = np.random.default_rng(0).permutation(len(alone))[:count]
        chosen += [alone[index] for index in drawn]
    return sorted(chosen)


def _tails(path: str) -> list[str]:
    """a/b/c -> a/b/c, b/c, c: a path without its first folders, whatever these are called."""
    parts = path.strip().split("/")
    return ["/".join(parts[start:]) for start in range(len(parts))]


def stored_standard(path: Path, names: Sequence[str]) -> Standard:
    """The statistics that an earlier trial wrote, in the order of these classes."""
    try:
        facts: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))["statistics"]
        order = [list(facts["labels"]).index(name) for name in names]
        return Standard(*(tuple(float(facts[part][index]) for index in order) for part in ("mean", "deviation")))
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise ConfigError(
            "these statistics do not fit.",
            where=path,
            remedy="Give what `evaluate --zero-shot` wrote of the same classes, on other films.",
        ) from error


def _retrieval(
    model: Any,
    data: FilmDataset,
    rows: Sequence[int],
    labels: Array,
    patients: Sequence[str],
    films: EncodedFilms,
    prompts: Prompts,
    form: Form,
) -> dict[str, float]:
    """Retrieval by the films with exactly one class: among the reports of other patients' films with one, or, where
    the data has no reports, among the prompts."""
    single = np.flatnonzero((labels == 1).sum(1) == 1)
    if not len(single):
        return {}
    classes, owners = (labels[single] == 1).argmax(1), [patients[row] for row in single.tolist()]
    reports = data.prepared.studies["report"].to_numpy()[data.studies[np.asarray(rows)[single]]].tolist()
    with_text = np.flatnonzero([bool(text.strip()) for text in reports])
    if len(with_text):
        own_patients = tuple(owners[row] for row in with_text)
        texts = Candidates([reports[row] for row in with_text], classes[with_text], own_patients)
    else:
        texts = Candidates(list(prompts.texts), np.array(prompts.owner), None)
    queries = EncodedFilms(films.vectors[single], None if films.tokens is None else films.tokens[single])
    encoded, local = (
        encode_texts(model, texts.texts, films.tokens is not None),
        LocalForm.of(model, form, retrieval=True),
    )
    similarities = similarity(queries, encoded, local, standardise=form == "published").double().numpy()
    return retrieval_metrics(similarities, classes, owners, texts)
