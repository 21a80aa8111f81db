"""Words that act together, made one: "has not resolved" stays, "no longer seen" goes, "larger than on the prior" grows.

A sentence is a string of tags, one letter a word (`vocabulary`); a rule is a pattern over it and the letter that takes
the place of what it matches. Letters that only rules make: m no change; 0 nothing new; 1 no abnormality; o and p present
and absent on the prior; j and k the same on the current film; z on neither; ~ was absent, of an unnamed film.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from intervalchange.answers.tokens import Token

_FOLLOWED_BY_NAME = r"(?=[LdRaX]*[FOA])"
_AT_END = r"(?=[,.;:()&|b]|$)"

_RULES: tuple[tuple[str, str], ...] = (
    ("", r"[xi]?h[VUYJOTdRaF]{0,3}?[PC]|hJ?Z|h[JUVY]+|h"),
    ("p", r"u[VJYd]*P"),
    ("k", r"u[VJYd]*C"),
    ("B", r"X[VCd]*G|GX"),
    ("", r"X(?=[NWBS])"),
    ("G", r"Dr"),
    ("D", r"Dq"),
    ("m", r"D[VYTXaWBJ]{0,3}M[TY]?|MV?:?D" + _AT_END + r"|M:D"),
    ("S", r"D[VUYC]{0,2}G"),
    ("S", r"D[VUYXCJ]{0,2}[WB](?:[|&DV]{1,2}[WB])*"),
    ("D", r"DN" + _FOLLOWED_BY_NAME),
    ("0", r"D(?:a?N|NV?)T(?:[V]?Y)?"),
    ("S", r"(?<=[VUJFd])DN"),
    ("m", r"DN" + _AT_END),
    ("1", r"DT(?:V?Y)?"),
    ("G", r"EP|PE"),
    ("N", r"EC|CE"),
    ("z", r"D[VUYd]{0,2}Z|Z:?D|ZV?DY?"),
    ("p", r"P[:d]?[VUJ]?DY?|[VU]?DY?[VUd]?P|UDY?P"),
    ("k", r"C[:d]?[VUJ]?DY?|[V]?DY?[VUd]?C|VDY?"),
    ("~", r"UDY?" + _AT_END + r"|UDY"),
    ("k", r"DY"),
    ("o", r"[JV]?UY?P|P[:d]?UY?(?![WBLFNGOR])|[VU]?YP|P:?Y|YU|UY" ),
    ("j", r"VYC|C[:]?V?Y|YC|YV|VY"),
    ("S", r"YZ|VZ|UZ|ZV?Y|ZS|SZ"),
)

Rule = tuple[str, re.Pattern[str]]
_COMPILED: tuple[Rule, ...] = tuple((letter, re.compile(pattern)) for letter, pattern in _RULES)
_MATTERS: tuple[Callable[[str], bool], ...] = tuple(
    (lambda tags, letters=letters: any(letter in tags for letter in letters))  # type: ignore[misc]
    for letters in (
        *("h", "u", "u", "X", "X", "r", "q", "M", "D", "D", "N", "N", "N", "N", "T", "E", "E", "Z"),
        *("P", "CV", "U", "D", "PYU", "Y", "Z"),
    )
)


def rewritten(tokens: Sequence[Token]) -> list[Token]:
    """The tokens with the words that act together as one."""
    found = list(tokens)
    tags = "".join(token.tag for token in found)
    for (letter, pattern), matters in zip(_COMPILED, _MATTERS, strict=True):
        if not matters(tags):
            continue
        matches = list(pattern.finditer(tags))
        for match in reversed(matches):
            start, end = match.span()
            if start == end:
                continue
            inside = found[start:end]
            kept = [token for token in inside if token.tag in "Fd" ] if letter else []
            found[start:end] = [*kept, Token(letter, "", " ".join(token.word for token in inside))] if letter else kept
        if matches:
            tags = "".join(token.tag for token in found)
    return found
