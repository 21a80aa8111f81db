"""`intervalchange score`: answers of any model against the reference."""

from __future__ import annotations

import argparse
import gc
from pathlib import Path

from intervalchange.cli.arguments import check_file, positive

HELP = "score answers of any model; several files side by side"
EXAMPLES = """\
  intervalchange score predictions.jsonl
  intervalchange score real.jsonl plain.jsonl --out table.md
  intervalchange score predictions.jsonl --json
  intervalchange score --reference mimic_pair_questions.csv --format coco results.json other.json
  intervalchange score predictions.jsonl --metrics change.micro text.cider_d --idf train.idf.json
  intervalchange score test.jsonl --data prepared/sim --out report.html
  intervalchange score val.jsonl --risk 0.1"""


def add_arguments(verb: argparse.ArgumentParser) -> None:
    """The options of the verb."""
    verb.add_argument("files", nargs="+", type=Path, metavar="predictions.jsonl", help="ours, or with --reference any")
    verb.add_argument("--json", action="store_true", help="print one JSON object")
    verb.add_argument("--out", type=Path, default=None, help="write a .md, .tex, .html or .json file")
    verb.add_argument(
        "--data", type=Path, default=None, help="prepared folder: films for the .html page, view pair, sex and age"
    )
    threshold = verb.add_mutually_exclusive_group()
    threshold.add_argument(
        "--risk", type=float, default=None, help="print the --abstain-at for this share of wrong answers"
    )
    threshold.add_argument(
        "--coverage", type=float, default=None, help="print the --abstain-at for this share answered"
    )
    verb.add_argument(
        "--reference",
        type=Path,
        default=None,
        help="the right answers: a prepared folder, mimic_pair_questions.csv, COCO annotations, or a CSV; joined by id",
    )
    verb.add_argument("--format", choices=("auto", "coco", "csv", "jsonl"), default="auto", help="of the predictions")
    verb.add_argument("--split", default="", help="split of the reference that is scored; the answered one by default")
    verb.add_argument(
        "--partial", action="store_true", help="score what is answered; missing and extra ids are counted"
    )
    verb.add_argument("--idf", type=Path, default=None, help="frozen n-gram table for CIDEr-D, as --save-idf writes it")
    verb.add_argument("--save-idf", type=Path, default=None, help="write the n-gram table of the scored references")
    verb.add_argument("--metrics", nargs="+", default=[], metavar="NAME", help="print these metrics only, as JSON")
    verb.add_argument(
        "--clinical",
        nargs="+",
        default=[],
        metavar="NAME",
        help="temporal (words of change); radgraph=WEIGHTS; chexbert=ANSWERS.csv,REFERENCES.csv (of its label.py)",
    )
    verb.add_argument("--no-meteor", action="store_true", help="leave out METEOR, which is slow and needs Java")
    verb.add_argument("--replicates", type=positive, default=1000, help="draws of patients for intervals and p values")


def run(options: argparse.Namespace) -> None:
    """Score, or choose a threshold."""
    check_file(options.out)
    check_file(options.save_idf)
    if options.risk is not None or options.coverage is not None:
        from intervalchange.evaluation.scoring.threshold import threshold_command

        threshold_command(options.files, risk=options.risk, coverage=options.coverage, json=options.json)
        return
    from intervalchange.evaluation.scoring.score import score_command

    gc.disable()  # Answers hold no reference cycles; looking for some takes time.
    source = None
    if options.data is not None:
        from intervalchange.data.case_films import CaseFilms

        source = CaseFilms(options.data)
    score_command(
        options.files,
        json=options.json,
        out=options.out,
        source=source,
        reference=options.reference,
        form=options.format,
        split=options.split,
        partial=options.partial,
        idf=options.idf,
        save_idf=options.save_idf,
        metrics=options.metrics,
        extra=options.clinical,
        meteor=not options.no_meteor,
        replicates=options.replicates,
    )
