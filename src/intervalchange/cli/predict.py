"""`intervalchange predict`: the answers of a run to every case of a split."""

from __future__ import annotations

import argparse
from pathlib import Path

from intervalchange.cli.arguments import RUN_HELP, SPLITS, Moved, check_file, positive

HELP = "answer every case of a split; rerun it to resume"
EXAMPLES = """\
  intervalchange predict runs/real --data prepared/sim --out predictions.jsonl --controls
  intervalchange predict demo --data prepared/mine --split all --out demo.jsonl"""


def add_arguments(verb: argparse.ArgumentParser) -> None:
    """The options of the verb."""
    verb.add_argument("run_folder", metavar="RUN", help=RUN_HELP)
    verb.add_argument("--data", type=Path, required=True, help="prepared folder")
    verb.add_argument("--split", choices=SPLITS, default="test")
    verb.add_argument("--out", type=Path, default=Path("predictions.jsonl"))
    verb.add_argument(
        "--controls", action="store_true", help="also with the films exchanged, one film twice, and blank"
    )
    verb.add_argument(
        "--all-kinds", action="store_true", help="all seven question types, not only those it was trained on"
    )
    verb.add_argument(
        "--abstain-at",
        type=float,
        default=None,
        metavar="P",
        help="mark answers whose confidence is below P as abstained",
    )
    verb.add_argument("--batch-size", type=positive, default=32)
    verb.add_argument(
        "--zero-shot", action=Moved, const="intervalchange evaluate RUN --data PREPARED --zero-shot [LABEL ...]"
    )


def run(options: argparse.Namespace) -> None:
    """Answer."""
    check_file(options.out)
    from intervalchange.runs import predict

    predict(
        options.run_folder,
        options.data,
        options.out,
        split=options.split,
        controls=options.controls,
        all_kinds=options.all_kinds,
        batch_size=options.batch_size,
        abstain_at=options.abstain_at,
    )
