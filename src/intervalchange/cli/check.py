"""`intervalchange check`: the consistency suite."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from intervalchange.cli.arguments import SPLITS, check_file, positive, write_text
from intervalchange.errors import IntervalChangeError

HELP = "ask a model questions it should answer consistently: films swapped, one film twice, three visits, other words"
EXAMPLES = """\
  intervalchange check demo --data prepared/sim --limit 150 --out suite.html
  intervalchange check demo runs/real --data prepared/sim --split val"""


def add_arguments(verb: argparse.ArgumentParser) -> None:
    """The options of the verb."""
    verb.add_argument(
        "models", nargs="+", metavar="RUN", help="run folder, demo, or http(s):// endpoint; several side by side"
    )
    verb.add_argument("--data", type=Path, required=True, help="prepared folder")
    verb.add_argument("--split", choices=SPLITS, default="test")
    verb.add_argument("--limit", type=positive, default=None, help="at most this many pairs, spread evenly")
    verb.add_argument(
        "--out", type=Path, default=None, help="suite.html or suite.json, else JSON on standard output; rerun to resume"
    )


def run(options: argparse.Namespace) -> None:
    """Ask every model, and write the page or JSON. Answers are kept beside --out until all of them are in."""
    check_file(options.out)
    from intervalchange.consistency.kept_answers import KeptAnswers
    from intervalchange.consistency.page import consistency_page
    from intervalchange.consistency.suite import answerer_of, run_suite
    from intervalchange.data.prepared import Prepared

    kept = options.out.with_suffix(".answers.jsonl") if options.out is not None else None
    try:
        prepared, keep = Prepared(options.data), KeptAnswers(kept) if kept is not None else None
        scores = [
            run_suite(answerer_of(model), prepared, options.split, name=model, limit=options.limit, keep=keep)
            for model in options.models
        ]
    except (IntervalChangeError, KeyboardInterrupt):
        if kept is not None and kept.exists():
            print(f"The answers so far are in {kept}: the same command asks only what is left.", file=sys.stderr)
        raise
    plain = json.dumps([score.as_json() for score in scores], indent=1) + "\n"
    if options.out is None:
        sys.stdout.write(plain)
    else:
        write_text(options.out, consistency_page(scores) if options.out.suffix == ".html" else plain)
    if kept is not None:
        kept.unlink(missing_ok=True)
