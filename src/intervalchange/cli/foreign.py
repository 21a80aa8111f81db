"""The options of `predict` and `check` for models of others: `openai:URL#MODEL` and `hf:NAME`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from intervalchange.cli.arguments import named, positive

if TYPE_CHECKING:
    from intervalchange.foreign_models.records import ForeignOptions

FOREIGN_HELP = "openai:URL#MODEL or hf:NAME"
ABOUT = """\
openai:URL#MODEL is asked by OpenAI's chat completions (vLLM, SGLang, llama.cpp, ollama, services),
with the key in the environment variable INTERVALCHANGE_API_KEY, if there is one.
hf:NAME is a folder or hub name of transformers (AutoModelForImageTextToText).
The prompt is printed, and written into the answers."""
ANSWER_FORMS = ("prose", "table", "json")
FIELDS = (
    *("profile", "answer_as", "prompt", "max_tokens", "samples"),
    *("concurrency", "timeout", "patience", "allow_remote", "own_server", "parameters"),
)


def add_foreign_options(verb: argparse.ArgumentParser) -> None:
    """Add them as a group of their own."""
    group = verb.add_argument_group(
        "models of others",
        ABOUT,
    )
    group.add_argument(
        "--profile",
        default=None,
        metavar="NAME",
        help="how the model wants to be asked: libra, maira-2, medgemma, qwen-vl, none (by its name)",
    )
    group.add_argument("--answer-as", choices=ANSWER_FORMS, default="prose", help="what the prompt asks for")
    group.add_argument(
        "--prompt", type=Path, default=None, metavar="FILE", help="a prompt of your own, with {question} in it"
    )
    group.add_argument("--max-tokens", type=positive, default=None, metavar="N", help="of one answer (512)")
    group.add_argument(
        "--samples",
        type=positive,
        default=0,
        metavar="K",
        help="confidence from K more answers, drawn at temperature 1: how many agree (from the probability of tokens)",
    )
    group.add_argument(
        "--parameter",
        dest="parameters",
        type=_parameter,
        action="append",
        default=[],
        metavar="NAME=JSON",
        help="a further field of the request (openai:) or of generate (hf:), as top_p=0.9; null takes one out",
    )
    group.add_argument(
        "--concurrency", type=positive, default=None, metavar="N", help="openai: requests open at once (8)"
    )
    group.add_argument(
        "--timeout", type=_seconds, default=None, metavar="SECONDS", help="openai: for one request (120)"
    )
    group.add_argument(
        "--patience",
        type=_seconds,
        default=None,
        metavar="SECONDS",
        help="openai: for one question, retries and all (600)",
    )
    group.add_argument("--allow-remote", action="store_true", help="openai: films may be sent to another machine")
    group.add_argument(
        "--own-server",
        action="store_true",
        help="openai: and it is your own, so that films of restricted data sets (MIMIC) may be sent to it",
    )


def foreign_options(options: argparse.Namespace) -> ForeignOptions:
    """Those that were given."""
    from intervalchange.foreign_models.records import ForeignOptions

    given = {name: getattr(options, name) for name in FIELDS}
    return ForeignOptions(**{**given, "parameters": dict(given["parameters"])})


def _parameter(text: str) -> tuple[str, Any]:
    name, value = named(text)
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 1e6:
        raise argparse.ArgumentTypeError(f"{text} is not a number of seconds")
    return seconds
