"""`intervalchange simulate`: a simulated cohort on disk."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from intervalchange.cli.arguments import check_folder, positive
from intervalchange.policy import EVALUATION_SEED
from intervalchange.simulation.layouts import LAYOUTS, RELEASES

HELP = "write a simulated cohort in the on-disk layout of a real data set"
EXAMPLES = f"""\
  intervalchange simulate cohorts/sim --patients 500 --seed 0
  intervalchange simulate cohorts/eval --patients 300 --seed {EVALUATION_SEED} --pixels 256 --splits 0:0:1"""


def add_arguments(verb: argparse.ArgumentParser) -> None:
    """The options of the verb."""
    verb.add_argument("out", type=Path, metavar="OUT", help="folder to write")
    verb.add_argument("--patients", type=positive, default=500)
    verb.add_argument("--seed", type=int, default=0, help=f"seeds from {EVALUATION_SEED} on are for evaluation only")
    verb.add_argument("--layout", choices=tuple(LAYOUTS), default="mimic_diff_vqa")
    verb.add_argument("--splits", default="8:1:1", help="shares of patients in train:val:test")
    verb.add_argument("--style", choices=("a", "b"), default="a", help="b: another film chain, never for training")
    verb.add_argument(
        "--prevalence",
        choices=("teaching", "openi"),
        default="teaching",
        help="openi: findings as often, and as often together, as in the Open-i reports",
    )
    verb.add_argument(
        "--release",
        choices=RELEASES,
        default=RELEASES[0],
        help="of Medical-Diff-VQA: 1.0.0 has half of its difference rows the wrong way round; generator, as the "
        "published code, asks about a common area wherever a level has changed",
    )
    verb.add_argument("--pixels", type=positive, default=512, help="side of the films")
    verb.add_argument("--workers", type=positive, default=None, help="processes; one per core by default")


def run(options: argparse.Namespace) -> None:
    """Simulate."""
    check_folder(options.out)
    from intervalchange.simulation.cohort import simulate

    simulate(
        options.out,
        patients=options.patients,
        seed=options.seed,
        layout=options.layout,
        pixels=options.pixels,
        splits=options.splits,
        style=options.style,
        prevalence=options.prevalence,
        release=options.release,
        workers=options.workers,
    )
    print(f"wrote {options.out}: {options.patients} simulated patients, seed {options.seed}", file=sys.stderr)
