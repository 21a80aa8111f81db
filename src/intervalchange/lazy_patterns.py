"""Regular expressions that are compiled when they are first used: compiling all of an answer reader's takes longer than
everything else that importing it does."""

from __future__ import annotations

import re
from typing import Any, cast


class _Lazy:
    """Stands for a `re.Pattern`; each of its methods is the pattern's own from the first use on."""

    def __init__(self, text: str, flags: int) -> None:
        self._made_of = (text, flags)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        found = getattr(re.compile(*self._made_of), name)
        setattr(self, name, found)
        return found


def lazily(text: str, flags: int = 0) -> re.Pattern[str]:
    """`re.compile(text, flags)`, when it is first used.

    >>> lazily("b+").search("abba").group()
    'bb'
    """
    return cast("re.Pattern[str]", _Lazy(text, flags))
