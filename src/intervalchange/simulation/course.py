"""A patient's illness over two to five visits, and how each exposure is made.

Findings come, move and go as small Markov chains whose rates depend on why the patient is ill; chronic findings
mostly stay. A lesion keeps its seed, side, zone and type, so that it grows or shrinks in place. About one later
visit in seven repeats the state of the visit before it under another acquisition: its true change is empty.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import resources
from typing import Literal, cast

import numpy as np

from intervalchange.data.extraction.account import Attributes
from intervalchange.findings import SIMULATED
from intervalchange.simulation.anatomy import Anatomy
from intervalchange.simulation.scene import Acquisition, Lesion, Side, State

Prevalence = Literal["teaching", "openi"]
"""`teaching`: every finding often enough to be learnt, by reason and age. `openi`: as often, and as often together, as
in the reports of an outpatient collection, where three films in five show none of them."""

SAME_STATE_SHARE = 0.15
"""Share of later visits that repeat the state before them."""
PACEMAKER_SHARE = 0.06
"""Share of patients with a pacemaker, at every visit."""
VISITS: Mapping[int, float] = {2: 0.2, 3: 0.3, 4: 0.3, 5: 0.2}
"""Number of visits -> share of patients."""

Levels = tuple[tuple[float, str], ...]
_SIZE: Levels = ((0.0, "small"), (0.38, "moderate"), (0.7, "severe"))
_GRADE: Levels = ((0.0, "mild"), (0.38, "moderate"), (0.7, "severe"))
_FINE: Levels = ((0.0, "minimal"), (0.3, "mild"), (0.55, "moderate"), (0.8, "severe"))
_MARGIN = 0.04
"""Severities keep this distance from the cut between two levels, so that a level is not a matter of luck."""
_FLOOR = 0.1
"""Below this severity a finding is gone."""

_ONE_SIDE = {"left": 0.5, "right": 0.5}
_ANY_SIDE = {"left": 0.38, "right": 0.38, "both": 0.24}
_ZONES = {"upper": 0.25, "middle": 0.3, "lower": 0.45}


@dataclass(frozen=True, slots=True)
class Illness:
    """How one finding comes, moves and goes, where it sits and how it is graded."""

    prevalence: float
    """Share of first visits."""
    onset: float
    """Probability that it appears between two visits."""
    recovery: float
    """Probability that it goes at once between two visits; shrinking below the floor comes on top. 0: never goes."""
    movement: float
    """Probability that its severity moves between two visits."""
    levels: Levels = ()
    """Least severity -> level word; empty for a finding without a grade."""
    sides: Mapping[str, float] = field(default_factory=lambda: {"": 1.0})
    zones: Mapping[str, float] = field(default_factory=lambda: {"": 1.0})
    types: Mapping[str, float] = field(default_factory=lambda: {"": 1.0})


_BASES = {"lower": 1.0}
_BANDS = {"linear": 0.55, "patchy": 0.3, "": 0.15}
_PATCHES = {"patchy": 0.35, "ground-glass": 0.25, "multifocal": 0.15, "focal": 0.15, "": 0.1}

ILLNESSES: Mapping[str, Illness] = {
    "pleural effusion": Illness(0.34, 0.15, 0.17, 0.52, _SIZE, _ANY_SIDE),
    "atelectasis": Illness(0.28, 0.16, 0.24, 0.42, _FINE, _ANY_SIDE, _BASES, _BANDS),
    "cardiomegaly": Illness(0.26, 0.05, 0.06, 0.25, _GRADE),
    "edema": Illness(0.20, 0.12, 0.26, 0.52, _GRADE, {"both": 1.0}),
    "hernia": Illness(0.06, 0.01, 0.0, 0.06, _SIZE[:2]),
    "pneumothorax": Illness(0.13, 0.08, 0.27, 0.50, _SIZE, _ONE_SIDE),
    "lung opacity": Illness(0.30, 0.17, 0.21, 0.48, _GRADE, _ANY_SIDE, _ZONES, _PATCHES),
    "scoliosis": Illness(0.08, 0.0, 0.0, 0.0, _GRADE[:2]),
    "gastric distention": Illness(0.07, 0.05, 0.45, 0.30, _GRADE),
    "tortuosity of the thoracic aorta": Illness(0.09, 0.005, 0.0, 0.0, _GRADE[:2]),
    "emphysema": Illness(0.09, 0.005, 0.0, 0.05, _GRADE, {"both": 1.0}),
    "granuloma": Illness(0.08, 0.005, 0.0, 0.0, (), _ONE_SIDE, _ZONES, {"calcified": 1.0}),
    "consolidation": Illness(0.17, 0.10, 0.23, 0.48, _GRADE, _ONE_SIDE, _ZONES, {"focal": 0.6, "": 0.4}),
    "fracture": Illness(0.08, 0.03, 0.10, 0.0, (), _ONE_SIDE, {"upper": 0.3, "middle": 0.5, "lower": 0.2}),
}
"""Finding -> its course. Rates are means over patients; `REASONS` shifts them."""

REASONS: Mapping[str, tuple[float, Mapping[str, float]]] = {
    "shortness of breath": (0.24, {"cardiomegaly": 2.2, "edema": 2.2, "pleural effusion": 1.6, "lung opacity": 0.6}),
    "fever and cough": (0.23, {"lung opacity": 1.9, "consolidation": 2.2, "edema": 0.4, "pneumothorax": 0.4}),
    "fall": (0.13, {"fracture": 4.0, "pneumothorax": 2.8, "atelectasis": 1.4, "edema": 0.4, "cardiomegaly": 0.6}),
    "chronic lung disease": (0.10, {"emphysema": 4.5, "granuloma": 2.0, "pneumothorax": 1.4, "cardiomegaly": 0.7}),
    "chest pain": (0.16, dict.fromkeys(SIMULATED, 0.3)),
    "abdominal pain": (0.14, {"gastric distention": 3.0, "hernia": 2.0, "atelectasis": 1.5, "consolidation": 0.5}),
}
"""Why the patient is there: share of patients, and what it makes more or less likely."""
_OF_AGE = ("hernia", "tortuosity of the thoracic aorta", "emphysema", "granuloma", "cardiomegaly")


@dataclass(frozen=True, slots=True)
class Visit:
    """What is ill at one visit and how its film is made."""

    state: State
    acquisition: Acquisition
    days: int
    """Days since the first visit."""
    same_state_as_previous: bool = False
    """The lesions are those of the visit before; only the exposure and the devices may differ."""


@dataclass(frozen=True, slots=True)
class _Active:
    lesion: Lesion
    trend: int
    """+1 growing, -1 shrinking."""


def sample_reason(rng: np.random.Generator) -> str:
    """Why the patient is there, a key of `REASONS`."""
    return _pick(rng, {reason: share for reason, (share, _) in REASONS.items()})


def sample_course(
    rng: np.random.Generator,
    anatomy: Anatomy,
    acquisition_rng: np.random.Generator | None = None,
    reason: str | None = None,
    visits: int | None = None,
    style: Literal["a", "b"] = "a",
    prevalence: Prevalence = "teaching",
) -> list[Visit]:
    """Two to five visits of one patient, in time order.

    rng draws the illness, acquisition_rng the exposures (a child of rng where absent), so that one can be held while
    the other moves. visits: a fixed number of visits. prevalence: how often findings are there; see `Prevalence`.
    """
    acquisition_rng = acquisition_rng if acquisition_rng is not None else rng.spawn(1)[0]
    reason = reason or sample_reason(rng)
    count = visits or int(_pick(rng, {str(number): share for number, share in VISITS.items()}))
    if prevalence == "openi":
        risks = _real_risks()
        active = _real_first_visit(rng)
    else:
        risks = _risks(reason, anatomy.age)
        active = _first_visit(rng, risks)
    days, course = 0, []
    implanted = ("pacemaker",) if acquisition_rng.random() < PACEMAKER_SHARE else ()
    for number in range(count):
        repeat = number > 0 and rng.random() < SAME_STATE_SHARE
        if number:
            days += 1 if repeat else _gap(rng)
        if number and not repeat:
            active = _next_visit(rng, active, risks)
        lesions = tuple(active[finding].lesion for finding in SIMULATED if finding in active)
        acquisition, devices = sample_acquisition(acquisition_rng, style)
        course.append(Visit(State(lesions, devices + implanted), acquisition, days, repeat))
    return course


def level_of(finding: str, severity: float) -> str:
    """The level word of a latent severity; empty for a finding without grades."""
    word = ""
    for least, level in ILLNESSES[finding].levels:
        if severity >= least:
            word = level
    return word


def _pick(rng: np.random.Generator, shares: Mapping[str, float]) -> str:
    weights = np.array(list(shares.values()))
    return list(shares)[int(rng.choice(len(weights), p=weights / weights.sum()))]


def _gap(rng: np.random.Generator) -> int:
    """Days to the next visit: days in hospital, months outside."""
    return int(np.exp(rng.uniform(np.log(1), np.log(8) if rng.random() < 0.6 else np.log(400)))) or 1


def _risks(reason: str, age: float) -> dict[str, float]:
    """Finding -> how much likelier it is for this patient than on average."""
    mean = {
        finding: sum(share * factors.get(finding, 1.0) for share, factors in REASONS.values()) for finding in SIMULATED
    }
    old = {finding: float(np.clip((age - 20) / 40, 0.1, 1.6)) if finding in _OF_AGE else 1.0 for finding in SIMULATED}
    return {finding: REASONS[reason][1].get(finding, 1.0) / mean[finding] * old[finding] for finding in SIMULATED}


def _first_visit(rng: np.random.Generator, risks: Mapping[str, float]) -> dict[str, _Active]:
    active: dict[str, _Active] = {}
    for finding in SIMULATED:
        if rng.random() < min(0.9, ILLNESSES[finding].prevalence * risks[finding]):
            active[finding] = _onset(rng, finding, active)
    return active


@cache
def label_sets() -> tuple[tuple[tuple[str, ...], ...], tuple[float, ...]]:
    """Sets of findings that occur together in real reports (`benchmarks/label_sets.py`), and the share of each."""
    text = resources.files("intervalchange.simulation").joinpath("label_sets.json").read_text(encoding="utf-8")
    table = json.loads(text)
    sets = tuple(tuple(names) for names, _ in table["sets"])
    return sets, tuple(count / table["reports"] for _, count in table["sets"])


def _real_first_visit(rng: np.random.Generator) -> dict[str, _Active]:
    sets, shares = label_sets()
    drawn = sets[int(rng.choice(len(sets), p=np.array(shares) / sum(shares)))]
    active: dict[str, _Active] = {}
    for finding in SIMULATED:
        if finding in drawn:
            active[finding] = _onset(rng, finding, active)
    return active


@cache
def _real_risks() -> Mapping[str, float]:
    """Onset is as much rarer as the finding is, so that later visits look like first ones."""
    sets, shares = label_sets()
    there = {
        finding: sum(s for names, s in zip(sets, shares, strict=True) if finding in names) for finding in SIMULATED
    }
    return {finding: there[finding] / ILLNESSES[finding].prevalence for finding in SIMULATED}


def _next_visit(
    rng: np.random.Generator, active: Mapping[str, _Active], risks: Mapping[str, float]
) -> dict[str, _Active]:
    """One step of every chain. A step in which nothing moved is drawn again, at most three times."""
    for _ in range(4):
        moved = _step(rng, active, risks)
        if _graded(moved) != _graded(active):
            break
    return moved


def _step(rng: np.random.Generator, active: Mapping[str, _Active], risks: Mapping[str, float]) -> dict[str, _Active]:
    moved: dict[str, _Active] = {}
    for finding in SIMULATED:
        illness, draw = ILLNESSES[finding], rng.random()
        if finding not in active:
            if draw < min(0.6, illness.onset * risks[finding]):
                moved[finding] = _onset(rng, finding, {**active, **moved})
        elif draw >= illness.recovery + illness.movement:
            moved[finding] = active[finding]
        elif draw >= illness.recovery:
            trend = active[finding].trend * (-1 if rng.random() < 0.3 else 1)
            lesion = active[finding].lesion
            severity = _off_cuts(finding, min(1.0, lesion.severity + trend * rng.uniform(0.2, 0.45)))
            if illness.recovery == 0:
                severity = max(severity, 2 * _FLOOR)
            if severity >= _FLOOR:
                moved[finding] = _Active(replace(lesion, severity=severity), -1 if severity >= 0.98 else trend)
    return moved


def _graded(active: Mapping[str, _Active]) -> dict[str, str]:
    return {finding: level_of(finding, item.lesion.severity) for finding, item in active.items()}


def _onset(rng: np.random.Generator, finding: str, others: Mapping[str, _Active]) -> _Active:
    illness = ILLNESSES[finding]
    side, zone = _site(rng, finding, others)
    severity = _off_cuts(finding, float(rng.uniform(0.15, 1.0)) ** 1.2)
    lesion = Lesion(
        finding=finding,
        severity=max(severity, _FLOOR),
        side=cast(Side, side),
        zone=cast(Literal["upper", "middle", "lower", ""], zone),
        type=_pick(rng, illness.types),
        seed=int(rng.integers(2**31)),
    )
    return _Active(lesion, 1 if rng.random() < 0.55 else -1)


_IN_LUNG = ("lung opacity", "consolidation", "granuloma")


def _site(rng: np.random.Generator, finding: str, others: Mapping[str, _Active]) -> tuple[str, str]:
    """Side and zone. Two densities do not share a site, and none hides in a lung that has collapsed."""
    illness = ILLNESSES[finding]
    side, zone = "", ""
    for _ in range(8):
        side, zone = _pick(rng, illness.sides), _pick(rng, illness.zones)
        if not any(_collide(finding, side, zone, other.lesion) for other in others.values()):
            break
    return side, zone


def _collide(finding: str, side: str, zone: str, other: Lesion) -> bool:
    same_side = side == other.side or "both" in (side, other.side)
    if "pneumothorax" in (finding, other.finding):
        return same_side and {finding, other.finding} & set(_IN_LUNG) != set()
    return same_side and zone == other.zone and finding in _IN_LUNG and other.finding in _IN_LUNG


def _off_cuts(finding: str, severity: float) -> float:
    """Severity moved away from the nearest cut between two levels."""
    for cut, _ in ILLNESSES[finding].levels[1:]:
        if abs(severity - cut) < _MARGIN:
            return cut + (_MARGIN if severity >= cut else -_MARGIN)
    return severity


# --- exposures -------------------------------------------------------------------------------------------------


def sample_acquisition(
    rng: np.random.Generator, style: Literal["a", "b"] = "a", view: Literal["PA", "AP"] | None = None
) -> tuple[Acquisition, tuple[str, ...]]:
    """One exposure and the passing devices. A bedside AP film is nearer, askew, shallower and more cluttered."""
    bedside = rng.random() < 0.5 if view is None else view == "AP"
    spread = 1.0 if bedside else 0.45
    acquisition = Acquisition(
        view="AP" if bedside else "PA",
        source_distance_cm=float(rng.normal(105, 5) if bedside else rng.normal(180, 2)),
        yaw_deg=float(np.clip(rng.normal(0, 4.5 * spread), -10, 10)),
        roll_deg=float(np.clip(rng.normal(0, 3 * spread), -7, 7)),
        tilt_deg=float(np.clip(rng.normal(3 if bedside else 0, 4 * spread), -10, 12)),
        inspiration=float(np.clip(rng.normal(0.68, 0.15) if bedside else rng.normal(0.93, 0.07), 0.3, 1.0)),
        shift_cm=(
            float(np.clip(rng.normal(0, 1.3 * spread), -3, 3)),
            float(np.clip(rng.normal(0, 1.3 * spread), -3, 3)),
        ),
        field_cm=float(rng.uniform(38, 43)),
        exposure=float(np.clip(rng.normal(0, 0.15), -0.4, 0.4)),
        scatter=float(np.clip(rng.normal(0.42 if bedside else 0.33, 0.05), 0.15, 0.6)),
        noise=float(np.exp(rng.normal(0.2 if bedside else 0.0, 0.25))),
        gamma=float(np.exp(rng.normal(0, 0.1))),
        detail=float(rng.uniform(0.5, 1.5)),
        style=style,
        seed=int(rng.integers(2**31)),
    )
    probabilities = {
        "leads": 0.7 if bedside else 0.05,
        "endotracheal tube": 0.2 if bedside else 0.0,
        "central line": 0.3 if bedside else 0.05,
    }
    return acquisition, tuple(device for device, probability in probabilities.items() if rng.random() < probability)


# --- words -----------------------------------------------------------------------------------------------------


def describe(lesion: Lesion) -> Attributes:
    """Place, type and grade of a lesion in words. The same lesion is always placed in the same words."""
    level = level_of(lesion.finding, lesion.severity)
    # Mild edema is what a report calls interstitial.
    kind = "interstitial" if (lesion.finding, level) == ("edema", "mild") else lesion.type
    words, phrase = _where(lesion)
    return Attributes(words, phrase, (kind,) if kind else (), level)


def _where(lesion: Lesion) -> tuple[tuple[str, ...], str]:
    """Words before the name, or a phrase after it."""
    side = "bilateral" if lesion.side == "both" else lesion.side
    after_the_name = side != "bilateral" and lesion.seed % 2 == 1
    match lesion.finding:
        case "pleural effusion":
            return (side,), ""
        case "pneumothorax":
            return (side, "apical"), ""
        case "fracture":
            return (side, "rib"), ""
        case "atelectasis" if after_the_name:
            return (), f"the {side} lung base"
        case "atelectasis":
            return (("bibasilar",) if side == "bilateral" else (side, "basilar")), ""
    if not lesion.zone:
        return (), ""
    if after_the_name:
        return (), f"the {side} {lesion.zone} lung"
    return ((side,) if side == "bilateral" else (side, lesion.zone)), ""
