"""What a run is worth on real films: findings, direction of change, severity; NIH films and films of other hospitals.

    python benchmarks/real_films.py RUN --nih ../shared/data/nih_films --longitudinal ../shared/data/cxr_longitudinal \
        --out benchmarks/results/real_films.json

Either folder may be left out, and be another of the same form. NIH: the patients that its `split.csv` calls test. Each
metric has a 95% interval by patient (`.low`, `.high`) and its number of films, pairs or answers (`.n`).

    nih.auroc.<finding>, .mean8              films with the label against films without it
    nih.within.<source>.auroc.mean8          the same within one source of `sources.csv`; .mean8: over the sources
    nih.direction.<finding>, .pooled         neighbouring films of a patient whose label differs: new against resolved
    nih.adjudicated.<label>                  AUROC on the films that several radiologists labelled
    longitudinal.direction.auc               labelled pairs: worsened against improved
    longitudinal.brixia.rho                  Spearman of the severity and the Brixia score of a film
    longitudinal.nothing_share               neighbouring pairs answered "nothing has changed"
    longitudinal.unsure_share                neighbouring pairs that the run says it is not sure of (`abstain_at`)
    longitudinal.same_film.change_share      a film paired with itself that is given a change

Fixed beforehand: the score of a finding is its logit; of a change, the logit on the current film less that on the prior
one; the severity of a film is the sum of the logits of SEVERITY. A method that has no logit of findings is measured by
its answers alone: a finding is +1 where it was added or its level rose, -1 where it went or its level fell; such a run
has no `auroc`, `adjudicated` or `brixia`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from harness.command import Command, write_result
from rich.console import Console
from rich.progress import track

import intervalchange as ic
from intervalchange.data.films import film_from_file
from intervalchange.errors import InputError
from intervalchange.evaluation.metrics.statistics import patient_weights, percentile_interval, weighted_auc
from intervalchange.evaluation.metrics.statistics import spearman as spearman_interval
from intervalchange.findings import FINDINGS, RANKED_LEVELS
from intervalchange.grammar import DIFFERENCE_QUESTION, parse
from intervalchange.inference import NOT_SURE, Predictor

MEAN8 = (
    *("pleural effusion", "cardiomegaly", "edema", "emphysema"),
    *("consolidation", "atelectasis", "hernia", "pneumothorax"),
)
SEVERITY = ("lung opacity", "consolidation", "edema", "pleural effusion", "pneumonia")
NIH_NAMES = {
    "Effusion": "pleural effusion",
    "Pleural_Thickening": "pleural thickening",
    **{name: name.lower() for name in ("Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Emphysema", "Hernia")},
    **{name: name.lower() for name in ("Pneumonia", "Pneumothorax")},
}
ADJUDICATED = {
    "pneumothorax": ("pneumothorax",),
    "airspace_opacity": SEVERITY,
    "fracture": ("fracture",),
    "effusion": ("pleural effusion",),
    "pleural_thickening": ("pleural thickening",),
    **{name: (name,) for name in ("atelectasis", "cardiomegaly", "pneumonia", "consolidation", "edema", "emphysema")},
    "hernia": ("hernia",),
}
"""Adjudicated label -> the findings whose logits are added up for it."""
LEAST = 10
"""Films of each state that an AUROC within a source needs."""
REPLICATES = 1000

Scores = np.ndarray
"""(films, f) logits, NaN for a finding that the run does not know."""


@dataclass
class Metrics:
    """Values by dotted name, each with its interval and number."""

    values: dict[str, float | int | str]

    def put(self, name: str, value: float, low: float, high: float, count: int) -> None:
        self.values |= {name: value, f"{name}.low": low, f"{name}.high": high, f"{name}.n": count}

    def put_mean_auc(
        self, name: str, columns: Sequence[tuple[np.ndarray, np.ndarray]], patients: Sequence[Any]
    ) -> None:
        """The mean of the AUROCs of several (labels, scores), patients drawn together."""
        codes = pd.factorize(np.asarray(patients))[0]

        def mean(weights: np.ndarray) -> np.ndarray:
            return np.mean([weighted_auc(labels, scores, weights) for labels, scores in columns], axis=0)

        draws = patient_weights(int(codes.max()) + 1, REPLICATES, 0)
        drawn = np.concatenate([mean(weights[:, codes]) for weights in draws])
        self.put(name, float(mean(np.ones(len(codes)))), *percentile_interval(drawn), len(codes))


class Run:
    """A run, asked about films and pairs of them."""

    def __init__(self, run: str) -> None:
        self.predictor: Predictor = ic.load(run)
        self.side = int(self.predictor.run.get("stored_pixels", 0)) or self.predictor.model.config.pixels
        self._squares: dict[Path, np.ndarray] = {}

    def square(self, path: Path) -> np.ndarray:
        """A film as the model reads it."""
        if path not in self._squares:
            self._squares[path] = film_from_file(path, self.side).pixels
        return self._squares[path]

    def logits(self, paths: Sequence[Path], batch: int = 64) -> Scores | None:
        """The logits of every finding on films; None where the method has none."""
        parts: list[np.ndarray] = []
        for some in _batches(paths, batch, "films"):
            films = self.predictor.batch_of([(None, self.square(path), DIFFERENCE_QUESTION) for path in some]).current
            with torch.no_grad():
                logits = self.predictor.model.finding_logits(films)
            if logits is None:
                return None
            parts.append(logits.float().cpu().numpy())
        return np.concatenate(parts)

    def answers(self, pairs: Sequence[tuple[Path, Path]], batch: int = 32) -> list[str]:
        """What a reader is shown of (prior, current): the change in words, or that the run is not sure."""
        answers: list[str] = []
        for some in _batches(pairs, batch, "pairs"):
            cases = [(self.square(prior), self.square(current), DIFFERENCE_QUESTION) for prior, current in some]
            answers += self.predictor.shown_answers(self.predictor.batch_of(cases))
        return answers

    def changes(self, pairs: Sequence[tuple[Path, Path]], logits: Mapping[Path, np.ndarray] | None) -> Scores:
        """(pairs, f): how much more of each finding the current film has."""
        if logits is not None:
            return np.array([logits[current] - logits[prior] for prior, current in pairs])
        return np.array([_steps(answer) for answer in self.answers(pairs)])


def _steps(answer: str) -> np.ndarray:
    """(f,): +1 where an answer says that a finding came or rose, -1 where it went or fell."""
    change, steps = parse(answer).change, np.zeros(len(FINDINGS))
    for sign, findings in ((1, change.added), (-1, change.missing)):
        for finding in findings:
            steps[FINDINGS.index(finding)] += sign
    for level in change.levels:
        ranks = RANKED_LEVELS.get(level.prior), RANKED_LEVELS.get(level.current)
        if None not in ranks:
            steps[FINDINGS.index(level.finding)] += np.sign(ranks[1] - ranks[0])
    return steps


def _batches(items: Sequence[Any], size: int, what: str) -> Iterable[Sequence[Any]]:
    starts = range(0, len(items), size)
    return (items[start : start + size] for start in track(starts, what, console=Console(stderr=True)))


def column(scores: Scores, findings: Sequence[str]) -> np.ndarray:
    """The sum of some findings' columns, NaN where the run knows none of them."""
    chosen = scores[:, [FINDINGS.index(finding) for finding in findings]]
    return np.where(np.isnan(chosen).all(1), np.nan, np.nansum(chosen, 1))


