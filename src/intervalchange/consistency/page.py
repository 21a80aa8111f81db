"""The consistency suite as one page that needs nothing else: a dot with its interval per test, and a table."""

from __future__ import annotations

from collections.abc import Sequence

from intervalchange.consistency.suite import SCORES, SuiteScores
from intervalchange.evaluation.report.curves import Bar, whiskers
from intervalchange.report.page import Cell, Chart, Grid, Row, render_page

MORE = {
    "suite.swap.items.f1": "films swapped: items in common",
    "suite.triangle.items.f1": "three visits: items in common",
    "suite.triangle.reference.rate": "three visits: what the reference answers get",
    "suite.paraphrase.items.f1": "question in other words: items in common",
    "suite.misregistration.items.f1": "current film moved: items in common",
    "suite.given.change_f1": "change F1 on the given films",
    "suite.shuffled.change_f1": "change F1 on another patient's films",
    "suite.unread.rate": "answers that could not be read in full",
}
"""Metrics beside the scores, in words."""


def consistency_page(models: Sequence[SuiteScores]) -> str:
    """A complete HTML document over one or more models."""
    scores = {f"suite.{name}": words for words, name in SCORES.values()}
    dots = [
        (words, [Bar.of(model.metrics, key, series) for series, model in enumerate(models)])
        for key, words in scores.items()
    ]
    names = [model.name for model in models]
    return render_page(
        "consistency.html",
        "Consistency suite",
        names=names,
        chart=Chart(
            whiskers(dots, "Score of each test, with its 95% interval by patient"),
            "Each score is a share; 1 is best. Lines are 95% intervals by patient.",
        ),
        grid=Grid(
            names,
            [Row(words, [_cell(model, key) for model in models]) for key, words in (scores | MORE).items()],
        ),
    )


def _cell(model: SuiteScores, key: str) -> Cell:
    """The value, with its interval and how many answers a score is over."""
    bar, value = Bar.of(model.metrics, key), model.metrics.get(key)
    if bar.value is None:
        return Cell(str(value or "–"))
    interval = "" if bar.low is None or bar.high is None else f"[{bar.low:.3f}, {bar.high:.3f}]"
    count = model.metrics.get(f"{key.rsplit('.', 1)[0]}.count")
    over = "" if count is None or key in MORE else f" of {count}"
    return Cell(f"{bar.value:.3f}", (interval + over).strip())
