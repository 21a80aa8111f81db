"""`intervalchange challenge`: a test cohort that nobody can see before the entries are closed."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from intervalchange.cli.arguments import check_folder, positive

HELP = "set a challenge whose test cohort is simulated from a secret seed, enter models, reveal it"
EXAMPLES = """\
  intervalchange challenge new challenges/spring --patients 300
  intervalchange challenge enter challenges/spring runs/real --name real
  intervalchange challenge reveal challenges/spring --secret challenges/spring.secret.json
  intervalchange challenge reveal challenges/spring"""


def add_arguments(verb: argparse.ArgumentParser) -> None:
    """The steps, and the options of each."""
    steps = verb.add_subparsers(dest="step", metavar="STEP", required=True, parser_class=argparse.ArgumentParser)
    new = steps.add_parser("new", help="draw a secret seed and publish the commitment to it", allow_abbrev=False)
    new.add_argument("folder", type=Path, metavar="FOLDER", help="of the challenge: a git repository, or part of one")
    new.add_argument("--patients", type=positive, default=300)
    new.add_argument("--pixels", type=positive, default=512, help="side of the films")
    new.add_argument("--style", choices=("a", "b"), default="a", help="b: another film chain, never for training")
    new.add_argument("--prevalence", choices=("teaching", "openi"), default="teaching")
    new.add_argument("--closes", default="", metavar="DATE", help="last day of entries, as 2030-12-31; none by default")
    new.add_argument(
        "--secret", type=Path, default=None, help="file of the secret (mode 600); FOLDER.secret.json by default"
    )
    enter = steps.add_parser("enter", help="enter a model, or check that it is the one entered", allow_abbrev=False)
    enter.add_argument("folder", type=Path, metavar="FOLDER")
    enter.add_argument("run_folder", type=Path, metavar="RUN", help="run folder, or one file of weights")
    enter.add_argument("--name", required=True, help="of the model in the results table")
    reveal = steps.add_parser("reveal", help="check the commitment and simulate the cohort", allow_abbrev=False)
    reveal.add_argument("folder", type=Path, metavar="FOLDER")
    reveal.add_argument("--secret", type=Path, default=None, help="for the organiser: publishes the seed")
    reveal.add_argument("--workers", type=positive, default=None, help="processes; one per core by default")


def run(options: argparse.Namespace) -> None:
    """Take the step."""
    check_folder(options.folder)
    {"new": _new, "enter": _enter, "reveal": _reveal}[options.step](options)


def _new(options: argparse.Namespace) -> None:
    from intervalchange.challenge.commitment import CohortOptions
    from intervalchange.challenge.steps import new_challenge, secret_path

    cohort = CohortOptions(options.patients, options.pixels, options.style, options.prevalence)
    challenge = new_challenge(options.folder, cohort, closes=options.closes, secret=options.secret)
    print(challenge.commitment)
    hidden = options.secret or secret_path(options.folder)
    print(f"publish {options.folder}; keep {hidden}: without it nobody can reveal the cohort", file=sys.stderr)


def _enter(options: argparse.Namespace) -> None:
    from intervalchange.challenge.steps import enter_model

    entry = enter_model(options.folder, options.run_folder, options.name)
    print(entry.sha256)
    print(f"{entry.name} is entered since {entry.entered}", file=sys.stderr)


def _reveal(options: argparse.Namespace) -> None:
    from intervalchange.challenge.steps import reveal_challenge

    revealed = reveal_challenge(options.folder, secret=options.secret, workers=options.workers)
    print(f"the commitment holds; the cohort is in {revealed.cohort}", file=sys.stderr)
    if revealed.films_differ:
        print(
            f"warning: the questions are the organiser's, the films differ in pixels. Made with {revealed.versions}",
            file=sys.stderr,
        )
