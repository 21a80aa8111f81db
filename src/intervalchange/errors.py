"""What can go wrong, each with what to do next.

IntervalChangeError
├── InputError            the input's fault: exit code 2
│   ├── ImageError        a film that cannot be read or must not be
│   ├── SourceError       a data set folder or table that is not what it should be
│   └── ConfigError       an option, preset or configuration that does not fit
├── RunError              a run folder that cannot be used as asked: exit code 2
└── MissingPackageError   a package of an extra that is not installed: exit code 2; an ImportError too
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


class IntervalChangeError(Exception):
    """Base of every error raised on purpose.

    what: what is wrong. where: the file it is in. remedy: what to do next.
    """

    exit_code = 2

    def __init__(self, what: str, *, where: str | Path | None = None, remedy: str = "") -> None:
        self.what, self.where, self.remedy = what, where, remedy
        text = f"{where}: {what}" if where is not None else what
        super().__init__(f"{text} {remedy}".strip())


class InputError(IntervalChangeError):
    """The input's fault."""


class ImageError(InputError):
    """A film that cannot be read, or that must not be read without --force."""


class SourceError(InputError):
    """A data set folder, table or predictions file that is not what it should be."""


class ConfigError(InputError):
    """An option, preset or configuration that does not fit."""


class RunError(IntervalChangeError):
    """A run folder that cannot be used as asked."""


class MissingPackageError(IntervalChangeError, ImportError):
    """A package that one of our extras brings is not installed."""


def did_you_mean(name: str, known: Iterable[str], otherwise: str = "") -> str:
    """The remedy for a mistyped name: the closest known one; where none is close, `otherwise`, or all of them."""
    import difflib

    names = list(known)
    close = difflib.get_close_matches(name, names, n=1)
    return f"Did you mean {close[0]!r}?" if close else otherwise or f"Known: {', '.join(names)}."
