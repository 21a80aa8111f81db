"""Predictions files -> figures, several files side by side; `score_command` is the `score` verb."""

from __future__ import annotations

import json as jsonlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from intervalchange.errors import ConfigError, SourceError
from intervalchange.evaluation import statistics, table, text
from intervalchange.evaluation.answer_file import (
    NOT_RUN,
    PAIRED,
    Figure,
    FileScores,
    Settings,
    defined,
    measure_difference,
    score_predictions,
)
from intervalchange.evaluation.predictions import read_predictions
from intervalchange.records import Prediction


@dataclass
class Scores:
    """Scores of one or more files; `paired` compares each further file with the first."""

    files: list[FileScores]
    paired: dict[str, dict[str, Figure]] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """One flat object for one file; for several `{"files": {name: ...}, "paired": {name: ...}}`."""
        plain = [{**scores.figures, "notes": scores.notes} for scores in self.files]
        if len(plain) == 1:
            return plain[0]
        names = [scores.name for scores in self.files]
        return {"files": dict(zip(names, plain, strict=True)), "paired": self.paired}

    def nested(self) -> dict[str, Any]:
        """The first file's figures as a tree; a figure that has branches stands under `value`."""
        tree: dict[str, Any] = {}
        for name, value in self.files[0].figures.items():
            *path, leaf = name.split(".")
            here = tree
            for step in path:
                if not isinstance(here.get(step), dict):
                    here[step] = {"value": here[step]} if step in here else {}
                here = here[step]
            if isinstance(here.get(leaf), dict):
                here[leaf]["value"] = value
            else:
                here[leaf] = value
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


def _compare(first: FileScores, second: FileScores, settings: Settings) -> dict[str, Figure]:
    """second - first over the cases of both, with intervals from the same draws of patients."""
    place = {case_id: row for row, case_id in enumerate(second.case_ids)}
    rows = [row for row, case_id in enumerate(first.case_ids) if case_id in place]
    if not rows:
        return dict.fromkeys(PAIRED, NOT_RUN) | {"cases.count": 0}
    other = [place[first.case_ids[row]] for row in rows]
    whole = len(rows) == len(first.case_ids) == len(second.case_ids)
    one = {name: array[rows] for name, array in first.counts.items()}
    two = {name: array[other] for name, array in second.counts.items()}
    patients = [first.patients[row] for row in rows]
    found = statistics.paired_differences(one, two, patients, measure_difference, settings.replicates, settings.seed)
    differences: dict[str, Figure] = {"cases.count": len(rows)}
    for name in PAIRED:
        if name == "text.cider_d" and not whole:
            differences[name] = f"{NOT_RUN}: other references, other weights"
            continue
        value, low, high = found[name]
        differences |= {name: defined(value), f"{name}.low": defined(low), f"{name}.high": defined(high)}
    return differences


def _names(paths: Sequence[Path]) -> list[str]:
    """Shortest distinct names: file names, with folders where two are equal."""
    for depth in range(1, max(len(path.parts) for path in paths) + 1):
        names = ["/".join(path.parts[-depth:]) for path in paths]
        if len(set(names)) == len(names):
            return names
    raise SourceError("the same file is given twice.", where=paths[0], remedy="Name each file once.")


def score(
    paths: Sequence[str | Path] | str | Path,
    *,
    replicates: int = statistics.REPLICATES,
    seed: int = 0,
    meteor: bool = True,
) -> Scores:
    """Score predictions files. References may stand in any of them; cases are joined by case_id.

    meteor: run METEOR 1.5 where Java and pycocoevalcap are present (about ten seconds); else it is marked.
    """
    given = [Path(paths)] if isinstance(paths, str | Path) else [Path(path) for path in paths]
    if not given:
        raise SourceError("no predictions file is given.", remedy="Name at least one.")
    names = _names(given)
    read = dict(zip(names, map(read_predictions, given), strict=True))
    known = _shared_references({name: predictions for name, (_, predictions) in read.items()})
    settings = Settings(replicates, seed)
    files = []
    for name, (provenance, predictions) in read.items():
        joined = [
            case if case.reference is not None else replace(case, reference=known.get(case.case_id))
            for case in predictions
        ]
        files.append(score_predictions(joined, provenance, name=name, replicates=replicates, seed=seed))
    _add_meteor(files, meteor)
    if len({scores.figures["cases.hash"] for scores in files}) > 1:
        for scores in files:
            scores.notes.append("the files hold different cases: compare them in the paired rows only")
    paired = {scores.name: _compare(files[0], scores, settings) for scores in files[1:]}
    return Scores(files, paired)


def _add_meteor(files: Sequence[FileScores], wanted: bool) -> None:
    scored = [scores for scores in files if scores.case_ids]
    found: list[float | str] = [NOT_RUN] * len(scored)
    if wanted and scored:
        found = text.meteor_java15([scores.texts for scores in scored])
    for scores, value in zip(scored, found, strict=True):
        scores.figures["text.meteor_java15"] = value


def score_command(
    paths: Sequence[str | Path],
    json: bool = False,
    out: Path | None = None,
    *,
    replicates: int = statistics.REPLICATES,
    meteor: bool = True,
) -> Scores:
    """The `score` verb: table or JSON on standard output; with `out` also a .md, .html or .json file."""
    suffix = "" if out is None else Path(out).suffix.lower()
    if suffix not in ("", ".md", ".html", ".json"):
        raise ConfigError(f"cannot write a {suffix} file.", where=out, remedy="Name it .md, .html or .json.")
    with Console(stderr=True).status("scoring"):
        scores = score(paths, replicates=replicates, meteor=meteor)
    plain = jsonlib.dumps(scores.as_json(), indent=1, ensure_ascii=False, allow_nan=False)
    if json:
        sys.stdout.write(plain + "\n")
    else:
        table.show(scores.files, scores.paired)
    if out is not None:
        written = (
            plain + "\n"
            if suffix == ".json"
            else table.render(scores.files, scores.paired, "html" if suffix == ".html" else "markdown")
        )
        Path(out).parent.mkdir(parents=True, exist_ok=True)
        Path(out).write_text(written, encoding="utf-8")
    return scores
