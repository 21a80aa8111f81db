"""What the verbs share: how a word is read, and whether a path can be written to. Imports nothing heavy."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from intervalchange.errors import ConfigError

SPLITS = ("test", "val", "train", "all")
RUN_HELP = "run folder, hub name, or demo"


class VerbParser(argparse.ArgumentParser):
    """A parser with an optional positional, named `late`, that may also stand after the options.

    Plain argparse gives an optional positional its default as soon as the first option comes, and then refuses it.
    """

    late = ""

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """As in argparse; a word that is left over is the late positional, if nothing was given for it before."""
        options, rest = super().parse_known_args(args, namespace)
        left_over = len(rest) == 1 and not rest[0].startswith("-")
        if self.late and left_over and getattr(options, self.late) == self.get_default(self.late):
            setattr(options, self.late, rest.pop())
        return options, rest


class Moved(argparse.Action):
    """An option that another verb has now; `const` says how it is written there."""

    def __init__(self, option_strings: Sequence[str], dest: str, const: str) -> None:
        super().__init__(option_strings, dest, nargs="?", const=const, default=None, help=argparse.SUPPRESS)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        """Refuse it."""
        parser.error(f"{self.option_strings[0]} has moved: use `{self.const}`")


def positive(text: str) -> int:
    """A whole number above 0."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return int(text)


def named(text: str) -> tuple[str, str]:
    """NAME=VALUE -> (name, value), the name as Python writes it."""
    name, sign, value = text.partition("=")
    if not name or not sign:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name.strip().replace("-", "_"), value


def check_file(path: Path | None) -> None:
    """Raise ConfigError where no file can be written at a path. The folders above it need not exist yet."""
    if path is None:
        return
    if path.is_dir():
        raise ConfigError("this is a folder.", where=path, remedy="Name a file in it.")
    check_folder(path.parent)
    if os.path.exists(path) and not os.access(path, os.W_OK):
        raise ConfigError("this file may not be overwritten.", where=path, remedy="Choose another path.")


def check_folder(path: Path) -> None:
    """Raise ConfigError where no folder can be made, or written to, at a path."""
    existing = next(folder for folder in (path, *path.parents, Path("/")) if os.path.exists(folder))
    if not existing.is_dir():
        raise ConfigError(f"{existing} is a file, not a folder.", where=path, remedy="Choose another path.")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise ConfigError(f"you may not write to {existing}.", where=path, remedy="Choose another path.")


def write_text(path: Path, text: str) -> None:
    """Write a file that `check_file` has passed, with the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
