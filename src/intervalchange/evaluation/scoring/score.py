"""Answers -> metrics, several files side by side; `score_command` is the `score` verb."""

from __future__ import annotations

import itertools
import json as jsonlib
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from intervalchange.errors import ConfigError, SourceError
from intervalchange.evaluation.answers.foreign import Form, form_of, join, read_answers, with_table
from intervalchange.evaluation.answers.predictions import Provenance, read_predictions
from intervalchange.evaluation.answers.reference_table import read_reference
from intervalchange.evaluation.metrics import statistics, text
from intervalchange.evaluation.metrics.meteor import meteor_java15
from intervalchange.evaluation.report import table
from intervalchange.evaluation.report.worst import CaseSource
from intervalchange.evaluation.scoring.file_scores import (
    NOT_RUN,
    PAIRED,
    FileScores,
    MetricValue,
    Settings,
    defined,
    measure_difference,
)
from intervalchange.evaluation.scoring.idf_table import load_idf, write_idf
from intervalchange.evaluation.scoring.metric_names import refuse_bare, similar
from intervalchange.evaluation.scoring.score_file import score_predictions
from intervalchange.records import Prediction

LEVEL = 0.05
"""Of corrected p values that readers call significant."""


@dataclass
class Scores:
    """Scores of one or more files; `paired` compares each further file with the first."""

    files: list[FileScores]
    paired: dict[str, dict[str, MetricValue]] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """One flat object for one file; for several `{"files": {name: ...}, "paired": {name: ...}}`."""
        plain = [{**scores.metrics, "notes": scores.notes} for scores in self.files]
        if len(plain) == 1:
            return plain[0]
        names = [scores.name for scores in self.files]
        return {"files": dict(zip(names, plain, strict=True)), "paired": self.paired}

    def only(self, names: Sequence[str]) -> dict[str, Any]:
        """File -> the metrics that are named or begin with a name. Raises ConfigError for a name of none."""
        chosen: dict[str, Any] = {
            scores.name: {"protocol": scores.published} if scores.published else {} for scores in self.files
        }
        for name in names:
            for scores in self.files:
                found = {
                    key: value for key, value in scores.metrics.items() if key == name or key.startswith(f"{name}.")
                }
                if not found:
                    raise ConfigError(f"no metric is named {name!r}.", remedy=similar(name, scores.metrics))
                chosen[scores.name] |= found
        return chosen

    def nested(self) -> dict[str, Any]:
        """The first file's metrics as a tree; a metric that has branches stands under `value`."""
        tree: dict[str, Any] = {}
        for name, value in self.files[0].metrics.items():
            *path, leaf = name.split(".")
            branch = tree
            for step in path:
                if not isinstance(branch.get(step), dict):
                    branch[step] = {"value": branch[step]} if step in branch else {}
                branch = branch[step]
            if isinstance(branch.get(leaf), dict):
                branch[leaf]["value"] = value
            else:
                branch[leaf] = value
        return tree


def _shared_references(files: Mapping[str, Sequence[Prediction]]) -> dict[str, str]:
    """case_id -> reference over all files; two files that disagree are refused."""
    known: dict[str, tuple[str, str]] = {}
    for name, predictions in files.items():
        for case in predictions:
            if case.reference is None:
                continue
            reference, where = known.setdefault(case.case_id, (case.reference, name))
            if reference.strip() != case.reference.strip():
                raise SourceError(
                    f"case {case.case_id} has another reference than in {where}.",
                    where=name,
                    remedy="Score files of one test set together.",
                )
    return {case_id: reference for case_id, (reference, _) in known.items()}


