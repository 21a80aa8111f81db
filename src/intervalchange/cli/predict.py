"""`intervalchange predict`: the answers of a model to every case of a split."""

from __future__ import annotations

import argparse
from pathlib import Path

from intervalchange.cli.arguments import RUN_HELP, SPLITS, Moved, check_file, positive
from intervalchange.cli.foreign import FOREIGN_HELP, add_foreign_options, foreign_options

HELP = "answer every case of a split, with any model; rerun it to resume"
EXAMPLES = """\
  intervalchange predict runs/real --data prepared/sim --out predictions.jsonl --controls
  intervalchange predict demo --data prepared/mine --split all --out demo.jsonl
  intervalchange predict openai:http://127.0.0.1:8000/v1#MODEL --data prepared/sim --out vllm.jsonl --controls
  intervalchange predict hf:models/vlm --data prepared/sim --out vlm.jsonl --batch-size 8 --max-tokens 128"""


def add_arguments(verb: argparse.ArgumentParser) -> None:
    """The options of the verb."""
    verb.add_argument("run_folder", metavar="RUN", help=f"{RUN_HELP}; {FOREIGN_HELP}")
    verb.add_argument("--data", type=Path, required=True, help="prepared folder")
    verb.add_argument("--split", choices=SPLITS, default="test")
    verb.add_argument("--out", type=Path, default=Path("predictions.jsonl"))
    verb.add_argument(
        "--controls", action="store_true", help="also with the films exchanged, one film twice, and blank"
    )
    verb.add_argument(
        "--all-kinds",
        action="store_true",
        help="all seven question types, not only those it was trained on (models of others: what has changed)",
    )
    verb.add_argument(
        "--abstain-at",
        type=float,
        default=None,
        metavar="P",
        help="mark answers whose confidence is below P as abstained",
    )
    verb.add_argument("--batch-size", type=positive, default=None, help="answered together (32; hf: 4)")
    verb.add_argument(
        "--zero-shot", action=Moved, const="intervalchange evaluate RUN --data PREPARED --zero-shot [LABEL ...]"
    )
    add_foreign_options(verb)


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
        foreign=foreign_options(options),
    )
