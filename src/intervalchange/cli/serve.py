"""`intervalchange serve`: a run behind HTTP, with a page."""

from __future__ import annotations

import argparse
import os
import sys

from intervalchange.cli.arguments import RUN_HELP, positive
from intervalchange.errors import ConfigError
from intervalchange.policy import RESEARCH_USE

HELP = "answer over HTTP: a page for people, JSON for programs"
EXAMPLES = """\
  intervalchange serve demo
  intervalchange serve runs/real --port 8080
  intervalchange serve runs/real --host 0.0.0.0
  intervalchange serve demo --archive http://127.0.0.1:8042/dicom-web"""
TOKEN = "INTERVALCHANGE_TOKEN"
SHORTEST_TOKEN = 16


def add_arguments(verb: argparse.ArgumentParser) -> None:
    """The options of the verb."""
    verb.add_argument("run_folder", metavar="RUN", help=RUN_HELP)
    verb.add_argument(
        "--host",
        default="127.0.0.1",
        help=f"default: this machine alone; any other address needs a token in the environment variable {TOKEN}",
    )
    verb.add_argument("--port", type=int, default=7860, help="default: 7860")
    verb.add_argument("--archive", metavar="ADDRESS", help="answer about its studies too; as in `watch --archive`")
    verb.add_argument(
        "--waiting", type=positive, default=32, help="questions that may wait; one more gets 429 (default: 32)"
    )
    verb.add_argument("--deadline", type=positive, default=60, help="seconds a question may take (default: 60)")


def token_given() -> str:
    """What clients have to send; empty for none."""
    return os.environ.get(TOKEN, "")


def check_token(host: str) -> None:
    """Raises ConfigError for an address of other machines without a token that is long enough."""
    if len(token_given()) < SHORTEST_TOKEN:
        raise ConfigError(
            f"{host} can be reached from other machines, and {TOKEN} has no token of {SHORTEST_TOKEN} "
            "characters or more.",
            remedy=f"export {TOKEN}=$(openssl rand -hex 16), and put a proxy with TLS in front.",
        )


def run(options: argparse.Namespace) -> None:
    """Serve until stopped."""
    from intervalchange.foreign_models.addresses import is_loopback

    token, loopback = token_given(), is_loopback(options.host)
    if not loopback:
        check_token(options.host)
    import uvicorn

    from intervalchange.inference import load
    from intervalchange.serving.app import create_app
    from intervalchange.serving.limits import Limits

    limits = Limits(waiting=options.waiting, deadline=float(options.deadline))
    finder = None
    if options.archive:
        from intervalchange.archive.addresses import OUR_TITLE, open_archive
        from intervalchange.archive.pairs import PairFinder

        finder = PairFinder(open_archive(options.archive, OUR_TITLE))
    name = str(options.run_folder)
    app = create_app(load(options.run_folder), name, limits, token=token, loopback=loopback, finder=finder)
    shown = f"[{options.host}]" if ":" in options.host else options.host
    print(f"http://{shown}:{options.port}/   (ctrl-c ends it)\n{RESEARCH_USE}", file=sys.stderr)
    uvicorn.run(
        app, host=options.host, port=options.port, log_level="warning", access_log=False, server_header=False,
        limit_concurrency=4 * options.waiting, timeout_keep_alive=5, h11_max_incomplete_event_size=16384,
    )  # fmt: skip
