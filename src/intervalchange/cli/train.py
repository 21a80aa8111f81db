"""`intervalchange train`: a stage of a method into a run folder."""

from __future__ import annotations

import argparse
from pathlib import Path

from intervalchange.cli.arguments import check_folder
from intervalchange.errors import ConfigError

HELP = "train one stage of a method into a run folder; rerun it to resume"
EXAMPLES = """\
  intervalchange train --list
  intervalchange train real/answer --size paper --help
  intervalchange train real/answer --data prepared/sim --out runs/real --size small
  intervalchange train real/answer --data prepared/sim --out runs/plain --model.alignment false --train.seed 1
  intervalchange train set_difference/answer --data prepared/sim --data prepared/nih --mix 1:1 --out runs/both"""


def add_arguments(verb: argparse.ArgumentParser) -> None:
    """The options of the verb. Its --help waits for the stage, whose fields it prints."""
    verb.add_argument("stage", nargs="?", metavar="METHOD/STAGE")
    verb.add_argument("-h", "--help", action="store_true", help="this page; with METHOD/STAGE, every option it has")
    verb.add_argument("--list", action="store_true", help="every METHOD/STAGE with its sizes and what it needs")
    verb.add_argument("--data", type=Path, action="append", help="prepared folder; may repeat, to learn from several")
    verb.add_argument("--mix", default="", metavar="SHARES", help="of several --data in every batch, as in 3:1")
    verb.add_argument("--out", type=Path, help="run folder")
    verb.add_argument("--size", default="small", help="tiny, small or paper, or a preset file of your own")
    verb.add_argument(
        "--from",
        dest="sources",
        action="append",
        default=[],
        metavar="RUN",
        help="start from the weights of a run; may repeat",
    )
    verb.add_argument_group(
        "overrides of the preset",
        "--model.NAME VALUE and --train.NAME VALUE, as often as needed; `train METHOD/STAGE --help` lists them",
    )
    verb.set_defaults(page=verb.print_help)


def run(options: argparse.Namespace) -> None:
    """Train, or print the list or the page that is asked for."""
    if options.help:
        _print_help(options)
        return
    if options.list:
        from intervalchange.training import print_stages

        print_stages()
        return
    needed = (("METHOD/STAGE", options.stage), ("--data", options.data), ("--out", options.out))
    missing = [name for name, value in needed if value is None]
    if missing:
        raise ConfigError(f"train needs {', '.join(missing)}.", remedy="See `intervalchange train --help`.")
    check_folder(options.out)
    from intervalchange.training import train

    train(
        options.stage,
        options.data,
        options.out,
        size=options.size,
        sources=options.sources,
        overrides=options.overrides,
        mix=options.mix,
    )


def _print_help(options: argparse.Namespace) -> None:
    if options.stage is None:
        options.page()
        return
    from intervalchange.cli.stage_options import stage_page

    print(stage_page(options.stage, options.size))
