"""`intervalchange answer`: one question about two radiographs."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from intervalchange.cli.arguments import RUN_HELP, VerbParser, check_file, check_folder, write_text
from intervalchange.errors import ConfigError
from intervalchange.grammar import DIFFERENCE_QUESTION
from intervalchange.policy import RESEARCH_USE

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from intervalchange.inference import Answered, Predictor

HELP = "answer one question about two radiographs (PNG, JPEG, DICOM)"
EXAMPLES = """\
  intervalchange answer demo --prior 2019.png --current 2020.dcm
  intervalchange answer demo --prior a.png --current b.png "is there pleural effusion?" --json
  intervalchange answer runs/real --prior a.png --current b.png --report answer.html
  intervalchange answer demo --prior 2019.dcm --current 2020.dcm --dicom filed --pdf"""


def add_arguments(verb: VerbParser) -> None:
    """The options of the verb."""
    verb.late = "question"
    verb.add_argument("run_folder", metavar="RUN", help=RUN_HELP)
    verb.add_argument("question", nargs="?", default=DIFFERENCE_QUESTION, help=f"default: {DIFFERENCE_QUESTION}")
    verb.add_argument("--prior", type=Path, default=None, help="the earlier film")
    verb.add_argument("--current", type=Path, required=True, help="the later film")
    verb.add_argument("--json", action="store_true", help="print one Prediction object")
    verb.add_argument(
        "--report", type=Path, default=None, help="write a page with films, change, probabilities and attribution map"
    )
    verb.add_argument(
        "--dicom",
        type=Path,
        default=None,
        metavar="FOLDER",
        help="write the answer about DICOM films for an archive: a structured report (sr.dcm) and a picture (sc.dcm)",
    )
    verb.add_argument("--pdf", action="store_true", help="with --dicom: the picture as a PDF too (pdf.dcm)")
    verb.add_argument(
        "--force",
        action="store_true",
        help="read films that look like a lateral, another body part or a colour picture",
    )


def run(options: argparse.Namespace) -> None:
    """Answer, and write the page where one is wanted."""
    check_file(options.report)
    headers = _headers(options)
    from intervalchange.evaluation.metrics.calibration import ABSTAINED
    from intervalchange.inference import load, shown_answer

    model = load(options.run_folder)
    answered = model.answer_shown(options.prior, options.current, options.question, force=options.force)
    prediction = answered.prediction
    if options.report is not None:
        from intervalchange.report.answer import Entry, answer_page

        title = f"{options.prior.name + ' → ' if options.prior else ''}{options.current.name}"
        write_text(options.report, answer_page([Entry(title, answered)]))
        print(f"wrote {options.report}", file=sys.stderr)
    if headers:
        _file(options.dicom, answered, headers, model, options.pdf)
    for warning in (warning for warning in prediction.warnings if warning != ABSTAINED):
        print(f"warning: {warning}", file=sys.stderr)
    if options.json:
        print(json.dumps({**prediction.as_json(), "notice": RESEARCH_USE}))
        return
    print(shown_answer(prediction) or "(no answer)")
    for name, probability in sorted((prediction.confidence or {}).items(), key=lambda pair: -pair[1]):
        print(f"  {name:45s} {probability:.2f}")
    print(RESEARCH_USE, file=sys.stderr)


def _headers(options: argparse.Namespace) -> list[Dataset | None]:
    """Of the current film and the prior one, where the answer is to be filed. Refuses films without one."""
    if options.dicom is None:
        if options.pdf:
            raise ConfigError("--pdf says what --dicom writes.", remedy="Add --dicom FOLDER.")
        return []
    check_folder(options.dicom)
    from intervalchange.archive.results import film_header

    return [None if path is None else film_header(path) for path in (options.current, options.prior)]


def _file(folder: Path, answered: Answered, headers: list[Dataset | None], model: Predictor, pdf: bool) -> None:
    """Write what an archive keeps of an answer."""
    from intervalchange.archive.results import results_of

    current, prior = headers
    assert current is not None
    results = results_of(answered, current, prior, model=model.identity, pdf=pdf, abstain_at=model.abstain_at)
    folder.mkdir(parents=True, exist_ok=True)
    for kind, result in zip(("sr", "sc", "pdf"), results, strict=False):
        path = folder / f"{kind}.dcm"
        result.save_as(path, enforce_file_format=True)
        print(f"wrote {path}", file=sys.stderr)
