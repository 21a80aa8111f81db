"""MI-CXR on a simulated MIMIC tree: the tree of `mimic_diff_vqa` and, beside it,

    mi-cxr/micxr_test.jsonl     five-way questions on the patients with five studies

TEL: the interval in which a finding comes or goes (once, or the first and second time), or that it does not; and the
pair of studies at which it is gone and there again. ICR: one true statement about an interval among four. GTS: the
course of a finding over all films. Field names and wording of the questions as in the published file; quirk: an event
of a finding that the answers have no word for."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from intervalchange.errors import ConfigError
from intervalchange.simulation.layouts import Fragment, mimic_diff_vqa
from intervalchange.simulation.layouts.courses import BETTER, NEW, RESOLVED, STABLE, WORSE, courses
from intervalchange.simulation.layouts.files import write_lines
from intervalchange.simulation.records import SimulatedPatient

VISITS = 5
LETTERS = "ABCDE"
INTERVALS = [f"T{start} \u2192 T{start + 1}" for start in range(1, VISITS)]
EVENTS = {NEW: ("emergence", "new appearance"), RESOLVED: ("resolution", "disappearance")}
SAYS = {NEW: "is new", RESOLVED: "has resolved", WORSE: "has worsened", BETTER: "has improved", STABLE: "is unchanged"}


def write_patient(patient: SimulatedPatient, out: Path, work: Path, release: str, quirks: bool) -> Fragment:
    """Write the MIMIC tree of a patient; its fragment also holds the questions, of a patient with five studies."""
    fragment = mimic_diff_vqa.write_patient(patient, out, work, release, quirks)
    if len(patient.studies) != VISITS:
        return {**fragment, "rows": []}
    rng = patient.generator(1008)
    changes = [courses(prior, current) for prior, current in pairwise(patient.studies)]
    images = {f"T{number}": study.study.image for number, study in enumerate(patient.studies, start=1)}
    rows = [*_events(changes), *_statements(changes, rng), *_trajectories(changes)]
    if quirks:
        rows.append(_event("sub-diaphragmatic air", NEW, [1], "", "single"))
    return {**fragment, "rows": [row | {"images": images} for row in rows]}


def _row(group: str, kind: str, question: str, choices: Sequence[str], answer: str) -> Fragment:
    named = dict(zip(LETTERS, choices, strict=True))
    return {"group_type": group, "qtype": kind, "question": question, "choices": named, "answer": answer}


def _events(changes: Sequence[dict[str, str]]) -> Iterator[Fragment]:
    """When each finding comes and goes."""
    for finding in sorted({name for change in changes for name in change}):
        for word in EVENTS:
            where = [place for place, change in enumerate(changes) if change.get(finding) == word]
            if len(where) <= 1:
                yield _event(finding, word, where, "", "single")
            else:
                yield _event(finding, word, where[:1], "first ", "multiple")
                yield _event(finding, word, where[1:2], "second ", "multiple")


def _event(finding: str, word: str, where: Sequence[int], which: str, number: str) -> Fragment:
    kind, name = EVENTS[word]
    place = {"first ": "_1", "second ": "_2"}.get(which, "")
    options = [*INTERVALS, f"There is no {which}{name} of {finding}"]
    question = f"During which interval does {finding} {which}{name} occur?"
    return _row("TEL", f"{number}_{kind}{place}", question, options, LETTERS[where[0]] if where else "E")


def _statements(changes: Sequence[dict[str, str]], rng: np.random.Generator) -> Iterator[Fragment]:
    """One statement for each interval, one of them true, of the findings of the interval."""
    for true, own in enumerate(changes):
        if not own:
            continue
        statements = []
        for place, change in enumerate(changes):
            finding = str(rng.choice(sorted(change or own)))
            wrong = [word for word in SAYS if word != change.get(finding)]
            word = change[finding] if place == true else str(rng.choice(wrong))
            statements.append(f"Between T{place + 1} and T{place + 2}, The {finding} {SAYS[word]}.")
        options = [*statements, "None of the statements are true."]
        question = "Which statement correctly describes the interval changes?"
        yield _row("ICR", "icr_multi_abn", question, options, LETTERS[true])


def _trajectories(changes: Sequence[dict[str, str]]) -> Iterator[Fragment]:
    """The course of one finding over all films, told in one sentence; three others are it with other words."""
    finding = next((name for change in changes for name in sorted(change)), None)
    if finding is None:
        return
    words = [SAYS[change[finding]] if finding in change else "is absent" for change in changes]
    told = [
        "; ".join(f"between T{place + 1} and T{place + 2}, the {finding} {word}" for place, word in enumerate(of_one))
        for of_one in (words, words[::-1], ["has worsened"] * 4, ["has improved"] * 4)
    ]
    question = (
        f"Which statement best describes the interval-based temporal changes of {finding} across the study sequence?"
    )
    options = [*(f"{text[0].upper()}{text[1:]}." for text in told), "None of them are true."]
    yield _row("GTS", "single_entity_interval_summary", question, options, "A")


def write_tables(
    fragments: Sequence[Fragment], out: Path, work: Path, splits: Sequence[str], seed: int, quirks: bool
) -> None:
    """Write the tables of the MIMIC tree, then the questions. Raises ConfigError where no patient has five studies."""
    mimic_diff_vqa.write_tables(fragments, out, work, splits, seed, quirks)
    rows = [row for fragment in fragments for row in fragment["rows"]]
    if not rows:
        raise ConfigError(
            "no simulated patient has five studies, of which MI-CXR asks.",
            remedy="Simulate more patients: a fifth of them has.",
        )
    order = np.random.default_rng(np.random.SeedSequence([seed, 0, 9])).permutation(len(rows))
    lines = [json.dumps({"q_id": number, **rows[place]}) for number, place in enumerate(order)]
    write_lines(out / "mi-cxr" / "micxr_test.jsonl", work, lines)
