"""`intervalchange watch`: a run beside an archive, which answers each new study once."""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from intervalchange.cli.arguments import RUN_HELP, positive
from intervalchange.cli.serve import check_token, token_given
from intervalchange.errors import ConfigError
from intervalchange.policy import RESEARCH_USE

if TYPE_CHECKING:
    from intervalchange.archive.interface import Archive
    from intervalchange.archive.pairs import Films
    from intervalchange.serving.inbox import Inbox
    from intervalchange.serving.study_filer import StudyFiler
    from intervalchange.serving.watcher import Outcome

HELP = "answer each new study of a DICOM archive, and file the answer there"
EXAMPLES = """\
  intervalchange watch demo --archive http://127.0.0.1:8042/dicom-web
  intervalchange watch demo --archive dicom://ORTHANC@127.0.0.1:4242 --listen 11112
  intervalchange watch demo --in films --out answers"""
IN, OUT = "MERCURE_IN_DIR", "MERCURE_OUT_DIR"
"""Where a router says which folders it means."""
STATE = Path("watch-state")
ALWAYS = ("state", "every", "settle", "days", "backlog", "listen", "listen_web", "host", "senders", "viewer")
"""Options that a single pass over a folder has no use for."""


def add_arguments(verb: argparse.ArgumentParser) -> None:
    """The options of the verb."""
    verb.add_argument("run_folder", metavar="RUN", help=RUN_HELP)
    verb.add_argument(
        "--archive",
        metavar="ADDRESS",
        help="DICOMweb (http://HOST:PORT/dicom-web; name:password in INTERVALCHANGE_ARCHIVE_USER) or DIMSE "
        "(dicom://TITLE@HOST:PORT)",
    )
    once = verb.add_argument_group("once, on a folder")
    once.add_argument(
        "--in",
        dest="inside",
        type=Path,
        help=f"answer the last study of each patient in this folder, and end; default: ${IN}",
    )
    once.add_argument("--out", dest="outside", type=Path, help=f"where the answers go; default: ${OUT}")
    always = verb.add_argument_group("always")
    always.add_argument("--state", type=Path, default=STATE, help=f"what was answered (default: {STATE})")
    always.add_argument("--every", type=positive, default=5, help="seconds between two looks (default: 5)")
    always.add_argument("--settle", type=_none_or_more, default=10, help="seconds that a study may grow (default: 10)")
    always.add_argument(
        "--days", type=_none_or_more, default=3, help="look at studies of the last days; 0: all (default: 3)"
    )
    always.add_argument("--backlog", action="store_true", help="answer what is there already when it is first begun")
    always.add_argument("--listen", metavar="PORT", type=int, help="take films by C-STORE as well")
    always.add_argument("--listen-web", metavar="PORT", type=int, help="take films by STOW-RS (PORT/dicom-web)")
    always.add_argument("--host", default="127.0.0.1", help="where to listen; default: this machine alone")
    always.add_argument("--senders", metavar="TITLE", nargs="+", default=[], help="who may send by C-STORE")
    always.add_argument("--title", default="INTERVALCHANGE", help="our own title in DIMSE (default: INTERVALCHANGE)")
    always.add_argument("--viewer", metavar="URL", default="", help="of OHIF, for links that open both studies")
    verb.add_argument("--same-day", action="store_true", help="a prior may be of the same date, at an earlier time")
    verb.add_argument(
        "--take-unsaid",
        action="store_true",
        help="take films that do not say whether they are frontal or of the chest",
    )
    verb.add_argument("--pdf", action="store_true", help="file a PDF as well")
    verb.set_defaults(unset={name: verb.get_default(name) for name in ALWAYS})


def _none_or_more(text: str) -> int:
    return 0 if text == "0" else positive(text)


def run(options: argparse.Namespace) -> None:
    """Once on a folder, or until stopped."""
    inside, outside = options.inside or _path(IN), options.outside or _path(OUT)
    if (inside is None) != (outside is None):
        raise ConfigError("--in and --out belong together.", remedy="Give both, or neither.")
    if inside is None and not options.archive:
        raise ConfigError("there is nothing to watch.", remedy="Give --archive ADDRESS, or --in and --out.")
    _check_listening(options)
    if inside is not None and outside is not None:
        given = [name for name in ALWAYS if getattr(options, name) != options.unset[name]]
        if given:
            flag = f"--{given[0].replace('_', '-')}"
            raise ConfigError(f"{flag} says nothing of a folder.", remedy=f"Leave out {flag}, or --in and --out.")
        _once(options, inside, outside)
    else:
        _always(options)


