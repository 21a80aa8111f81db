"""The words of an answer as the field's metrics take them: the Penn Treebank tokenisation of pycocoevalcap, no Java.

pycocoevalcap 1.2 runs Stanford's PTBTokenizer 3.4.1 with `-preserveLines -lowerCase` and drops seventeen marks. That
program takes at each position the longest match of its rules, the words that must follow counted in; so does this one.
The rules were written from what the program answers, not from its source. Over 20,000 strings made of answer words,
marks and missing blanks the two agree but for e-mail addresses and runs of symbols (test_evaluation_text.py).

Two habits of the original are kept because the published numbers have them: brackets stay as the words `-lrb-`,
`-rrb-` (it removes only their capitals), and "1 1/2" is one word with a hard blank in it. Marks that end a line in
Java (carriage return, form feed, U+2028) are blanks here: there, they shift every later answer by one line.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import cast

DROPPED = frozenset(["''", "'", "``", "`", ".", "?", "!", ",", ":", "-", "--", "...", ";"])
"""Marks that are removed, of the seventeen in pycocoevalcap those that can come out of a lower-cased text."""

ABBREVIATIONS = (
    r"adm|al|ala|apr|ariz|assn|aug|ave|blvd|brig|bros|calif|capt|cf|cmdr|co|col|colo"
    r"|comdr|conn|corp|cpl|dak|dec|dept|det|dr|e\.g|esq|est|etc|ext|feb|fla|fri|ft"
    r"|ga|gen|gov|hon|i\.e|inc|ind|intl|jan|jr|jul|jun|kan|ky|lt|ltd|m\.d|maj|mar"
    r"|md|messrs|mfg|mich|minn|mlle|mme|mo|mon|mont|mr|mrs|ms|mt|natl|neb|nev|nov|"
    r"oct|okla|p|penn|pfc|ph\.d|pres|prof|pvt|rd|rep|rev|rt|sen|sep|sept|seq|sgt|"
    r"spc|sq|sr|st|ste|supt|tel|tenn|thu|thurs|tue|tues|univ|va|vs|vt|wed|wis|wyo"
)
"""Words that keep their point, as a pattern."""

BRACKETS = {"(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-"}

Rewrite = Callable[[str], str]


def _bracketed(text: str) -> str:
    return "".join(BRACKETS.get(character, character) if character in "()" else character for character in text)


_RULES: tuple[tuple[re.Pattern[str], Rewrite | None], ...] = tuple(
    (re.compile(pattern), rewrite)
    for pattern, rewrite in (
        # Contractions. A group is the word; what stands after it only has to follow.
        (r"([a-z]+)n't", None),
        (r"n't[a-z]*", None),
        (r"(can)not", None),
        (r"(gon|wan)na", None),
        (r"(gim|lem)me", None),
        (r"(got)ta", None),
        (r"'t(?=is|was)", None),
        (r"'(?:s|m|d|ll|ve|re)(?![a-z])", None),
        (r"[dol]'[a-z0-9]{2,}", None),
        (r"[a-z]+[aeiouy]'[aeiou][a-z]*", None),
        (r"'n'|'em|'til|'cause|ol'|'n(?![a-z])|[ldj]'|y'(?=all)", None),
        # Words; a point, mark or stroke without a blank joins them.
        (r"[^\W\d_][^\W_]*(?:[.!?][^\W\d_][^\W_]*)*", None),
        (r"[^\W_]+(?:[-_][^\W_]+)*", None),
        (r"[a-z0-9][a-z0-9.,]*(?:-[a-z0-9]+)+", None),
        (r"[a-z0-9]+(?:-[a-z]+){0,2}(?:/[a-z0-9]+(?:-[a-z]+){0,2}){1,2}", None),
        (r"[#@][a-z_]\w*", None),
        # Numbers and fractions.
        (r"[-+]?(?:\d+(?:[.:,]\d+)*|(?:[.:,]\d+)+)", None),
        (r"(?:\d{1,4}[- ])?\d{1,4}/\d{1,4}", lambda text: text.replace(" ", "\xa0")),
        # Words with points.
        (r"(?:[a-z]\.)+", None),
        (rf"(?:{ABBREVIATIONS})\.", None),
        (r"(?:figs?|nos?|pp|ca|op)\.(?=\s*\d)", None),
        # Marks.
        (r"\.{3,}|\.(?: \.){2}|\u2026", lambda text: "..."),
        (r"-{2,}|[\u2013\u2014]", lambda text: "--"),
        (r"[?!]+", None),
        (r"<[!?/]?[a-z][^<>]*>", None),
        (r"([<>]?[:;=][-o*']?[()dpo\\{@|\[\]])(?![a-z0-9])", _bracketed),
        (r"<<|>>|#{2,}|_+|\*+|@+|=+", None),
        (r"''|``", None),
        (r"'(?=[a-z][a-z0-9-])", lambda text: "`"),
        (r'"(?=[a-z0-9$])|\u201c', lambda text: "``"),
        (r'"|\u201d', lambda text: "''"),
        (r"\u2018", lambda text: "`"),
        (r"[()\[\]{}]", BRACKETS.__getitem__),
        (r"\S", None),
    )
)


def split_words(text: str) -> list[str]:
    text = text.lower().replace("\u2019", "'")
    words, position = [], 0
    while position < len(text):
        if text[position].isspace():
            position += 1
            continue
        reach, word, chosen = 0, "", None
        for pattern, rewrite in _RULES:
            match = pattern.match(text, position)
            if match and match.end() - position > reach:
                reach, word, chosen = match.end() - position, match.group(match.lastindex or 0), rewrite
        position += len(word)
        words.append(chosen(word) if chosen else word)
    return words


_PLAIN = re.compile(r"[a-z]+(?:-[a-z]+)*[.,]?")


class _PlainPieces(dict[str, str | None]):
    """Piece without blanks -> its words joined by blanks, where it looks like part of an answer and has any; else None.

    Answers share their pieces, so that nearly all of them are looked up. Forgets all of them when it is full."""

    def __missing__(self, piece: str) -> str | None:
        if len(self) >= _PIECES:
            self.clear()
        words = (word for word in split_words(piece) if word not in DROPPED) if _PLAIN.fullmatch(piece) else ()
        self[piece] = found = " ".join(words) or None
        return found


_PIECES = 1 << 14
_plain_pieces = _PlainPieces()


@lru_cache(maxsize=1 << 17)
def tokenise(text: str) -> str:
    """The words of a text, lower-cased, without marks, joined by blanks. An empty text stays empty.

    >>> tokenise("The main image is missing the finding(s) of plate-like atelectasis, and edema. ")
    'the main image is missing the finding -lrb- s -rrb- of plate-like atelectasis and edema'
    """
    pieces = [_plain_pieces[piece] for piece in text.lower().split()]
    if None not in pieces:  # No rule reaches over a blank between plain words.
        return " ".join(cast(list[str], pieces))
    return " ".join(word for word in split_words(text) if word not in DROPPED)
