"""Words that act together, made one: "has not resolved" stays, "no longer seen" goes, "larger than on the prior" grows.

A sentence is a string of tags, one letter a word (`vocabulary`); a rule is a pattern over it and the letter that
takes the place of what it matches. Letters that only rules make: m no change; 0 nothing new; 1 no abnormality; o and
p present and absent on the prior; j and k the same on the current film; z on neither; ~ was absent, of an unnamed
film.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from functools import cache

from intervalchange.answers.tokens import Token
from intervalchange.answers.vocabulary import ANY_LONGER, DENIAL, FILM, MISSING
from intervalchange.lazy_patterns import lazily

_FOLLOWED_BY_NAME = r"(?=[LdRaX]*[FOA])"
_AT_START = r"(?:^|(?<=[,:;&(|bJ]))"
_AT_END = r"(?=[,.;:()&|b]|$)"

_RULES: tuple[tuple[str, str, str], ...] = (
    ("", "x", r"x"),
    ("", "2", r"2(?=[dLRX]*[FO])"),
    ("J", "2", r"2"),
    ("", "H", r"[CP]H[CP]"),
    ("N", "I", r"I(?=[dLR]*[FO])"),
    ("", "I", r"I"),
    ("", "Z", r"Z(?=[Bd]*R)"),
    ("S", "s", r"sd?[PZ]"),
    ("", "h", r"i?h[VUYJOTdRaF]{0,3}?[PC]|hJ?Z|h[JUVY]+|h"),
    ("", "f", r"(?<=[NWBSM])fP"),
    ("N", "t", r"DYt[YL]|Dt[YL]"),
    ("G", "t", r"[YL]tDY?"),
    ("z", "t", r"DtD"),
    ("S", "t", r"YtY"),
    ("p", "u", r"u[VJYd]*P"),
    ("k", "u", r"u[VJYd]*C"),
    ("B", "X", r"X[VCd]*G|GX"),
    ("", "X", r"X(?=[NWBS])"),
    ("G", "r", r"Dr"),
    ("D", "q", r"Dq"),
    ("m", "M", r"D[VYTXaWBJ]{0,3}M[TY]?|MV?:?V?D" + _AT_END + r"|M:D"),
    ("D", "S", r"DS(?=[LdR]*F)"),
    ("M", "S", r"DS"),
    ("S", "D", r"D[VUYC]{0,2}G"),
    ("S", "D", r"D[VUYXCJ]{0,2}[WB](?:[|&DV]{1,2}[WB])*"),
    ("D", "N", r"DN" + _FOLLOWED_BY_NAME),
    ("0", "N", r"DY?(?:a?N|NV?)(?:[|&][GWB])*T(?:V?Y)?"),
    ("S", "N", r"(?<=[VUJFd])DN"),
    ("m", "N", r"DN" + _AT_END),
    ("1", "T", r"DT(?:V?Y)?"),
    ("G", "E", r"E[VY]{0,2}P|PE(?![dR])"),
    ("N", "E", r"E[VY]{0,2}C|CE(?![dR])"),
    ("z", "Z", r"D[VUYd]{0,2}Z|Z:?D|ZV?DY?"),
    (
        "p",
        "P",
        r"P[:d]?D(?!J?Y?[VUdf]{0,2}C)J?Y?|"
        + _AT_START
        + r"P[VUJ]D(?!J?Y?[VUdf]{0,2}C)J?Y?|P,DJY?|[VU]?D(?:J[VU])?Y?(?:[|]Y)?[VUdJf]{0,2}P|UDY?P",
    ),
    (
        "k",
        "C",
        r"C[:d]?D(?!J?Y?[VUdf]{0,2}P)J?Y?|"
        + _AT_START
        + r"C[VUJ]D(?!J?Y?[VUdf]{0,2}P)J?Y?|C,DJY?|[V]?D(?:J[VU])?Y?(?:[|]Y)?[VUdJf]{0,2}C",
    ),
    ("~", "U", r"UDY?" + _AT_END + r"|UDY"),
    ("k", "D", r"V?DJ?Y|VD"),
    ("o", "P", r"P[VU]" + _AT_END),
    ("o", "PYU", r"[JV]?UY?P(?![VU])|P[:d]?UY?(?![WBLFNGORKd])|[VU]?Y[Rd]{0,2}P(?![VU])|P:?Y|YU|UY"),
    ("o", "U", r"(?<=[&b,])U$"),
    ("j", "C", r"C[VU]J?" + _AT_END),
    ("j", "Y", r"VYC|C[:]?V?Y|YC(?!V)|YV|VY"),
    ("j", "Y", r"(?<=:)Y(?=[,;]|$)"),
    ("S", "Z", r"YZ|VZ|UZ|ZV?Y|ZS|SZ"),
)
"""(the new letter; letters of which one must be there; what it takes the place of), in the order they are tried."""


@cache
def _rules() -> tuple[tuple[int, str, re.Pattern[str]], ...]:
    """Of each rule the bits of the letters of which one must be there, the new letter, and the pattern."""
    return tuple((_bits(needed), letter, lazily(pattern)) for letter, needed, pattern in _RULES)


_BIT = defaultdict[str, int](lambda: 0, {letter: 1 << ord(letter) for _, letters, _ in _RULES for letter in letters})
"""A letter that some rule needs -> a bit of its own; of any other letter 0."""


def _bits(tags: str) -> int:
    bits = 0
    for tag in tags:
        bits |= _BIT[tag]
    return bits


def rewritten(tokens: Sequence[Token]) -> list[Token]:
    """The tokens with the words that act together as one."""
    found = list(tokens)
    tags = "".join([token.tag for token in found])
    if ANY_LONGER in tags and DENIAL in tags:
        found = _no_longer(found)
        tags = "".join([token.tag for token in found])
    present = _bits(tags)
    for needed, letter, pattern in _rules():
        if not needed & present:
            continue
        matches = list(pattern.finditer(tags))
        for match in reversed(matches):
            start, end = match.span()
            if start == end:
                continue
            inside = found[start:end]
            kept = [token for token in inside if token.tag in "Fd"] if letter else []
            film = "film" if any(token.value == FILM for token in inside) else ""
            found[start:end] = (
                [*kept, Token(letter, film, " ".join(token.word for token in inside))] if letter else kept
            )
        if matches:
            tags = "".join([token.tag for token in found])
            present = _bits(tags)
    return found


def _no_longer(tokens: list[Token]) -> list[Token]:
    """ "Neither edema nor effusion is seen any longer": each denial says that something has gone."""
    last = max(index for index, token in enumerate(tokens) if token.tag == ANY_LONGER)
    return [
        Token(MISSING, "", token.word) if token.tag == DENIAL and index < last else token
        for index, token in enumerate(tokens)
        if token.tag != ANY_LONGER
    ]
