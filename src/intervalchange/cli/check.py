"""`intervalchange check`: the consistency suite."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from intervalchange.cli.arguments import SPLITS, check_file, positive, write_text
from intervalchange.cli.foreign import FOREIGN_HELP, add_foreign_options, foreign_options
from intervalchange.errors import ConfigError, IntervalChangeError

HELP = "ask a model questions it should answer consistently: films swapped, one film twice, three visits, other words"
EXAMPLES = """\
  intervalchange check demo --data prepared/sim --limit 150 --out suite.html
  intervalchange check demo runs/real --data prepared/sim --split val
  intervalchange check openai:http://127.0.0.1:8000/v1#MODEL --data prepared/sim --limit 20 --out vllm.html"""


def add_arguments(verb: argparse.ArgumentParser) -> None:
    """The options of the verb."""
    verb.add_argument(
        "models",
        nargs="+",
        metavar="RUN",
        help=f"run folder, demo, http(s):// endpoint, {FOREIGN_HELP}; several side by side",
    )
    verb.add_argument("--data", type=Path, required=True, help="prepared folder")
    verb.add_argument("--split", choices=SPLITS, default="test")
    verb.add_argument("--limit", type=positive, default=None, help="at most this many pairs, spread evenly")
    verb.add_argument(
        "--out", type=Path, default=None, help="suite.html or suite.json, else JSON on standard output; rerun to resume"
    )
    add_foreign_options(verb)


def run(options: argparse.Namespace) -> None:
    """Ask every model, and write the page or JSON. Answers are kept beside --out until all of them are in."""
    check_file(options.out)
    from intervalchange.consistency.page import consistency_page
    from intervalchange.consistency.suite import SuiteScores, answerer_of, run_suite
    from intervalchange.data.prepared import Prepared
    from intervalchange.foreign_models.kept_answers import KeptAnswers
    from intervalchange.foreign_models.records import ForeignOptions, is_foreign

    foreign = foreign_options(options)
    if foreign != ForeignOptions() and not any(map(is_foreign, options.models)):
        raise ConfigError("none of these is a model of others.", remedy=f"Leave out what is for {FOREIGN_HELP}.")
    if foreign.samples:
        raise ConfigError("the suite uses no confidence.", remedy="Leave out --samples.")
    prepared, keep = Prepared(options.data), KeptAnswers.beside(options.out) if options.out is not None else None

    def scored(model: str) -> SuiteScores:
        answerer = answerer_of(model, prepared, foreign)
        if is_foreign(model):
            print(answerer, file=sys.stderr)
        return run_suite(answerer, prepared, options.split, name=model, limit=options.limit, keep=keep)

    try:
        scores = [scored(model) for model in options.models]
    except (IntervalChangeError, KeyboardInterrupt):
        if keep is not None and keep.path is not None and keep.path.exists():
            print(f"The answers so far are in {keep.path}: the same command asks only what is left.", file=sys.stderr)
        raise
    plain = json.dumps([score.as_json() for score in scores], indent=1) + "\n"
    if options.out is None:
        sys.stdout.write(plain)
    else:
        write_text(options.out, consistency_page(scores) if options.out.suffix == ".html" else plain)
    if keep is not None:
        keep.remove()
