"""The options of `predict --zero-shot`; the work is in `zero_shot.py`, which is imported when it is asked for."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from intervalchange.tasks.zero_shot import ZeroShotOptions


def add_zero_shot_options(verb: argparse.ArgumentParser) -> None:
    """To the verb `predict`."""
    group = verb.add_argument_group("runs that have seen films with reports, without training")
    group.add_argument(
        "--zero-shot",
        nargs="?",
        const="",
        default=None,
        metavar="PROMPTS",
        help="classify films by what they are most like of what can be said, and retrieve reports; with a YAML file of "
        "prompts, or those of the package",
    )
    group.add_argument(
        "--labels", nargs="+", default=[], metavar="NAME", help="classes; else the five of CheXpert, or what there is"
    )
    group.add_argument("--films", type=Path, default=None, metavar="CSV", help="only these, e.g. chexpert_5x200.csv")
    group.add_argument(
        "--standard",
        type=Path,
        default=None,
        metavar="JSON",
        help="written by --zero-shot on other films: z-scores too",
    )


def zero_shot_options(options: argparse.Namespace) -> ZeroShotOptions:
    """What the options ask."""
    from intervalchange.tasks.zero_shot import ZeroShotOptions

    prompts = Path(options.zero_shot) if options.zero_shot else None
    return ZeroShotOptions(tuple(options.labels), prompts, options.films, options.standard)