def _compare(first: FileScores, second: FileScores, settings: Settings) -> dict[str, MetricValue]:
    """second - first over the cases of both, with intervals from the same samples of patients."""
    row_of = {case.case_id: row for row, case in enumerate(second.predictions)}
    pairs = [(row, row_of[case_id]) for row, case_id in enumerate(first.case_ids) if case_id in row_of]
    if not pairs:
        return dict.fromkeys(PAIRED, NOT_RUN) | {"cases.count": 0}
    same_cases = len(pairs) == len(first.predictions) == len(second.predictions)
    rows, other_rows = ([pair[side] for pair in pairs] for side in (0, 1))
    found = statistics.paired_differences(
        {name: array[rows] for name, array in first.counts.items()},
        {name: array[other_rows] for name, array in second.counts.items()},
        [first.predictions[row].patient_id for row in rows],
        measure_difference,
        settings.replicates,
        settings.seed,
    )
    differences: dict[str, MetricValue] = {"cases.count": len(rows)}
    for name in PAIRED:
        if name == "text.cider_d" and not same_cases:
            differences[name] = f"{NOT_RUN}: other references, other weights"
            continue
        if first.metrics.get(name) is None or second.metrics.get(name) is None:
            differences[name] = None
            continue
        difference = found[name]
        for ending in ("", ".low", ".high", ".p"):
            differences[name + ending] = defined(getattr(difference, ending.removeprefix(".") or "value"))
    return differences


def _names(paths: Sequence[Path]) -> list[str]:
    """Shortest distinct names: file names, with folders where two are equal."""
    for depth in range(1, max(len(path.parts) for path in paths) + 1):
        names = ["/".join(path.parts[-depth:]) for path in paths]
        if len(set(names)) == len(names):
            return names
    raise SourceError("the same file is given twice.", where=paths[0], remedy="Name each file once.")


@dataclass(frozen=True)
class FileAnswers:
    """The answers of one file."""

    provenance: Provenance | None
    predictions: Sequence[Prediction]
    notes: Sequence[str] = ()
    """What must be said of them."""


def _read(
    paths: Mapping[str, Path], reference: Path | None, form: Form, split: str, partial: bool
) -> dict[str, FileAnswers]:
    """The answers of each file, joined to the table of references where there is one."""
    if reference is None:
        for path in paths.values():
            known_form = form_of(path, form)
            if known_form != "jsonl":
                raise ConfigError(
                    f"a {known_form} file holds answers without their references.",
                    where=path,
                    remedy="Give --reference: a prepared folder, mimic_pair_questions.csv, COCO annotations or a CSV.",
                )
        return {name: FileAnswers(*read_predictions(path)) for name, path in paths.items()}
    references = read_reference(reference)
    read: dict[str, FileAnswers] = {}
    for name, path in paths.items():
        provenance, answers = read_answers(path, form)
        predictions, notes = join(answers, references, path, split=split, partial=partial)
        read[name] = FileAnswers(with_table(provenance, references, split), predictions, notes)
    return read


def score(
    paths: Sequence[str | Path] | str | Path,
    *,
    replicates: int = statistics.REPLICATES,
    seed: int = 0,
    meteor: bool = True,
    reference: str | Path | None = None,
    form: Form = "auto",
    split: str = "",
    partial: bool = False,
    idf: str | Path | None = None,
    source: CaseSource | None = None,
    extra: Sequence[str] = (),
) -> Scores:
    """Score files of answers; cases are joined by id. Without `reference` they are our predictions files, and
    references may stand in any of them; with it they are anyone's (`foreign`), joined to that table.

    meteor: run METEOR 1.5 where Java and pycocoevalcap are present (about ten seconds); else it is marked.
    source: knows the facts of the cases that the lines leave out. extra: as `clinical.clinical_metrics` names them.
    idf: a table that `save_idf` wrote, for a CIDEr-D that does not move with the test set.
    """
    named = [Path(paths)] if isinstance(paths, str | Path) else [Path(path) for path in paths]
    if not named:
        raise SourceError("no predictions file is given.", remedy="Name at least one.")
    frequency = None if idf is None else load_idf(idf)
    table_path = None if reference is None else Path(reference)
    read = _read(dict(zip(_names(named), named, strict=True)), table_path, form, split, partial)
    references = _shared_references({name: file.predictions for name, file in read.items()})
    settings = Settings(replicates, seed)
    files = []
    for name, file in read.items():
        joined = [
            case if case.reference is not None else replace(case, reference=references.get(case.case_id))
            for case in file.predictions
        ]
        joined = joined if source is None else source.with_facts(joined)
        scores = score_predictions(
            joined, file.provenance, name=name, replicates=replicates, seed=seed, frequency=frequency
        )
        scores.notes += file.notes
        files.append(scores)
    _add_meteor(files, meteor)
    _add_clinical(files, extra, replicates)
    if len({scores.metrics["cases.hash"] for scores in files}) > 1:
        for scores in files:
            scores.notes.append("the files hold different cases: compare them in the paired rows only")
    paired = {scores.name: _compare(files[0], scores, settings) for scores in files[1:]}
    count = _add_corrected(paired)
    if 2 * count / (settings.replicates + 1) > LEVEL:
        files[0].notes.append(
            f"{count} comparisons and {settings.replicates} draws: no corrected p value can be below {LEVEL}; "
            f"--replicates {math.ceil(2 * count / LEVEL)} resolves it"
        )
    return Scores(files, paired)


