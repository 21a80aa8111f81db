"""`intervalchange evaluate`: what a run that answers no question is worth."""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

from intervalchange.cli.arguments import RUN_HELP, SPLITS, check_file, positive, write_text
from intervalchange.errors import ConfigError

if TYPE_CHECKING:
    from intervalchange.tasks.zero_shot import ZeroShotOptions

HELP = "measure a run over films: labels, boxes, masks; or zero-shot classification and retrieval"
EXAMPLES = """\
  intervalchange evaluate runs/masks --data prepared/siim --out masks.json
  intervalchange evaluate runs/align --data prepared/sim --zero-shot
  intervalchange evaluate runs/align --data prepared/sim --zero-shot edema "pleural effusion" --split val --out val.json
  intervalchange evaluate runs/align --data prepared/sim --zero-shot edema "pleural effusion" --standard val.json"""


def add_arguments(verb: argparse.ArgumentParser) -> None:
    """The options of the verb."""
    verb.add_argument("run_folder", metavar="RUN", help=RUN_HELP)
    verb.add_argument("--data", type=Path, required=True, help="prepared folder")
    verb.add_argument("--split", choices=SPLITS, default="test")
    verb.add_argument("--out", type=Path, default=None, metavar="JSON", help="also write the metrics to this file")
    verb.add_argument("--batch-size", type=positive, default=32)
    group = verb.add_argument_group("without training, for runs that were trained on films with their reports")
    group.add_argument(
        "--zero-shot",
        nargs="*",
        default=None,
        metavar="LABEL",
        help="classify films by their similarity to prompts, and retrieve reports; the classes are these, or else the "
        "five of CheXpert, or those that data and prompts share",
    )
    group.add_argument("--prompts", type=Path, default=None, metavar="YAML", help="your prompts instead of ours")
    group.add_argument("--films", type=Path, default=None, metavar="CSV", help="only these, e.g. chexpert_5x200.csv")
    group.add_argument(
        "--per-class",
        type=positive,
        default=None,
        metavar="N",
        help="at most N films per class, which show it and nothing else, e.g. 200 for CheXpert 5x200",
    )
    group.add_argument(
        "--form",
        choices=("ours", "published"),
        default=None,
        help="published: prompts, pooling and standardisation as in GLoRIA",
    )
    group.add_argument(
        "--standard",
        type=Path,
        default=None,
        metavar="JSON",
        help="what --zero-shot wrote on other films: its means and deviations give z-scores too",
    )


def run(options: argparse.Namespace) -> None:
    """Measure, and print one JSON object."""
    check_file(options.out)
    zero_shot = _zero_shot(options)
    from intervalchange.runs import evaluate

    metrics = evaluate(
        options.run_folder, options.data, split=options.split, zero_shot=zero_shot, batch_size=options.batch_size
    )
    # What is not defined (the AUROC of one class) is null: NaN is no JSON.
    plain = {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in metrics.items()
    }
    text = json.dumps(plain, indent=1)
    if options.out is not None:
        write_text(options.out, text + "\n")
    print(text)


def _zero_shot(options: argparse.Namespace) -> ZeroShotOptions | None:
    """The options of zero-shot as a record; None without --zero-shot."""
    if options.zero_shot is None:
        for name in ("prompts", "films", "standard", "per_class", "form"):
            if getattr(options, name) is not None:
                flag = name.replace("_", "-")
                raise ConfigError(f"--{flag} belongs to --zero-shot.", remedy="Add --zero-shot, or leave it out.")
        return None
    from intervalchange.tasks.zero_shot import ZeroShotOptions

    return ZeroShotOptions(
        tuple(options.zero_shot),
        options.prompts,
        options.films,
        options.standard,
        options.per_class or 0,
        options.form or "ours",
    )