# --- NIH ---------------------------------------------------------------------------------------------------------


def nih_films(folder: Path) -> pd.DataFrame:
    """The films of the test patients with their labels, in order of patient and follow-up."""
    films = pd.read_csv(folder / "Data_Entry_2017_v2020.csv")
    films = films.rename(columns={"Image Index": "image", "Patient ID": "patient", "Follow-up #": "follow_up"})
    split = pd.read_csv(folder / "split.csv").set_index("patient_id").split
    films = films[films.patient.map(split) == "test"].sort_values(["patient", "follow_up"]).reset_index(drop=True)
    labels = films["Finding Labels"].str.split("|")
    for theirs, ours in NIH_NAMES.items():
        films[ours] = labels.map(lambda names, theirs=theirs: float(theirs in names))
    stems = {path.stem: path for path in (folder / "images").iterdir()}
    films["path"] = films.image.map(lambda name: stems.get(Path(name).stem))
    missing = films.path.isna()
    if missing.any():
        raise InputError(f"no film {films.image[missing].iloc[0]}.", where=folder, remedy="See its images/ folder.")
    sources = folder / "sources.csv"
    films["source"] = films.image.map(pd.read_csv(sources).set_index("image_index").source) if sources.is_file() else ""
    return films


def measure_nih(run: Run, folder: Path, metrics: Metrics) -> None:
    """Labels, direction and adjudicated labels of NIH films."""
    films = nih_films(folder)
    logits = run.logits(films.path.tolist())
    by_path = None if logits is None else dict(zip(films.path, logits, strict=True))
    if logits is not None:
        _measure_labels("nih", films, logits, metrics)
        _measure_sources(films, logits, metrics)
        for name in ("adjudicated_four.csv", "adjudicated_fourteen.csv"):
            if (folder / name).is_file():
                _measure_adjudicated(pd.read_csv(folder / name), films, logits, metrics)
    _measure_direction(run, films, by_path, metrics)


