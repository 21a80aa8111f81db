"""More that can be asked about NIH's films: presence, view and location, beside what `nih.py` makes of them by itself.

    presence   of one finding that is labelled, or that the labels would name and do not, half and half
    view       PA or AP, of every film
    location   left or right (of the patient), where the list of boxes has the finding on one side or on both

Of level and type NIH says nothing: there is no such question. No "no" is made of a box that is missing: the boxes are
of the findings that a radiologist drew, not of all there are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from itertools import chain

import numpy as np

from intervalchange import grammar
from intervalchange.data.extraction.account import Account, Attributes
from intervalchange.data.extraction.questions import QuestionAnswer, ask
from intervalchange.findings import FINDINGS
from intervalchange.records import Case, Region, Study

MIDLINE = frozenset({"cardiomegaly", "hernia"})
"""Findings without a side."""
MARGIN = 0.05
"""A box whose centre is nearer to the middle of the film, as a share of its width, has no side either."""


def film_questions(film: Study, patient: str, split: str, side: float) -> Iterator[Case]:
    """The cases of one film; the same film is asked the same, whatever else is read.

    side: width, in pixels, of the film that its boxes were drawn on.
    """
    digest = hashlib.sha256(f"{film.study_id}/questions".encode()).digest()
    rng = np.random.default_rng(list(digest[:16]))
    named = {name: Attributes() for name in FINDINGS if film.findings.get(name) == 1}
    unknown = tuple(name for name in FINDINGS if name not in film.findings)
    located = {name: Attributes(sides_of(name, film.regions, side)) for name in named}
    asked = chain(
        (item for item in ask(rng, Account(film, named, unknown=unknown)) if item[0] == "presence"),
        [_view(rng, film.view)],
        (item for item in ask(rng, Account(film, located, unknown=unknown)) if item[0] == "location"),
    )
    for kind, question, answer in asked:
        yield Case(f"{film.study_id}-{kind}", patient, film, None, question, answer, kind, split)


def sides_of(finding: str, regions: Sequence[Region], side: float) -> tuple[str, ...]:
    """`left`, `right` or `bilateral`, of the patient, who faces us; empty where the boxes do not say."""
    centres = [(region.box[0] + region.box[2]) / 2 / side for region in regions if region.name == finding]
    if finding in MIDLINE or not centres or any(abs(centre - 0.5) < MARGIN for centre in centres):
        return ()
    sides = {"right" if centre < 0.5 else "left" for centre in centres}
    return ("bilateral",) if len(sides) == 2 else tuple(sides)


def _view(rng: np.random.Generator, view: str) -> QuestionAnswer:
    """One of the three wordings. view: PA or AP."""
    which, posterior, anterior = grammar.QUESTIONS["view"]
    form = int(rng.integers(3))
    if form == 0:
        return "view", which, f"{view} view"
    return "view", posterior if form == 1 else anterior, "yes" if (view == "PA") == (form == 1) else "no"
