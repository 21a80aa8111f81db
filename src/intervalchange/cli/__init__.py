"""The command line: one module per verb. Each imports its work when it runs, so that `--help` is quick."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from intervalchange import __version__
from intervalchange.cli import (
    answer,
    challenge,
    check,
    evaluate,
    predict,
    prepare,
    score,
    serve,
    simulate,
    train,
    watch,
)
from intervalchange.cli.arguments import VerbParser
from intervalchange.errors import IntervalChangeError
from intervalchange.extras import missing_package
from intervalchange.policy import RESEARCH_USE

VERBS = {
    "simulate": simulate,
    "prepare": prepare,
    "train": train,
    "predict": predict,
    "evaluate": evaluate,
    "answer": answer,
    "serve": serve,
    "watch": watch,
    "score": score,
    "check": check,
    "challenge": challenge,
}
"""Verb -> its module: HELP, EXAMPLES, `add_arguments(parser)` and `run(options)`."""


def parser() -> argparse.ArgumentParser:
    """The command line, with examples for every verb."""
    root = argparse.ArgumentParser(
        prog="intervalchange",
        description=f"What has changed between two chest radiographs: answer, train, compare. {RESEARCH_USE}",
        epilog="Each verb has --help with examples. Exit codes: 0 done, 1 our fault, 2 the input's fault.",
    )
    root.add_argument("--version", action="version", version=f"intervalchange {__version__}")
    verbs = root.add_subparsers(dest="verb", metavar="VERB", required=True, parser_class=VerbParser)
    for name, module in VERBS.items():
        verb = verbs.add_parser(
            name,
            help=module.HELP,
            description=module.HELP[0].upper() + module.HELP[1:] + ".",
            epilog=f"examples:\n{module.EXAMPLES}\n\n{RESEARCH_USE}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
            add_help=name != "train",
        )
        module.add_arguments(verb)
        verb.set_defaults(run=module.run)
    return root


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a verb. Returns the exit code."""
    root = parser()
    options, rest = root.parse_known_args(arguments)
    if rest and options.verb != "train":
        root.error(f"unrecognized arguments: {' '.join(rest)}")
    options.overrides = rest
    try:
        options.run(options)
    except IntervalChangeError as problem:
        return _refused(options.verb, problem)
    except ModuleNotFoundError as problem:
        missing = missing_package(problem, options.verb)
        if missing is None:
            raise
        return _refused(options.verb, missing)
    except KeyboardInterrupt:
        print("\nstopped; rerun the command to resume", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 0
    return 0


def _refused(verb: str, problem: IntervalChangeError) -> int:
    print(f"intervalchange {verb}: {problem}", file=sys.stderr)
    return problem.exit_code


if __name__ == "__main__":
    sys.exit(main())
