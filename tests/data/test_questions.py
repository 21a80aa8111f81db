"""Questions, answers and reports of simulated studies agree with what is true of them."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from intervalchange import grammar
from intervalchange.answer_template import finding_names
from intervalchange.data.extraction import questions
from intervalchange.findings import FINDINGS, LEVELS, PRE_LOCATIONS, RANKED_LEVELS, SIMULATED, TYPES
from intervalchange.records import KINDS, Change, Study
from intervalchange.simulation import reports
from intervalchange.simulation.course import ILLNESSES, Attributes, describe, level_of
from intervalchange.simulation.reports import Account
from intervalchange.simulation.scene import Lesion


def draw(rng: np.random.Generator, view: str = "PA") -> Account:
    """A study with up to five findings anywhere."""
    attributes = {}
    for finding in sorted(rng.choice(SIMULATED, int(rng.integers(0, 6)), replace=False), key=FINDINGS.index):
        illness = ILLNESSES[finding]
        side, zone, kind = (str(rng.choice(list(shares))) for shares in (illness.sides, illness.zones, illness.types))
        lesion = Lesion(finding, float(rng.uniform(0.1, 1)), side, zone, kind, int(rng.integers(100)))  # type: ignore[arg-type]
        attributes[str(finding)] = describe(lesion)
    study = Study(
        study_id=str(rng.integers(10**7)),
        image="",
        view=view,
        findings={finding: float(finding in attributes) for finding in FINDINGS},
        levels={finding: said.level for finding, said in attributes.items() if said.level},
        sex="F",
        devices=("central line",),
    )
    return Account(study, attributes, reports.denials(rng, attributes))


@cache
def form(template: str) -> re.Pattern[str]:
    slots = {"finding": f"(?P<finding>{'|'.join(FINDINGS)})", "location": "(?P<location>[a-z ]+)"}
    return re.compile(re.sub(r"\\{(\w+)\\}", lambda slot: slots[slot[1]], re.escape(template)))


@pytest.mark.parametrize("finding", SIMULATED)
def test_words_of_a_lesion_are_in_the_library(finding: str) -> None:
    illness = ILLNESSES[finding]
    for side in illness.sides:
        for zone in illness.zones:
            for kind in illness.types:
                for seed in (0, 1):
                    said = describe(Lesion(finding, 0.5, side, zone, kind, seed))  # type: ignore[arg-type]
                    assert set(said.locations) <= set(PRE_LOCATIONS)
                    assert set(said.types) <= set(TYPES)
                    assert said.level in ("", *LEVELS)
                    assert not (said.locations and said.post_location)


@pytest.mark.parametrize("finding", SIMULATED)
def test_levels_rise_with_severity(finding: str) -> None:
    ranks = [RANKED_LEVELS.get(level_of(finding, severity), 0.0) for severity in np.linspace(0.05, 1, 50)]
    assert ranks == sorted(ranks)


def test_difference_answers_parse_to_the_change() -> None:
    rng = np.random.default_rng(0)
    for _ in range(500):
        prior, current = draw(rng), draw(rng)
        kind, question, answer = questions.ask_difference(rng, prior, current, "never")
        reading = grammar.parse(answer)
        assert (kind, question) == ("difference", grammar.DIFFERENCE_QUESTION)
        assert reading.change == Change.between(prior.study, current.study)
        assert not reading.unread
        assert not reading.ambiguous
        assert answer == grammar.NOTHING or answer.endswith(". ")


def test_nothing_has_changed_between_a_study_and_itself() -> None:
    account = draw(np.random.default_rng(1))
    assert questions.ask_difference(np.random.default_rng(0), account, account)[2] == "nothing has changed."


def test_additions_come_in_any_order() -> None:
    rng = np.random.default_rng(2)
    empty = Account(Study("1", "", findings=dict.fromkeys(FINDINGS, 0.0)), {})
    names = ("edema", "hernia", "fracture")
    full = Account(replace(empty.study, findings=dict.fromkeys(FINDINGS, 0.0) | dict.fromkeys(names, 1.0)), {})
    answers = {questions.ask_difference(rng, empty, full)[2] for _ in range(60)}
    assert len(answers) == 6


def test_an_area_question_names_one_level_change_in_a_common_place() -> None:
    rng = np.random.default_rng(3)
    said = [Attributes(("left",), level=level) for level in ("small", "severe")]
    findings = {finding: float(finding == "pleural effusion") for finding in FINDINGS}
    prior, current = (
        Account(Study(str(k), "", findings=findings, levels={"pleural effusion": one.level}), {"pleural effusion": one})
        for k, one in enumerate(said)
    )
    asked = Counter(questions.ask_difference(rng, prior, current)[1:] for _ in range(400))
    area = (
        "what has changed in the left lung area?",
        "the level of pleural effusion has changed from small to severe. ",
    )
    assert 0 < asked[area] < 0.2 * 400
    assert asked[area] + asked[(grammar.DIFFERENCE_QUESTION, area[1])] == 400
    always = Counter(questions.ask_difference(rng, prior, current, "always")[1:] for _ in range(20))
    assert always == {area: 20}, "as the official generator"


def test_the_official_generator_takes_the_first_level_change_in_a_common_place() -> None:
    """In the order of the current account; one on both sides is passed over, and without any it asks about all."""
    places = {"edema": ("bilateral",), "pneumothorax": ("right", "apical"), "pleural effusion": ("left",)}
    prior, current = (
        Account(
            Study(
                level,
                "",
                findings={name: float(name in places) for name in FINDINGS},
                levels=dict.fromkeys(places, level),
            ),
            {name: Attributes(where, level=level) for name, where in places.items()},
        )
        for level in ("small", "severe")
    )
    rng = np.random.default_rng(5)
    assert questions.ask_difference(rng, prior, current, "always")[1:] == (
        "what has changed in the right apical area?",
        "the level of pneumothorax has changed from small to severe. ",
    )
    moved = replace(prior, attributes=dict.fromkeys(places, Attributes((), level="small")))
    question, answer = questions.ask_difference(rng, moved, current, "always")[1:]
    assert question == grammar.DIFFERENCE_QUESTION
    assert grammar.parse(answer).change == Change.between(prior.study, current.study)


def test_single_film_questions_are_templates_with_true_answers() -> None:
    rng = np.random.default_rng(4)
    seen: Counter[str] = Counter()
    for round_ in range(1500):
        account = draw(rng, "AP" if round_ % 2 else "PA")
        asked = questions.ask(rng, account)
        kinds = [kind for kind, _, _ in asked]
        assert kinds == sorted(set(kinds), key=KINDS.index)
        for kind, question, answer in asked:
            matches = ((template, form(template).fullmatch(question)) for template in grammar.QUESTIONS[kind])
            template, slots = next((template, match.groupdict()) for template, match in matches if match)
            seen[template] += 1
            check(account, kind, template, slots, answer)
    every = {template for kind in KINDS if kind != "difference" for template in grammar.QUESTIONS[kind]}
    assert set(seen) == every


def check(account: Account, kind: str, template: str, slots: dict[str, str], answer: str) -> None:
    """The answer follows from the account."""
    attributes, finding = account.attributes, slots.get("finding", "")
    if kind == "view":
        truth = account.study.view == ("PA" if "PA" in template else "AP")
        assert answer == (f"{account.study.view} view" if template.startswith("which") else ("no", "yes")[truth])
    elif kind == "abnormality" and "location" in slots:
        assert attributes[answer].post_location == slots["location"]
    elif kind == "abnormality":
        assert answer == (("no", "yes")[bool(attributes)] if "any" in template else ", ".join(attributes))
    elif kind == "presence":
        place = slots.get("location", "").removesuffix(" lung")
        said = attributes.get(finding, Attributes())
        here = " ".join(said.locations) or said.post_location.removesuffix(" lung")
        assert answer == ("yes" if finding in attributes and place in ("", here) else "no")
    elif kind == "location":
        said = attributes[finding]
        told = " ".join((*said.locations, said.post_location))
        assert answer.removesuffix(" area").removesuffix(" side") in told
        assert "side or" not in template or answer in ("left side", "right side")
    else:
        said = attributes[finding]
        assert answer == (said.level if kind == "level" else " ".join(said.types))


# --- reports ---------------------------------------------------------------------------------------------------

HEADING = re.compile(r"\n ([A-Z ()/,-]+):\s", re.DOTALL)


@pytest.mark.parametrize("seed", range(40))
def test_report_layout(seed: int) -> None:
    rng = np.random.default_rng(seed)
    prior = draw(rng) if seed % 3 else None
    report = reports.write(rng, draw(rng, "AP" if seed % 2 else "PA"), prior, "fall")
    first, *lines = report.removesuffix("\n").split("\n")
    assert first == " " * 33 + "FINAL REPORT"
    assert all(line.startswith(" ") and len(line) <= 79 for line in lines)
    assert all(line == " " or line[1] != " " for line in lines)
    assert report.isascii()
    assert HEADING.findall(report) == ["EXAMINATION", "INDICATION", "TECHNIQUE", "COMPARISON", "FINDINGS", "IMPRESSION"]


def findings_section(report: str) -> list[str]:
    text = report[report.index(" FINDINGS: ") + len(" FINDINGS: ") : report.index(" IMPRESSION: ")]
    return [sentence.strip() for sentence in " ".join(text.split()).split(".") if sentence.strip()]


@pytest.mark.parametrize("seed", range(40))
def test_report_says_what_is_there_and_nothing_else(seed: int) -> None:
    rng = np.random.default_rng(100 + seed)
    prior, current = draw(rng), draw(rng)
    report = reports.write(rng, current, prior, "fall")
    pattern, names = finding_names()
    positive: set[str] = set()
    negative: set[str] = set()
    for sentence in findings_section(report):
        named = {names[match] for match in pattern.findall(sentence.lower())}
        (negative if sentence.startswith("No ") or sentence.endswith("resolved") else positive).update(named)
    assert positive == set(current.attributes)
    assert negative == set(current.denied) | (set(prior.attributes) - set(current.attributes))


def test_report_tells_the_direction() -> None:
    rng = np.random.default_rng(0)
    findings = {finding: float(finding == "edema") for finding in FINDINGS}
    mild, severe = (
        Account(Study(level, "", findings=findings, levels={"edema": level}), {"edema": Attributes(level=level)})
        for level in ("mild", "severe")
    )
    assert re.search("increased|worsened", reports.write(rng, severe, mild, "fall"))
    assert re.search("decreased|improved", reports.write(rng, mild, severe, "fall"))
    assert re.search("unchanged|stable", reports.write(rng, mild, mild, "fall"))