def _measure_labels(prefix: str, films: pd.DataFrame, logits: Scores, metrics: Metrics, least: int = 1) -> bool:
    columns = []
    for finding in NIH_NAMES.values():
        labels, scores = films[finding].to_numpy(), column(logits, [finding])
        if min(labels.sum(), (1 - labels).sum()) < least or np.isnan(scores).any():
            continue
        if prefix == "nih":
            metrics.put_mean_auc(f"{prefix}.auroc.{finding}", [(labels, scores)], films.patient)
            metrics.values[f"{prefix}.auroc.{finding}.positives"] = int(labels.sum())
        if finding in MEAN8:
            columns.append((labels, scores))
    if columns:
        metrics.put_mean_auc(f"{prefix}.auroc.mean8", columns, films.patient)
        metrics.values[f"{prefix}.auroc.mean8.findings"] = len(columns)
    return bool(columns)


def _measure_sources(films: pd.DataFrame, logits: Scores, metrics: Metrics) -> None:
    """Resolution and labels go with the source, so a score over all of them may be of the source."""
    measured = []
    for source, rows in films.groupby("source").groups.items():
        some = films.loc[rows].reset_index(drop=True)
        if _measure_labels(f"nih.within.{source}", some, logits[rows], metrics, LEAST):
            measured.append((metrics.values[f"nih.within.{source}.auroc.mean8"], len(rows)))
    if measured:
        values, counts = np.array(measured).T
        metrics.values["nih.within.mean8"] = float(np.average(values, weights=counts))


def _measure_adjudicated(table: pd.DataFrame, films: pd.DataFrame, logits: Scores, metrics: Metrics) -> None:
    rows = pd.Series(films.index, films.image).reindex(table.image_index)
    table, rows = table[rows.notna().to_numpy()], rows.dropna().astype(int)
    for label, findings in ADJUDICATED.items():
        name = f"nih.adjudicated.{label}"
        if label not in table or table[label].nunique() < 2 or name in metrics.values:
            continue
        scores = column(logits[rows.to_numpy()], findings)
        if not np.isnan(scores).any():
            metrics.put_mean_auc(name, [(table[label].to_numpy(float), scores)], films.patient.iloc[rows].tolist())
            metrics.values[f"{name}.positives"] = int(table[label].sum())


def _measure_direction(
    run: Run, films: pd.DataFrame, logits: Mapping[Path, np.ndarray] | None, metrics: Metrics
) -> None:
    follows = films.index[films.patient.diff() == 0]
    prior, current = films.loc[follows - 1].reset_index(drop=True), films.loc[follows].reset_index(drop=True)
    pairs = list(zip(prior.path, current.path, strict=True))
    scores = run.changes(pairs, logits)
    pooled: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    for finding in NIH_NAMES.values():
        step = (current[finding] - prior[finding]).to_numpy()
        rows = (step != 0) & ~np.isnan(column(scores, [finding]))
        if len(set(step[rows])) < 2:
            continue
        new, score, patients = (step[rows] > 0).astype(float), column(scores, [finding])[rows], current.patient[rows]
        metrics.put_mean_auc(f"nih.direction.{finding}", [(new, score)], patients.tolist())
        pooled.append((new, score, patients.to_numpy()))
    if pooled:
        new, score, patients = (np.concatenate(parts) for parts in zip(*pooled, strict=True))
        metrics.put_mean_auc("nih.direction.pooled", [(new, score)], patients.tolist())


