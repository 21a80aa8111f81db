"""The names of a piece of a sentence in groups, each with the words before and after it that are its own."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

from intervalchange.answers.tokens import Token
from intervalchange.lazy_patterns import lazily

_JOINED = lazily(r"[LdRTXa,&|wiF(]*")
_ATTRIBUTES = frozenset("NGWBSDHLXraEkpzg01CPMmfoV~jdRTYn^")
_EDGES = frozenset(",&w(J:bci|)e")
_COURSES = frozenset("NGWBS")
_DENIED_OR_HEDGED = frozenset("DH")

_PLACES = {
    **dict.fromkeys(("right", "r", "rt", "right sided", "rightward"), ("right",)),
    **dict.fromkeys(("left", "l", "lt", "left sided", "leftward"), ("left",)),
    **dict.fromkeys(("bilateral", "bilaterally", "bibasilar", "bibasal", "biapical"), ("left", "right")),
    "rul": ("right", "upper"), "rml": ("right", "middle"), "rll": ("right", "lower"),
    "lul": ("left", "upper"), "lll": ("left", "lower"), "lingula": ("left", "middle"), "lingular": ("left", "middle"),
    **dict.fromkeys(("lower", "base", "bases", "basal", "basilar"), ("lower",)),
    **dict.fromkeys(("upper", "apical", "apex", "apices"), ("upper",)),
    **dict.fromkeys(("middle", "mid"), ("middle",)),
}  # fmt: skip


@dataclass
class Group:
    """Names that share their words."""

    names: list[tuple[str, frozenset[str]]] = field(default_factory=list)
    """(finding, sides); a device has `tokens.DEVICE`, what is no finding ""."""
    levels: list[str] = field(default_factory=list)
    """Of each name, the level right before it."""
    before: list[Token] = field(default_factory=list)
    after: list[Token] = field(default_factory=list)
    caused: bool = False
    """Named as the cause of what stands before."""
    first_comma: int = 0
    last_comma: int = 0
    """How many names stand before it; 0 where there is none."""
    either: int | None = None
    """From which name on only one of them is meant: "atelectasis or pneumonia"."""


def tags_of(tokens: Sequence[Token]) -> str:
    """The letters of tokens."""
    return "".join([token.tag for token in tokens])


def grouped(tokens: list[Token]) -> tuple[list[Group], list[Token]]:
    """The groups of names with their words, and what stands before the words of the first."""
    tags = tags_of(tokens)
    spans = [index for index, tag in enumerate(tags) if tag in "FO"]
    if not spans:
        return [], tokens
    runs: list[list[int]] = [[spans[0]]]
    for here, there in itertools.pairwise(spans):
        between = tags[here + 1 : there]
        if _JOINED.fullmatch(between) and (tags[here] == tags[there] or not between):
            runs[-1].append(there)
        else:
            runs.append([there])
    groups = [_group(tokens, run) for run in runs]
    lead: list[Token] = []
    for index, run in enumerate(runs):
        start = runs[index - 1][-1] + 1 if index else 0
        words, between = tokens[start : run[0]], tags[start : run[0]]
        cut = _cut(between, bool(index), bool(index) and _has_course(groups[index - 1].before))
        if index:
            groups[index - 1].after = words[:cut]
            groups[index].caused = between[:cut].rstrip("Ld").endswith("c")
        else:
            lead = words[:cut]
        groups[index].before = words[cut:]
    groups[-1].after = tokens[runs[-1][-1] + 1 :]
    for group in groups:
        attached = itertools.takewhile(lambda token: token.tag in "LdRXaT", reversed(group.before))
        group.levels[0] = next((token.value for token in attached if token.tag == "L"), "")
    for one, other in itertools.pairwise(groups):
        _share(one, other)
    return groups, lead


def _group(tokens: list[Token], run: list[int]) -> Group:
    group = Group()
    for order, index in enumerate(run):
        level = ""
        for token in tokens[run[order - 1] + 1 : index] if order else ():
            if token.tag == ",":
                group.first_comma = group.first_comma or order
                group.last_comma = order
            elif token.tag == "L":
                level = token.value
            elif token.word == "or":
                group.either = 0
        group.names.append((tokens[index].value, _sides(tokens, index)))
        group.levels.append(level)
    return group


def _share(one: Group, other: Group) -> None:
    """What two groups in a row lend each other: "the opacity, probably atelectasis, is smaller", "mild edema has given
    way to severe edema", "new effusion, with atelectasis", "the mass is new and represents a hernia"."""
    before, between = tags_of(other.before), tags_of(one.after)
    if between in (",", "(") and before.startswith("H") and tags_of(other.after)[:1] in (",", ")"):
        one.after, other.after = other.after, []
    if other.before and other.before[0].word in ("versus", "vs"):
        one.either = max(one.last_comma, 0)
    if "t" in between + before and one.names[0][0] == other.names[0][0] and one.levels[-1] and other.levels[0]:
        one.after = [Token("P", "", ""), *one.after]
        other.before = [Token("C", "", ""), *other.before]
    if between.endswith(("w", "i")) and not set(before) & set("NGWBSDkHp"):
        shared = [token for token in (*one.before, *one.after) if token.tag in "NGWBSp"]
        other.before = [*shared, *other.before]


def _sides(tokens: list[Token], index: int) -> frozenset[str]:
    """Words of place right before and right after a name."""
    found: list[str] = []
    step = index - 1
    while step >= 0 and tokens[step].tag in "dLRaXNGWBSHVgM":
        if tokens[step].tag == "d":
            found.append(tokens[step].word)
        step -= 1
    step = index + 1
    while step < len(tokens) and tokens[step].tag in "dRL,":
        if tokens[step].tag == "," and not (step + 1 < len(tokens) and tokens[step + 1].tag == "d"):
            break
        if tokens[step].tag == "d":
            found.append(tokens[step].word)
        step += 1
    return places(found)


def places(words: Sequence[str]) -> frozenset[str]:
    """Words of place as sides, each with its zone where it has one: "right lower"."""
    parts = [part for word in words for part in _PLACES.get(word, ())]
    sides = {part for part in parts if part in ("left", "right")}
    zones = {part for part in parts if part not in ("left", "right")}
    if sides and zones:
        return frozenset(f"{side} {zone}" for side in sides for zone in zones)
    return frozenset(sides | zones)


def _has_course(tokens: Sequence[Token]) -> bool:
    return any(token.tag in _COURSES or token.tag == "g" for token in tokens)


def _cut(tags: str, follows: bool, marked: bool) -> int:
    """Where the words after a group end and those before the next one begin."""
    cut = len(tags)
    while cut and tags[cut - 1] in _ATTRIBUTES:
        cut -= 1
    if cut == 0 and follows:
        if marked:
            return 0
        return next((place for place, tag in enumerate(tags) if tag in "DHE"), len(tags))
    if cut and tags[cut - 1] not in _EDGES:
        return len(tags) if follows and _DENIED_OR_HEDGED.isdisjoint(tags[cut:]) and tags[cut:].strip("RLTdV") else cut
    return cut
