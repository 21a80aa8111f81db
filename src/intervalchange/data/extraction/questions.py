"""The seven kinds of question of Medical-Diff-VQA, in its wording, with answers from the account of a study.

The simulated cohort and the source `reports` use the same functions. No question is about what is unknown, and no film
is called free of abnormalities while something is in doubt.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal

import numpy as np

from intervalchange import grammar
from intervalchange.data.extraction.account import Account, Attributes
from intervalchange.findings import FINDINGS
from intervalchange.records import Change, LevelChange

Areas = Literal["never", "rare", "always"]
"""How often a level change in a common location is asked about alone: never, by AREA_SHARE, or, as the official
generator has it, always."""
AREA_SHARE = 0.1
"""Share of the pairs with a level change in a common location whose question is about that location alone."""
AP_SHARE = 0.05
"""Share of AP films that get a question about the view, as in the data set."""

QuestionAnswer = tuple[str, str, str]
"""kind, question, answer"""

_OPPOSITE = {"left": "right", "right": "left", "upper": "lower", "lower": "upper", "middle": "upper"}


def ask(rng: np.random.Generator, account: Account) -> list[QuestionAnswer]:
    """At most one question of each kind about one film, in the order of the data set."""
    questions = (
        _abnormality(rng, account),
        _presence(rng, account),
        _view(rng, account),
        _location(rng, account),
        _attribute(rng, account, "level"),
        _attribute(rng, account, "type"),
    )
    return [item for item in questions if item is not None]


def ask_difference(rng: np.random.Generator, prior: Account, current: Account, areas: Areas = "rare") -> QuestionAnswer:
    """The difference question of a pair. areas: how often it is about one area.

    As in the data set the answer ends with a blank, unless nothing has changed, additions are listed in random
    order, and an answer about an area names one level change and drops everything else.
    """
    change = Change.between(prior.study, current.study)
    for level in _levels_by_area(rng, change, current, areas):
        area_name = _common_area(prior.attributes[level.finding], current.attributes[level.finding])
        if area_name and (areas == "always" or rng.random() < AREA_SHARE):
            question = grammar.QUESTIONS["difference"][1].format(location=area_name)
            return "difference", question, grammar.render(Change.of(levels=[level])) + " "
    order = [str(finding) for finding in rng.permutation(sorted(change.added))]
    answer = grammar.render(change, order)
    return "difference", grammar.DIFFERENCE_QUESTION, answer if answer == grammar.NOTHING else answer + " "


def _levels_by_area(rng: np.random.Generator, change: Change, current: Account, areas: Areas) -> list[LevelChange]:
    """The level changes that the question may be about: one of them, or all in the order of the current account, whose
    first one in a common location the official generator takes."""
    if areas == "never" or not change.levels:
        return []
    if areas == "always":
        order = list(current.attributes)
        return sorted(change.levels, key=lambda level: order.index(level.finding))
    return [sorted(change.levels)[int(rng.integers(len(change.levels)))]]


def _any(rng: np.random.Generator, items: Sequence[str]) -> str:
    return items[int(rng.integers(len(items)))]


def _area(words: Sequence[str]) -> str:
    """Words of location as they stand before "area": a side alone is a lung."""
    return f"{words[0]} lung" if list(words) in (["left"], ["right"]) else " ".join(words)


def _common_area(prior: Attributes, current: Attributes) -> str:
    words = [word for word in current.locations if word in prior.locations]
    return "" if not words or words == ["bilateral"] else _area(words)


def _abnormality(rng: np.random.Generator, account: Account) -> QuestionAnswer | None:
    everywhere, in_location, any_at_all = grammar.QUESTIONS["abnormality"]
    names = list(account.attributes)
    locations = Counter(attributes.post_location for attributes in account.attributes.values())
    alone = [name for name in names if (at := account.attributes[name].post_location) and locations[at] == 1]
    form = int(rng.integers(3))
    if form == 0 and names:
        return "abnormality", everywhere, ", ".join(sorted(names, key=FINDINGS.index))
    if form == 1 and alone:
        name = _any(rng, alone)
        return "abnormality", in_location.format(location=account.attributes[name].post_location), name
    if not names and account.doubtful:
        return None
    return "abnormality", any_at_all, "yes" if names else "no"


def _presence(rng: np.random.Generator, account: Account) -> QuestionAnswer | None:
    evidence, plain, in_area, in_location, bilateral = grammar.QUESTIONS["presence"]
    names = list(account.attributes)
    if not names or rng.random() < 0.5:
        absent = [name for name in FINDINGS if name not in account.attributes and name not in account.unknown]
        if not absent:
            return None
        name = _any(rng, account.denied if account.denied and rng.random() < 0.5 else absent)
        return "presence", _any(rng, (evidence, plain)).format(finding=name), "no"
    name = _any(rng, names)
    words, phrase = account.attributes[name].locations, account.attributes[name].post_location
    if (words or phrase) and rng.random() < 0.5:
        if words == ("bilateral",):
            return "presence", bilateral.format(finding=name), "yes"
        location = words or tuple(phrase.split())
        opposite = _opposite(rng, location) if rng.random() < 0.5 else ()
        named = opposite or location
        form, where = (in_area, _area(named)) if words else (in_location, " ".join(named))
        return "presence", form.format(finding=name, location=where), "no" if opposite else "yes"
    return "presence", _any(rng, (evidence, plain)).format(finding=name), "yes"


def _opposite(rng: np.random.Generator, words: Sequence[str]) -> tuple[str, ...]:
    """The same words with one of them turned into its opposite; empty where none has one."""
    positions = [position for position, word in enumerate(words) if word in _OPPOSITE]
    if not positions:
        return ()
    chosen = positions[int(rng.integers(len(positions)))]
    return (*words[:chosen], _OPPOSITE[words[chosen]], *words[chosen + 1 :])


def _view(rng: np.random.Generator, account: Account) -> QuestionAnswer | None:
    which, posterior, anterior = grammar.QUESTIONS["view"]
    view, form, ask_ap = account.study.view, int(rng.integers(3)), rng.random() < AP_SHARE
    if view not in ("PA", "AP") or (view == "AP" and not ask_ap):
        return None
    if form == 0:
        return "view", which, f"{view} view"
    return "view", posterior if form == 1 else anterior, "yes" if (view == "PA") == (form == 1) else "no"


def _location(rng: np.random.Generator, account: Account) -> QuestionAnswer | None:
    where_in, where, which_side = grammar.QUESTIONS["location"]
    located = {
        name: attributes
        for name, attributes in account.attributes.items()
        if attributes.locations or attributes.post_location
    }
    if not located:
        return None
    name = _any(rng, list(located))
    attributes = located[name]
    words = (*attributes.locations, *attributes.post_location.split())
    sides = [side for side in ("left", "right") if side in words]
    form = int(rng.integers(3))
    if form == 2 and len(sides) == 1:
        return "location", which_side.format(finding=name), f"{sides[0]} side"
    answer = attributes.post_location or " ".join(attributes.locations) + " area"
    return "location", (where_in if form == 0 else where).format(finding=name), answer


def _attribute(rng: np.random.Generator, account: Account, kind: str) -> QuestionAnswer | None:
    """The level or the type of one finding that has one."""
    values = {
        name: attributes.level if kind == "level" else " ".join(attributes.types)
        for name, attributes in account.attributes.items()
    }
    known = [name for name, value in values.items() if value]
    if not known:
        return None
    name = _any(rng, known)
    return kind, grammar.QUESTIONS[kind][0].format(finding=name), values[name]
