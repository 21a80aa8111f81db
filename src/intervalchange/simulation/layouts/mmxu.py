"""MMXU on a simulated MIMIC tree: the tree of `mimic_diff_vqa` and, beside it,

    mmxu/MMXU-test.jsonl     questions on the test patients
    mmxu/MMXU-dev.jsonl      on the others

A question per pair of neighbouring studies, about a finding seen on one of them; four options. The names of the fields
are not published in words: `question`, `options`, `answer`, `images` are ours. Quirks: rows that name the later film
first, options as a list, an answer in words.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from intervalchange.simulation.layouts import Fragment, mimic_diff_vqa
from intervalchange.simulation.layouts.courses import BETTER, NEW, RESOLVED, STABLE, WORSE, courses
from intervalchange.simulation.layouts.files import write_lines
from intervalchange.simulation.records import SimulatedPatient

SAYS = {
    NEW: "It has newly appeared.",
    RESOLVED: "It has resolved.",
    WORSE: "It has worsened.",
    BETTER: "It has improved.",
    STABLE: "It has not changed.",
}
LETTERS = "ABCD"
FILES = {"test": "MMXU-test.jsonl", "train": "MMXU-dev.jsonl", "val": "MMXU-dev.jsonl"}


def write_patient(patient: SimulatedPatient, out: Path, work: Path, release: str, quirks: bool) -> Fragment:
    """Write the MIMIC tree of a patient; its fragment also holds the rows of questions."""
    fragment = mimic_diff_vqa.write_patient(patient, out, work, release, quirks)
    rng = patient.generator(1007)
    rows = []
    for prior, current in pairwise(patient.studies):
        found = courses(prior, current)
        if not found:
            continue
        finding = str(rng.choice(sorted(found)))
        others = [word for word in SAYS if word != found[finding]]
        words = [found[finding], *(str(word) for word in rng.choice(others, 3, replace=False))]
        shown = [SAYS[str(word)] for word in rng.permutation(words)]
        letter = LETTERS[shown.index(SAYS[found[finding]])]
        films = [prior.study.image, current.study.image]
        odd = quirks and rng.random() < 0.15
        rows.append(
            {
                "question": f"How has the {finding} changed from the previous to the current visit?",
                "options": shown if odd else dict(zip(LETTERS, shown, strict=True)),
                "answer": SAYS[found[finding]] if odd else letter,
                "images": films[::-1] if quirks and rng.random() < 0.15 else films,
            }
        )
    return {**fragment, "rows": rows}


def write_tables(
    fragments: Sequence[Fragment], out: Path, work: Path, splits: Sequence[str], seed: int, quirks: bool
) -> None:
    """Write the tables of the MIMIC tree, then the questions; a file without a question is not written."""
    mimic_diff_vqa.write_tables(fragments, out, work, splits, seed, quirks)
    lines: dict[str, list[str]] = {}
    for fragment, split in zip(fragments, splits, strict=True):
        for row in fragment["rows"]:
            lines.setdefault(FILES[split], []).append(json.dumps(row))
    for name, of_file in lines.items():
        write_lines(out / "mmxu" / name, work, of_file)