# --- other hospitals ---------------------------------------------------------------------------------------------


def measure_longitudinal(run: Run, folder: Path, metrics: Metrics) -> None:
    """Direction, severity and the share of "nothing has changed" on films of other hospitals."""
    pairs, images = pd.read_csv(folder / "pairs.csv"), pd.read_csv(folder / "images.csv").set_index("image_id")
    near = pairs[(pairs.consecutive == 1) & (pairs.same_view_group == 1)]
    labelled = near[near.change_label.isin(["worsened", "improved"])]
    severity = pd.read_csv(folder / "severity.csv").set_index("image_id").brixia_senior_global.dropna()
    severity = severity[severity.index.isin(images.index)]

    def paths(names: Iterable[str]) -> list[Path]:
        return [folder / images.loc[name, "file"] for name in names]

    wanted = sorted({*severity.index, *labelled.ref_image_id, *labelled.main_image_id})
    logits = run.logits(paths(wanted))
    known = None if logits is None else dict(zip(paths(wanted), logits, strict=True))
    of_pairs = list(zip(paths(labelled.ref_image_id), paths(labelled.main_image_id), strict=True))
    steps = column(run.changes(of_pairs, known), SEVERITY)
    worse = (labelled.change_label == "worsened").to_numpy(float)
    metrics.put_mean_auc("longitudinal.direction.auc", [(worse, steps)], labelled.patient_id.tolist())
    if logits is not None:
        burden = pd.Series(column(logits, SEVERITY), wanted)[severity.index]
        rho = spearman_interval(burden.to_numpy(), severity.to_numpy(), images.patient_id[severity.index].tolist())
        metrics.put("longitudinal.brixia.rho", *rho, len(severity))
    all_near = pairs[pairs.consecutive == 1]
    answers = run.answers(list(zip(paths(all_near.ref_image_id), paths(all_near.main_image_id), strict=True)))
    metrics_of_share(metrics, "longitudinal.nothing_share", answers, _says_nothing, all_near.patient_id)
    metrics_of_share(metrics, "longitudinal.unsure_share", answers, NOT_SURE.__eq__, all_near.patient_id)
    same = images.index.tolist()
    answers = run.answers(list(zip(paths(same), paths(same), strict=True)))
    metrics_of_share(metrics, "longitudinal.same_film.change_share", answers, _says_change, images.patient_id)


def _says_nothing(answer: str) -> bool:
    return parse(answer).nothing


def _says_change(answer: str) -> bool:
    return bool(parse(answer).change)


def metrics_of_share(
    metrics: Metrics, name: str, answers: Sequence[str], says: Callable[[str], bool], patients: Sequence[Any]
) -> None:
    """The share of answers that say something."""
    values = np.array([says(answer) for answer in answers], float)
    codes = pd.factorize(np.asarray(patients))[0]
    draws = patient_weights(int(codes.max()) + 1, REPLICATES, 0)
    drawn = [weights[:, codes] @ values / weights[:, codes].sum(1) for weights in draws]
    metrics.put(name, float(values.mean()), *percentile_interval(np.concatenate(drawn)), len(values))


def main() -> None:
    options = Command(__doc__)
    options.add_argument("run")
    options.add_argument("--nih", type=Path, help="folder laid out as nih_films")
    options.add_argument("--longitudinal", type=Path, help="folder laid out as cxr_longitudinal")
    options.result("--out", "real_films.json")
    chosen = options.parse_args()
    if not (chosen.nih or chosen.longitudinal):
        options.error("give --nih, --longitudinal, or both")
    run, metrics = Run(chosen.run), Metrics({"run": chosen.run})
    if chosen.nih:
        measure_nih(run, chosen.nih, metrics)
    if chosen.longitudinal:
        measure_longitudinal(run, chosen.longitudinal, metrics)
    write_result(chosen.out, metrics.values)


if __name__ == "__main__":
    main()