def _add_corrected(paired: Mapping[str, dict[str, MetricValue]]) -> int:
    """Add `<metric>.p_holm`: p values corrected over every metric and every file of the table; how many there are."""
    values = {
        (file, name): value
        for file, differences in paired.items()
        for name, value in differences.items()
        if name.endswith(".p") and isinstance(value, float)
    }
    corrected = statistics.holm(values)
    for file, differences in paired.items():
        for name in list(differences):
            differences[name] = differences.pop(name)  # in order, each corrected value behind its p value
            if (file, name) in corrected:
                differences[f"{name}_holm"] = corrected[file, name]
    return len(values)


def _add_meteor(files: Sequence[FileScores], wanted: bool) -> None:
    scored = [scores for scores in files if scores.predictions]
    values: list[float | str] = [NOT_RUN] * len(scored)
    if wanted and scored:
        values = meteor_java15([(scores.answers, scores.references) for scores in scored])
    for scores, value in zip(scored, values, strict=True):
        scores.metrics["text.meteor_java15"] = value


def _add_clinical(files: Sequence[FileScores], extra: Sequence[str], replicates: int) -> None:
    if not extra:
        return
    from intervalchange.evaluation.metrics.clinical import clinical_metrics  # Loads pandas.

    for wanted, scores in itertools.product(extra, files):
        values = clinical_metrics(wanted, scores.answers, scores.references, scores.patients, replicates)
        scores.put("", values)


def score_command(
    paths: Sequence[str | Path],
    json: bool = False,
    out: Path | None = None,
    *,
    replicates: int = statistics.REPLICATES,
    meteor: bool = True,
    metrics: Sequence[str] = (),
    save_idf: Path | None = None,
    source: CaseSource | None = None,
    **how: Any,
) -> Scores:
    """The `score` verb: table or JSON on standard output; with `out` also a .md, .tex, .html or .json file.

    metrics: full names, or the beginnings of some, of the metrics that are printed; METEOR runs if one asks for it.
    how: what `score` takes besides.
    """
    suffix = "" if out is None else Path(out).suffix.lower()
    if suffix not in ("", ".md", ".tex", ".html", ".json"):
        raise ConfigError(f"cannot write a {suffix} file.", where=out, remedy="Name it .md, .tex, .html or .json.")
    for name in metrics:
        refuse_bare(name)
    meteor = meteor and (not metrics or any("text.meteor_java15".startswith(name) for name in metrics))
    with Console(stderr=True).status("scoring"):
        scores = score(paths, replicates=replicates, meteor=meteor, source=source, **how)
    chosen = scores.only(metrics) if metrics else scores.as_json()
    plain = jsonlib.dumps(chosen, indent=1, ensure_ascii=False, allow_nan=False)
    if json or metrics:
        sys.stdout.write(plain + "\n")
    else:
        table.show(scores.files, scores.paired)
    if save_idf is not None:
        first = scores.files[0]
        write_idf(save_idf, text.DocumentFrequency.of(first.references, f"references of {first.name}"))
    if out is not None:
        Path(out).parent.mkdir(parents=True, exist_ok=True)
        Path(out).write_text(plain + "\n" if suffix == ".json" else _written(scores, suffix, source), encoding="utf-8")
    return scores


def _written(scores: Scores, suffix: str, source: CaseSource | None) -> str:
    if suffix == ".html":
        from intervalchange.evaluation.report.page import score_page

        return score_page(scores.files, scores.paired, source)
    return (table.latex if suffix == ".tex" else table.markdown)(scores.files, scores.paired)
