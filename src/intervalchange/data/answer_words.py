"""The key words of an answer, and its hard negatives: the same sentence with one thing wrong.

Everything goes through the grammar, so a hard negative is always well-formed, and differs in what it means.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np

from intervalchange import grammar
from intervalchange.findings import ALIASES, FINDINGS, LEVELS, PRE_LOCATIONS, RANKED_LEVELS, SIMULATED, TYPES
from intervalchange.records import Change

MANY = 100_000
"""Answers remembered: all distinct ones of a large data set."""
OPPOSITES = (("left", "right"), ("upper", "lower"), ("PA", "AP"), ("pa", "ap"), ("yes", "no"), ("apical", "basal"))
_OTHER = {word: other for pair in OPPOSITES for word, other in (pair, pair[::-1])}


@lru_cache(maxsize=MANY)
def key_words(answer: str, kind: str) -> str:
    """The key words of an answer in a fixed order, so that two answers of the same meaning give the same text.

    A change becomes "additional X", "missing X", "X A B" for each item in library order, or "nothing"; the answers
    to other questions are their own key words. Empty for an empty answer.
    """
    if kind != "difference":
        return " ".join(answer.split()).rstrip(" .")
    reading = grammar.parse(answer)
    change = reading.change
    if not change:
        return "nothing" if reading.nothing else " ".join(answer.split())
    rank = {finding: index for index, finding in enumerate(FINDINGS)}
    items = [(finding, f"additional {finding}") for finding in change.added]
    items += [(finding, f"missing {finding}") for finding in change.missing]
    items += [(level.finding, f"{level.finding} {level.prior} {level.current}") for level in change.levels]
    return ", ".join(text for _, text in sorted(items, key=lambda item: (rank.get(item[0], len(rank)), item[1])))


@lru_cache(maxsize=MANY)
def hard_negatives(answer: str, kind: str, vocabulary: tuple[str, ...] = SIMULATED) -> tuple[tuple[str, ...], ...]:
    """Wrong answers close to this one, by what is wrong: the direction, a level, a finding; or a word of it.

    vocabulary: the findings that may stand in for another. In a fixed order, without repetition or empty groups, never
    the answer itself; empty where nothing can be exchanged.
    """
    groups = _of_change(answer, vocabulary) if kind == "difference" else [_of_words(answer, vocabulary)]
    plain = " ".join(answer.split())
    wrong = (tuple(text for text in dict.fromkeys(group) if text != plain) for group in groups)
    return tuple(group for group in wrong if group)


def in_words(
    groups: Sequence[Sequence[str]], ids: Callable[[str], Sequence[int]], occurred: set[int]
) -> tuple[tuple[str, ...], ...]:
    """The hard negatives of `groups` whose tokens have all occurred: a new word alone would give one away.

    ids: text -> its tokens. occurred: the tokens that have. Groups that lose all their texts are left out.
    """
    familiar = (tuple(text for text in group if occurred.issuperset(ids(text))) for group in groups)
    return tuple(group for group in familiar if group)


def choose_hard_negatives(groups: Sequence[Sequence[str]], count: int, uniforms: Sequence[float]) -> tuple[str, ...]:
    """At most `count` different hard negatives, from each group (what is wrong) in turn, at random within it.

    uniforms: at least count + 1 numbers in [0, 1); the last chooses the first group.
    """
    remaining = [list(dict.fromkeys(group)) for group in groups]
    turn = int(uniforms[count] * len(remaining)) if remaining else 0
    chosen: list[str] = []
    while len(chosen) < count and any(remaining):
        remaining = [group for group in remaining[turn:] + remaining[:turn] if group]
        chosen.append(remaining[0].pop(int(uniforms[len(chosen)] * len(remaining[0]))))
        turn = 1
    return tuple(dict.fromkeys(chosen))


def _of_change(answer: str, vocabulary: tuple[str, ...]) -> list[list[str]]:
    """Groups of answers with the direction, a level, or a finding wrong."""
    reading = grammar.parse(answer)
    change = reading.change
    if not change:
        sides = [[Change.of([name]) for name in vocabulary], [Change.of([], [name]) for name in vocabulary]]
        return [[grammar.render(wrong) for wrong in side] for side in sides] if reading.nothing else []
    named = change.added | change.missing | {level.finding for level in change.levels}
    others = [finding for finding in vocabulary if finding not in named]
    directions, levels, findings = [change.reverse()], [], []
    for level in sorted(change.levels):
        words = [word for word in RANKED_LEVELS if word not in (level.prior, level.current)]
        rest = change.levels - {level}
        levels += [replace(change, levels=rest | {replace(level, current=word)}) for word in words]
        findings += [replace(change, levels=rest | {replace(level, finding=other)}) for other in others]
    for finding in sorted(change.added):
        rest_added = change.added - {finding}
        directions.append(replace(change, added=rest_added, missing=change.missing | {finding}))
        findings += [replace(change, added=rest_added | {other}) for other in others]
    for finding in sorted(change.missing):
        rest_missing = change.missing - {finding}
        directions.append(replace(change, missing=rest_missing, added=change.added | {finding}))
        findings += [replace(change, missing=rest_missing | {other}) for other in others]
    return [[grammar.render(wrong) for wrong in group] for group in (directions, levels, findings)]


def _of_words(answer: str, vocabulary: tuple[str, ...]) -> list[str]:
    """Answers about one film: lists of findings, yes and no, views, sides, levels, types."""
    plain = " ".join(answer.split())
    bare = plain.rstrip(" .")
    items = [item.strip() for item in bare.split(",") if item.strip()]
    if items and all(item in FINDINGS for item in items):
        others = [finding for finding in vocabulary if finding not in items]
        return [
            ", ".join(other if item == replaced else item for item in items) for replaced in items for other in others
        ]
    if bare in LEVELS:
        return [level for level in RANKED_LEVELS if RANKED_LEVELS[level] != RANKED_LEVELS.get(bare)]
    if bare in TYPES:
        return [kind for kind in TYPES if kind != bare]
    words = plain.split(" ")
    positions = [position for position, word in enumerate(words) if word in _OTHER]
    return [" ".join([*words[:at], _OTHER[words[at]], *words[at + 1 :]]) for at in positions]


def key_vocabulary() -> frozenset[str]:
    """Every word that carries the meaning of an answer: findings, levels, types, locations, sides, yes and no."""
    texts = [*FINDINGS, *LEVELS, *TYPES, *PRE_LOCATIONS, *(name for names in ALIASES.values() for name in names)]
    words = {word for text in texts for word in text.split()} | {word for pair in OPPOSITES for word in pair}
    return frozenset(words | {"nothing", "additional", "missing"}) - {"of", "the", "to", "and"}


def text_code(text: str) -> int:
    """A number below 2^63 for a text, the same in every process."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def case_uniforms(case_ids: Sequence[str], step: int, salt: str, count: int) -> np.ndarray:
    """(b, count) float64 in [0, 1): a function of (case, step, salt), whatever the batch or the process.

    SplitMix64 (Steele et al., OOPSLA 2014) from the code of the case.
    """
    codes = np.array([text_code(f"{salt} {case}") for case in case_ids], np.uint64)[:, None]
    with np.errstate(over="ignore"):
        turns = np.arange(1, count + 1, dtype=np.uint64) + np.uint64(step) * np.uint64(1_000_003)
        mixed = codes + turns * np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    uniforms: np.ndarray = (mixed ^ (mixed >> np.uint64(31))) / 2.0**64
    return uniforms
