"""The consistency suite as one page that needs nothing else: a bar with its interval for every test, and a table."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from intervalchange.consistency.suite import SCORES, SuiteScores
from intervalchange.evaluation.report.curves import COLOURS, Bar, whiskers
from intervalchange.policy import RESEARCH_USE

MORE = {
    "suite.swap.items.f1": "films swapped: items in common",
    "suite.triangle.items.f1": "three visits: items in common",
    "suite.triangle.reference.rate": "three visits: what the true answers get",
    "suite.paraphrase.items.f1": "question in other words: items in common",
    "suite.misregistration.items.f1": "current film moved: items in common",
    "suite.given.change_f1": "change F1 on the given films",
    "suite.shuffled.change_f1": "change F1 on another patient's films",
    "suite.unread.rate": "answers that could not be read in full",
}
"""Figures beside the scores, in words."""


def consistency_page(found: Sequence[SuiteScores]) -> str:
    """A complete HTML document over one or more models."""
    rows = [
        (words, [_bar(scores, place, f"suite.{name}") for place, scores in enumerate(found)])
        for words, name in SCORES.values()
    ]
    legend = "".join(
        f'<span><svg class="key" viewBox="0 0 12 12"><rect width="12" height="12" class="f{place % COLOURS}"/></svg>'
        f"{escape(scores.name)}</span>"
        for place, scores in enumerate(found)
    )
    named = {f"suite.{name}": words for words, name in SCORES.values()} | MORE
    head = "".join(f"<th>{escape(scores.name)}</th>" for scores in found)
    lines = "".join(
        f"<tr><td>{escape(words)}</td>{''.join(f'<td>{_cell(scores, key)}</td>' for scores in found)}</tr>"
        for key, words in named.items()
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Consistency suite</title><style>{_STYLE}</style></head><body><h1>Consistency suite</h1>"
        f"<p class='notice'>{escape(RESEARCH_USE)}</p><p class='legend'>{legend}</p>"
        f"<figure>{whiskers(rows, 'Score of each test, with its 95% interval by patient')}"
        "<figcaption>Each score is a share; 1 is best. Lines are 95% intervals by patient.</figcaption></figure>"
        f"<table><tr><th></th>{head}</tr>{lines}</table></body></html>\n"
    )


def _number(scores: SuiteScores, key: str) -> float | None:
    value = scores.metrics.get(key)
    return float(value) if isinstance(value, int | float) else None


def _bar(scores: SuiteScores, series: int, key: str) -> Bar:
    return Bar(series, _number(scores, key), _number(scores, f"{key}.low"), _number(scores, f"{key}.high"))


def _cell(scores: SuiteScores, key: str) -> str:
    value = _number(scores, key)
    if value is None:
        return escape(str(scores.metrics.get(key) or "–"))
    low, high = (_number(scores, f"{key}.{end}") for end in ("low", "high"))
    span = "" if low is None or high is None else f" <small>{low:.3f} to {high:.3f}</small>"
    count = _number(scores, f"{key.rsplit('.', 1)[0]}.count")
    over = "" if count is None or key in MORE else f" <small>of {count:.0f}</small>"
    return f"{value:.3f}{span}{over}"


_STYLE = """
:root{color-scheme:light dark;--ink:#1c2430;--paper:#fff;--line:#dde3ea;
--c0:#0072b2;--c1:#d55e00;--c2:#009e73;--c3:#cc79a7;--c4:#8a6d00;--c5:#56b4e9}
@media(prefers-color-scheme:dark){:root{--ink:#dfe6ee;--paper:#14181d;--line:#343d48}}
body{font:15px/1.5 system-ui,sans-serif;margin:0 auto;max-width:60rem;padding:1.5rem 1rem;color:var(--ink);
background:var(--paper)}
.notice{border:1px solid var(--line);padding:.4rem .8rem}.legend span{margin-right:1.2rem}
.key{width:.8em;margin-right:.4em;display:inline}
table{border-collapse:collapse;width:100%}
th,td{padding:.2rem .6rem;text-align:right;border-bottom:1px solid var(--line)}
th:first-child,td:first-child{text-align:left}small{opacity:.75}
figure{margin:.6rem 0}svg{width:100%;height:auto;max-width:760px;display:block}
svg text{font-size:12px;fill:var(--ink)}svg text.value{font-size:11px;opacity:.85}
.grid{stroke:var(--line)}.whisker{stroke-width:2}
.s0{stroke:var(--c0)}.s1{stroke:var(--c1)}.s2{stroke:var(--c2)}.s3{stroke:var(--c3)}.s4{stroke:var(--c4)}
.s5{stroke:var(--c5)}
.f0{fill:var(--c0)}.f1{fill:var(--c1)}.f2{fill:var(--c2)}.f3{fill:var(--c3)}.f4{fill:var(--c4)}.f5{fill:var(--c5)}
"""