def _path(variable: str) -> Path | None:
    return Path(os.environ[variable]) if os.environ.get(variable) else None


def _check_listening(options: argparse.Namespace) -> None:
    from intervalchange.foreign_models.addresses import is_loopback

    listens = options.listen is not None or options.listen_web is not None
    if not listens and options.host != "127.0.0.1":
        raise ConfigError("--host is for --listen and --listen-web.", remedy="Give --listen PORT.")
    if options.listen is None and options.senders:
        raise ConfigError("--senders are for --listen.", remedy="Give --listen PORT.")
    if is_loopback(options.host):
        return
    if options.listen is not None and not options.senders:
        raise ConfigError(
            f"{options.host} can be reached from other machines, and nobody is named who may send.",
            remedy="Name the titles of the senders: --senders MODALITY ROUTER.",
        )
    if options.listen_web is not None:
        check_token(options.host)


def _filer(options: argparse.Namespace, archive: Archive, inbox: Films | None = None) -> StudyFiler:
    from intervalchange.archive.pairs import PairFinder, PairRules
    from intervalchange.inference import load
    from intervalchange.serving.study_filer import StudyFiler

    finder = PairFinder(archive, PairRules(options.take_unsaid, options.same_day), inbox)
    return StudyFiler(load(options.run_folder), finder, pdf=options.pdf)


def _once(options: argparse.Namespace, inside: Path, outside: Path) -> None:
    from intervalchange.archive.addresses import open_archive
    from intervalchange.atomic_files import write_durably
    from intervalchange.serving.folder import FolderArchive
    from intervalchange.serving.watcher import file_once

    behind = open_archive(options.archive, options.title) if options.archive else None
    archive = FolderArchive(inside, outside, behind)
    filer = _filer(options, archive)
    try:
        outcomes = file_once(filer, archive.newest_studies())
    finally:
        filer.close()
    for outcome in outcomes:
        _say(outcome.line)
    plain = [_plain(outcome) for outcome in outcomes]
    write_durably(outside / "result.json", json.dumps({"studies": plain, "notice": RESEARCH_USE}, indent=1).encode())


def _always(options: argparse.Namespace) -> None:
    from intervalchange.archive.addresses import open_archive
    from intervalchange.serving.inbox import Inbox
    from intervalchange.serving.ledger import Ledger
    from intervalchange.serving.watcher import Watcher, WatchOptions, watch

    listens = options.listen is not None or options.listen_web is not None
    inbox = Inbox(options.state / "inbox") if listens else None
    filer = _filer(options, open_archive(options.archive, options.title), inbox)
    when = WatchOptions(
        float(options.every), float(options.settle), options.days, options.backlog, viewer=options.viewer
    )
    watcher = Watcher(filer, Ledger(options.state / "ledger.sqlite"), when, inbox)
    for library in ("pynetdicom", "dicomweb_client", "pydicom"):  # Their lines may quote a header.
        logging.getLogger(library).addHandler(logging.NullHandler())
        logging.getLogger(library).propagate = False
    _say(f"watching (ctrl-c ends it)\n{RESEARCH_USE}")
    with ExitStack() as open_now:
        open_now.callback(signal.signal, signal.SIGTERM, signal.signal(signal.SIGTERM, _interrupt))
        open_now.callback(watcher.close)
        if inbox is not None:
            _listen(inbox, options, open_now)
        watch(watcher, _say, lambda outcome: print(json.dumps(_plain(outcome)), flush=True))


def _listen(inbox: Inbox, options: argparse.Namespace, open_now: ExitStack) -> None:
    """Take films as the options say, until `open_now` is closed."""
    from intervalchange.foreign_models.addresses import is_loopback
    from intervalchange.serving.inbox import listen
    from intervalchange.serving.limits import Limits
    from intervalchange.serving.stow import listen_web, stow_app

    if options.listen is not None:
        server = listen(inbox, options.host, options.listen, options.title, options.senders, Limits())
        open_now.callback(server.shutdown)
    if options.listen_web is not None:
        app = stow_app(inbox, Limits(), token_given(), is_loopback(options.host))
        web = listen_web(app, options.host, options.listen_web)
        open_now.callback(setattr, web, "should_exit", True)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _plain(outcome: Outcome) -> dict[str, object]:
    """For the program that reads standard output; people read standard error, where no UID is."""
    plain: dict[str, object] = {"study": outcome.study, "state": outcome.state, "why": outcome.why}
    plain |= {"prior": outcome.prior} if outcome.prior else {}
    plain |= {"link": outcome.link} if outcome.link else {}
    return {**plain, "seconds": round(outcome.seconds, 3)}
