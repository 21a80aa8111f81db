"""A sentence -> its words that matter, each with what it does (`vocabulary`); other words are passed over."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache, lru_cache
from itertools import product
from typing import Any, NamedTuple

from intervalchange.answers import names
from intervalchange.answers import vocabulary as words
from intervalchange.findings import ALIASES, FINDINGS, LEVELS, UNRANKED_LEVELS
from intervalchange.lazy_patterns import lazily

_WORD = lazily(r"[a-z]+|\d+(?:\.\d+)?|->|=>|[,;:()?|/&+\u2192\u2191\u2193\u21d2>]|[^\sa-z\d]")
_NOT = lazily(r"\b(can|do|does|did|is|are|was|were|has|have|had|would|could|should)n['\u2019]?t\b")
_SHORT = lazily(r"(?<=[a-z])['\u2019](?:s|re|ve|ll|d|m)\b")
_IS = lazily(r"\b(it|there|that|what|here|one|line|heart)['\u2019]s\b")
_HYPHEN = lazily(r"(?<=[a-z])[-\u2010-\u2013](?=[a-z])|[.](?=[a-z])")
_HYPHENS = frozenset("-.\u2010\u2011\u2012\u2013")
_ARTICLES = frozenset(
    re.findall(
        r"[\w'/]+",
        "the a an of in on at very quite rather its his her s any",
    )
)
"""Words that phrases of several words may hold and texts may leave out, and the other way round."""
TYPO_LENGTH = 7
"""Letters of the shortest word that is read with one letter wrong."""
DEVICE = "a device"
LARGE = "large"


class Token(NamedTuple):
    """A word or phrase. `value`: of a finding its name, of a part of the chest too, of a level the level."""

    tag: str
    value: str
    word: str


def plain(text: str) -> str:
    """Lower case, without contractions and hyphens."""
    text = text.lower().replace("cannot", "can not").replace("can't", "can not").replace("won't", "will not")
    if "'" in text or "\u2019" in text or "nt " in text:
        text = _IS.sub(r"\1 is", _NOT.sub(r"\1 not", text))
        text = _SHORT.sub("", text)
    if not _HYPHENS.isdisjoint(text[:-1]):
        text = _HYPHEN.sub(" ", text)
    return text.replace("n/c", "no change")


def _expanded(phrases: str) -> Iterator[tuple[str, ...]]:
    for phrase in phrases.replace("\n", ",").split(","):
        parts = phrase.strip().split(" ")
        if parts != [""]:
            yield from product(*(["/"] if part == "/" else part.split("/") for part in parts))


_END = ""


@cache
def _trie() -> dict[str, Any]:
    """Word -> what may follow it; under "" what the phrase does, which ends there."""
    root: dict[str, Any] = {}

    def put(phrases: str, tag: str, value: str = "") -> None:
        for phrase in _expanded(phrases):
            node: dict[str, Any] = root
            for word in phrase:
                node = node.setdefault(word, {})
            node.setdefault(_END, (tag, value))

    for finding in FINDINGS:
        put(", ".join((finding, *ALIASES[finding])), words.FINDING, finding)
        put(names.NAMES[finding], words.FINDING, finding)
    put(names.DEVICES, words.OTHER, DEVICE)
    put(names.OTHERS, words.OTHER)
    levels = [level for level in LEVELS if level not in UNRANKED_LEVELS]
    for level in (*levels, LARGE, "severely"):
        put(
            level,
            words.LEVEL,
            {"minimally": "minimal", "mildly": "mild", "moderately": "moderate", "severely": "severe"}.get(
                level, level
            ),
        )
    for word in names.SIZES:
        put(word, words.LEVEL, f"~{word}")
    put("moderate sized", words.LEVEL, "moderate")
    put("small sized", words.LEVEL, "small")
    put("mildly to moderately", words.LEVEL, "mild to moderate")
    put("moderately to severely", words.LEVEL, "moderate to severe")
    for tag, phrases in words.PHRASES.items():
        put(phrases, tag)
    for part, (called, _) in names.REGIONS.items():
        put(called, words.REGION, part)
    for abnormal in {word for _, some in names.ABNORMALS for word in some.split(", ")}:
        put(abnormal, words.ABNORMAL)
    for mark in ",;:()?":
        put_mark = root.setdefault(mark, {})
        put_mark.setdefault(_END, (mark, ""))
    return root


@cache
def _known() -> frozenset[str]:
    """Every word of the vocabulary."""
    found: set[str] = set()
    nodes: list[dict[str, Any]] = [_trie()]
    while nodes:
        for word, node in nodes.pop().items():
            if word != _END:
                found.add(word)
                nodes.append(node)
    return frozenset(found)


@cache
def _deletions() -> dict[str, str]:
    """A long word less any one letter -> the word."""
    long = sorted(word for word in _known() if len(word) >= TYPO_LENGTH - 1)
    return {word[:i] + word[i + 1 :]: word for word in long for i in range(len(word))} | {word: word for word in long}


@lru_cache(maxsize=1 << 15)
def corrected(word: str) -> str:
    """A word with one letter too many, too few, wrong or exchanged as the vocabulary has it; any other as it is."""
    if word in _known() or len(word) < TYPO_LENGTH - 1 or not word.isalpha() or word in ORDINARY:
        return word
    known = _deletions()
    if word in known and len(word) >= TYPO_LENGTH - 1:
        return known[word]
    for i in range(len(word)):
        shorter = word[:i] + word[i + 1 :]
        if shorter in known and len(shorter) >= TYPO_LENGTH - 1:
            right = known[shorter]
            if abs(len(right) - len(word)) <= 1 and right[0] == word[0]:
                return right
    return word


ORDINARY = frozenset(
    re.findall(
        r"[\w'/]+",
        "prominence presents presented position positions improper express exposed effusive progressed appearing "
        "observes clearly largely nearly cleaner smarter greatly exposure recently previews collection lateral "
        "interval internal external identify describe describing consider consists resolve",
    )
)
"""Words that are one letter from one of the vocabulary and mean themselves."""


_ALSO = {
    "congestion": {"hila": "hilar congestion"},
    "thickened": {"pleura": "pleural thickening"},
    "widened": {"silhouette": "enlargement of the cardiac silhouette"},
}
"""Words that mean something else of a part of the chest."""


@cache
def _abnormal() -> dict[str, dict[str, str]]:
    """Word -> part of the chest -> the finding that it makes of it."""
    found: dict[str, dict[str, str]] = {}
    for (part, some), finding in names.ABNORMALS.items():
        for word in some.split(", "):
            found.setdefault(word, {})[part.strip()] = finding
    return found


def tokens_of(sentence: str, region: str = "") -> list[Token]:
    """The words that matter. region: the part of the chest that the text before speaks of, "" where it is of none."""
    found: list[Token] = []
    texts = [corrected(word) for word in _WORD.findall(plain(sentence))]
    root, index, count = _trie(), 0, len(texts)
    while index < count:
        first = texts[index]
        node = root.get(first)
        if node is None:
            if first[0].isdigit() and _measured(texts, index):
                found.append(Token(words.LEVEL, f"#{first}", first))
            index += 1
            continue
        stop, entry, step = index, None, index
        while node is not None:
            step += 1
            if _END in node:
                entry, stop = node[_END], step
            if step >= count:
                break
            after = node.get(texts[step])
            if after is None and texts[step] in _ARTICLES and step + 1 < count and len(node) > (_END in node):
                after = node.get(texts[step + 1])
                step += after is not None
            node = after
        if entry is None:
            index += 1
            continue
        tag, value = entry
        word = first if stop == index + 1 else " ".join(texts[index:stop])
        index = stop
        last = found[-1] if found else None
        if last is not None and (tag in words.SEEN or word[:3] == "not") and last.word[:5] == "could":
            found.pop()
            last = found[-1] if found else None
        if tag == words.DROPPED or (value[:1] == "~" and last is not None and last.tag in "WB"):
            continue
        if last is not None and tag in _FILM_TAGS and last.tag in "PCZp" and word in names.FILM_NOUNS:
            found[-1] = Token(last.tag, words.FILM, f"{last.word} {word}")
        elif word == "left" and last is not None and last.tag in "VU" and (index >= count or texts[index] in ".,;"):
            found.append(Token(words.STABLE, "", word))
        elif not (word in _UP_DOWN and index < count and texts[index] not in _AFTER_UP):
            found.append(Token(tag, value, word))
    return _with_parts(found, region)


_FILM_TAGS = (words.REST, words.PRONOUN)
_UP_DOWN = ("up", "down")
_UNITS = frozenset(("%", "mm", "cm", "percent"))
_AFTER_UP = frozenset(
    (",", ".", ";", ":", "(", ")", "from", "to", "since", "and", "one", "in", "again", "compared", "now")
)


def _measured(texts: list[str], index: int) -> bool:
    """Whether a number has a unit, or stands in "from 1.5 to 3 cm"."""
    after = texts[index + 1 : index + 4]
    return bool(after) and (after[0] in _UNITS or (len(after) == 3 and after[0] == "to" and after[2] in _UNITS))


def _with_parts(tokens: list[Token], region: str) -> list[Token]:
    """The tokens with each word such as "enlarged" as the finding that it makes of a part of the chest."""
    tags = [token.tag for token in tokens]
    if words.ABNORMAL not in tags and words.GROWTH not in tags and _ALSO.keys().isdisjoint(t.word for t in tokens):
        return tokens
    found: list[Token] = []
    for index, token in enumerate(tokens):
        if token.tag in (words.ABNORMAL, words.GROWTH):
            interval = token.word.startswith("interval")
            makes = _abnormal().get("enlargement" if "enlargement" in token.word else token.word, {})
            ahead = [one.value for one in tokens[index + 1 : index + 4] if one.tag == words.REGION]
            behind = [one.value for one in tokens[:index] if one.tag == words.REGION]
            part = next((one for one in [*ahead[:1], *reversed(behind), region] if one in makes), "")
            if part:
                if interval:
                    found.append(Token(words.HEDGE, "", token.word))
                found.append(Token(words.FINDING, makes[part], token.word))
                continue
            token = Token(token.tag if token.tag == words.GROWTH else words.DROPPED, "", token.word)
        elif token.word in _ALSO:
            near = [one.value for one in tokens[max(0, index - 4) : index] if one.tag == words.REGION]
            part = next((one for one in (*reversed(near), region) if one in _ALSO[token.word]), "")
            token = Token(words.FINDING, _ALSO[token.word][part], token.word) if part else token
        found.append(token)
    return found
