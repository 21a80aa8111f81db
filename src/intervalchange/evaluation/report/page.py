"""The scores as one page that needs nothing else: tables, charts as SVG, worst answers with their films.

Every text that comes from a file is escaped; nothing is loaded from anywhere.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
from PIL import Image

from intervalchange.evaluation.metrics import calibration
from intervalchange.evaluation.metrics.confounds import FACTORS, NOT_GIVEN
from intervalchange.evaluation.report import curves, table
from intervalchange.evaluation.report.curves import Bar, Confidences
from intervalchange.evaluation.report.worst import CaseSource, WorstCase, worst_cases
from intervalchange.evaluation.scoring.answer_file import FileScores, MetricValue
from intervalchange.policy import RESEARCH_USE

FILM_SIDE = 224
"""Pixels of a film on the page."""
WORST = 6
"""Worst answers shown of each file."""
SHOWN_OTHERWISE = ("blank", "prior_twice", "swap")
"""Floors that are the model's own answers to other films."""
CHANGE_F1 = "change.findings.micro.f1"
CUTS = (
    ("change F1", CHANGE_F1),
    ("exact change", "change.exact.accuracy"),
    ("false change, unchanged pairs", "change.false_change.rate"),
    ("direction errors", "change.direction_error.rate"),
)
"""Figures of the table of confounds."""
_BY_FINDING = (
    ("reference items", "change.by_finding.{}.support"),
    ("precision", "change.by_finding.{}.precision"),
    ("recall", "change.by_finding.{}.recall"),
    ("F1", "change.by_finding.{}.f1"),
    ("F1, added", "change.added.by_finding.{}.f1"),
    ("F1, missing", "change.missing.by_finding.{}.f1"),
    ("F1, level", "change.levels.by_finding.{}.f1"),
)


def score_page(
    files: Sequence[FileScores],
    paired: Mapping[str, Mapping[str, MetricValue]],
    source: CaseSource | None = None,
    title: str = "Scores",
) -> str:
    """A complete HTML document. source: where the films of the worst answers are; none are shown without."""
    charts = {
        "change": _headline_chart(files),
        "confidence": _confidence_charts(files),
    }
    parts, opened = [], set()
    found = table.sections(files, paired)
    found.sort(key=lambda section: _ORDER.index(section.key))
    for section in found:
        if section.key in ("confounds", "findings"):
            parts.append(_confounds(files) if section.key == "confounds" else _findings(files))
        else:
            chart = "" if section.key in opened else charts.get(section.key, "")
            parts.append(_section(section.key, section.title, chart + _table(section, files), section.key in opened))
        opened.add(section.key)
    parts.append(_worst(files, source))
    links = "".join(f'<a href="#{key}">{words}</a>' for key, words in _LINKS if key in opened or key == "worst")
    notes = "".join(f"<li>{escape(line)}</li>" for line in table.captions(files)[1:])
    captions = dict.fromkeys(str(file.metrics["caption"]) for file in files if file.metrics.get("caption"))
    badges = "".join(f'<span class="badge">{escape(caption)}</span>' for caption in captions)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>intervalchange: {escape(title)}</title><style>{_STYLE}</style></head><body>"
        f'<h1>{escape(title)}</h1><p class="notice"><strong>{RESEARCH_USE}</strong> {badges}</p>'
        f"{_legend(files)}<nav>{links}</nav>{''.join(parts)}"
        f'<section id="notes"><h2>Notes</h2><ul>{notes}</ul></section></body></html>\n'
    )


_ORDER = ("change", "floors", "findings", "confidence", "confounds", "consistency", "paired", "text", "kinds", "scored")
_LINKS = (
    ("change", "Change"),
    ("floors", "Floors"),
    ("findings", "Findings"),
    ("confidence", "Confidence"),
    ("confounds", "Confounds"),
    ("consistency", "Consistency"),
    ("paired", "Compared"),
    ("text", "Text"),
    ("kinds", "Other questions"),
    ("scored", "What was scored"),
    ("worst", "Worst answers"),
)


def _section(key: str, title: str, body: str, again: bool = False) -> str:
    anchor = "" if again else f' id="{key}"'
    return f"<section{anchor}><h2>{escape(title)}</h2>{body}</section>"


def _legend(files: Sequence[FileScores]) -> str:
    entries = "".join(
        f'<span><svg class="key" viewBox="0 0 12 12"><rect width="12" height="12" rx="3" '
        f'class="f{place % curves.COLOURS}"/></svg>{escape(file.name)}</span>'
        for place, file in enumerate(files)
    )
    return f'<p class="legend">{entries}</p>'


def _cell(text: str) -> str:
    """A figure, its interval smaller."""
    value, bracket, span = text.partition(" [")
    if not bracket:
        return f"<td>{escape(text)}</td>"
    return f"<td>{escape(value)} <small>[{escape(span)}</small></td>"


def _table(section: table.Section, files: Sequence[FileScores]) -> str:
    head = "".join(f"<th>{escape(file.name)}</th>" for file in files)
    rows = "".join(
        f"<tr><td{' class=sub' if label.startswith(' ') else ''}>{escape(label.strip())}</td>"
        + "".join(map(_cell, cells))
        + "</tr>"
        for label, cells in section.rows
    )
    return f'<div class="wide"><table><tr><th></th>{head}</tr>{rows}</table></div>'


def _figure(svg: str, caption: str) -> str:
    return f"<figure>{svg}<figcaption>{escape(caption)}</figcaption></figure>"


def _bar(file: FileScores, series: int, name: str) -> Bar:
    def number(key: str) -> float | None:
        value = file.metrics.get(key)
        return float(value) if isinstance(value, int | float) else None

    return Bar(series, number(name), number(f"{name}.low"), number(f"{name}.high"))


def _headline_chart(files: Sequence[FileScores]) -> str:
    """Change F1 of the files and of every floor that was run."""
    rows = [("the answers", [_bar(file, place, CHANGE_F1) for place, file in enumerate(files)])]
    for floor, words in table.FLOOR_NAMES.items():
        floor_bars = [_bar(file, place, f"floors.{floor}.{CHANGE_F1}") for place, file in enumerate(files)]
        run = [bar for bar in floor_bars if bar.value is not None]
        if run:
            rows.append((f"{'control' if floor in SHOWN_OTHERWISE else 'floor'}: {words}", run))
    svg = curves.whiskers(rows, "Change F1 of the answers and of the floors")
    return _figure(
        svg, "Change F1 (added and missing findings) beside answers that have not looked; 95% intervals by patient"
    )


def _findings(files: Sequence[FileScores]) -> str:
    """Bars of all files, and a table of each: the most frequent finding first."""
    ranked = table.finding_supports(files)
    if not ranked:
        return ""
    prefix = "change.by_finding."
    rows = [
        (f"{name} ({support})", [_bar(file, place, f"{prefix}{name}.f1") for place, file in enumerate(files)])
        for name, support in ranked.items()
    ]
    chart = _figure(curves.bars(rows, "Change F1 by finding"), "Change F1 by finding; in brackets, reference items")
    head = "<tr><th></th>" + "".join(f"<th>{words}</th>" for words, _ in _BY_FINDING) + "</tr>"
    tables = [
        _caption(file, files)
        + f'<div class="wide"><table>{head}'
        + "".join(
            f"<tr><td>{escape(name)}</td>"
            + "".join(_cell(table.cell(file.metrics, key.format(name))) for _, key in _BY_FINDING)
            + "</tr>"
            for name in ranked
        )
        + "</table></div>"
        for file in files
    ]
    return _section("findings", "Findings", chart + "".join(tables))


def _caption(file: FileScores, files: Sequence[FileScores]) -> str:
    """The name of a file above what is its own, where there are several."""
    return f"<h3>{escape(file.name)}</h3>" if len(files) > 1 else ""


def _confidences(file: FileScores) -> Confidences:
    sure = [place for place, case in enumerate(file.asked) if "answer" in (case.confidence or {})]
    exact = file.counts.get("exact", np.zeros(len(file.asked)))
    coverage, risk = (file.metrics.get(f"selective.{name}") for name in ("coverage", "risk"))
    marked = None
    if file.metrics.get("selective.abstained.count") and isinstance(coverage, float) and isinstance(risk, float):
        marked = (coverage, risk)
    said = [float((file.asked[place].confidence or {})["answer"]) for place in sure]
    return Confidences(file.name, said, [bool(exact[place]) for place in sure], marked)


def _finding_confidences(file: FileScores) -> Confidences:
    said, true, _ = calibration.finding_probabilities(file.asked, file.texts[1])
    return Confidences(file.name, said, true)


def _confidence_charts(files: Sequence[FileScores]) -> str:
    whole, single = [_confidences(file) for file in files], [_finding_confidences(file) for file in files]
    charts = []
    if any(file.confidence for file in whole):
        charts.append(_figure(curves.reliability_diagram(whole), "Reliability of whole answers: on the line is honest"))
        charts.append(_figure(curves.risk_coverage_curve(whole), "Risk and coverage: lower is better"))
    if any(file.confidence for file in single):
        diagram = curves.reliability_diagram(single, "single findings")
        charts.append(_figure(diagram, "Reliability of each finding's probability"))
    if not charts:
        return "<p>No answer comes with a confidence, so there is no curve.</p>"
    return f'<div class="charts">{"".join(charts)}</div>'


def _confounds(files: Sequence[FileScores]) -> str:
    """All factors in one table a file: strata down, figures across."""
    head = "".join(f"<th>{escape(words)}</th>" for words, _ in CUTS)
    tables = []
    for file in files:
        rows = []
        for factor, words in FACTORS.items():
            strata = table.confound_strata([file], factor)
            given = "" if strata else f" <small>({NOT_GIVEN})</small>"
            rows.append(f'<tr class="factor"><td colspan="{len(CUTS) + 2}">{escape(words)}{given}</td></tr>')
            for name, count in strata.items():
                owners = file.metrics.get(f"by.{factor}.{name}.patients", "")
                cells = "".join(_cell(table.cell(file.metrics, f"by.{factor}.{name}.{key}")) for _, key in CUTS)
                rows.append(
                    f"<tr><td class=sub>{escape(name)}</td><td>{count} <small>of {owners}</small></td>{cells}</tr>"
                )
        caption = _caption(file, files)
        first = "<tr><th></th><th>pairs <small>of patients</small></th>"
        tables.append(f'{caption}<div class="wide"><table>{first}{head}</tr>{"".join(rows)}</table></div>')
    why = (
        "<p>Figures of one factor should be close to each other: where they are not, the answers depend on how a film "
        "was taken or of whom, or the strata differ in disease.</p>"
    )
    return _section("confounds", "Confounds (95% intervals by patient)", why + "".join(tables))


# --- worst answers -----------------------------------------------------------------------------------------------


def _worst(files: Sequence[FileScores], source: CaseSource | None) -> str:
    parts = []
    for file in files:
        cases = worst_cases(file.asked, file.texts[1], WORST)
        caption = _caption(file, files)
        shown = "".join(_worst_case(case, source) for case in cases)
        parts.append(caption + (f'<div class="cases">{shown}</div>' if cases else "<p>No answer is wrong.</p>"))
    how = (
        "One a patient: wrong directions first, then the number of wrong items, then how sure the answer was. "
        + ("" if source else "Give `--data PREPARED` to see the films.")
        + (" The films are part of this page: their terms of use go with it." if source else "")
    )
    return _section("worst", "Worst answers", f"<p>{escape(how)}</p>" + "".join(parts))


def _worst_case(case: WorstCase, source: CaseSource | None) -> str:
    said = case.prediction
    films = source.films(said.case_id) if source is not None else None
    sure = (said.confidence or {}).get("answer")
    facts = [f"{key.replace('_', ' ')} {value}" for key, value in (said.facts or {}).items()]
    about = [f"case {said.case_id}", *([f"sure {sure:.2f}"] if sure is not None else []), *facts, *said.warnings]
    wrong = "".join(f"<li>{escape(words)}</li>" for words in case.mistakes.in_words())
    return (
        f"<article>{_films(films)}<p><b>Answer</b> {escape(said.answer or '(nothing)')}</p>"
        f"<p><b>Reference</b> {escape(case.reference)}</p><ul class=wrong>{wrong}</ul>"
        f"<p><small>{escape(' · '.join(about))}</small></p></article>"
    )


def _films(films: tuple[np.ndarray | None, np.ndarray] | None) -> str:
    if films is None:
        return ""
    shown = [
        f'<figure><img alt="{side} film" src="{_jpeg(film)}"><figcaption>{side}</figcaption></figure>'
        for side, film in zip(("prior", "current"), films, strict=True)
        if film is not None
    ]
    return f'<div class="films">{"".join(shown)}</div>'


def _jpeg(film: np.ndarray) -> str:
    """(s, s) uint8 -> a data URI."""
    picture = Image.fromarray(film).resize((FILM_SIDE, FILM_SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, format="JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


# Colours of the series: Okabe and Ito's, which those with a colour vision deficiency can tell apart; lighter on dark.
_STYLE = """
:root{color-scheme:light dark;--ink:#1c2430;--paper:#fff;--line:#dde3ea;--soft:#f4f6f9;--bad:#b3261e;
--c0:#0072b2;--c1:#d55e00;--c2:#009e73;--c3:#cc79a7;--c4:#8a6d00;--c5:#56b4e9}
@media(prefers-color-scheme:dark){:root{--ink:#dfe6ee;--paper:#14181d;--line:#343d48;--soft:#1c222a;--bad:#ff8a80;
--c0:#4aa8e8;--c1:#ff8c42;--c2:#2fc79a;--c3:#e59cc4;--c4:#d8b830;--c5:#9ad4f5}}
body{font:15px/1.5 system-ui,sans-serif;margin:0 auto;max-width:66rem;padding:1.5rem 1rem 4rem;color:var(--ink);
background:var(--paper)}
h1{font-size:1.6rem;margin:0 0 .6rem}h2{font-size:1.15rem;margin:2.2rem 0 .5rem}h3{font-size:1rem;margin:1.2rem 0 .3rem}
.notice{border:1px solid var(--line);border-left:4px solid var(--bad);background:var(--soft);padding:.5rem .8rem}
.badge{border:1px solid var(--line);border-radius:1em;padding:.05rem .6rem;margin-left:.4rem;background:var(--paper);
white-space:nowrap}
nav{display:flex;flex-wrap:wrap;gap:.2rem 1rem;border-bottom:1px solid var(--line);padding-bottom:.5rem}
a{color:var(--c0)}
.legend{display:flex;flex-wrap:wrap;gap:.2rem 1.2rem;overflow-wrap:anywhere}
.wide{overflow-x:auto}
table{border-collapse:collapse;width:100%}
th,td{padding:.22rem .6rem;text-align:right;border-bottom:1px solid var(--line);font-variant-numeric:tabular-nums;
overflow-wrap:anywhere}
th{font-weight:600;vertical-align:bottom}td{white-space:nowrap}th:first-child,td:first-child{text-align:left;min-width:11rem;white-space:normal}
td.sub{padding-left:1.6rem}tr.factor td{font-weight:600;padding-top:.7rem}
small{opacity:.75;font-weight:400}
figure{margin:.6rem 0}figcaption{font-size:.85rem;opacity:.8}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(22rem,1fr));gap:1rem}
svg{width:100%;height:auto;display:block}figure{overflow-x:auto}svg.broad{max-width:1000px;min-width:29rem}
svg.key{width:.8em;height:.8em;margin-right:.4em;display:inline-block}
svg text{font-size:12px;fill:var(--ink)}svg text.axis{font-size:13px}svg text.value{font-size:11px;opacity:.85}
.grid{stroke:var(--line)}.ideal{stroke:var(--ink);stroke-dasharray:4 4;opacity:.5}
.curve{fill:none;stroke-width:2}.whisker{stroke-width:2}.ring{fill:none;stroke-width:2.5}.dot{fill-opacity:.85}
.s0{stroke:var(--c0)}.s1{stroke:var(--c1)}.s2{stroke:var(--c2)}.s3{stroke:var(--c3)}.s4{stroke:var(--c4)}
.s5{stroke:var(--c5)}
.f0{fill:var(--c0)}.f1{fill:var(--c1)}.f2{fill:var(--c2)}.f3{fill:var(--c3)}.f4{fill:var(--c4)}.f5{fill:var(--c5)}
.cases{display:grid;grid-template-columns:repeat(auto-fill,minmax(20rem,1fr));gap:1rem}
article{border:1px solid var(--line);border-radius:6px;padding:.7rem;background:var(--soft);overflow-wrap:anywhere}
article p{margin:.3rem 0}.wrong{color:var(--bad);margin:.3rem 0;padding-left:1.2rem}
.films{display:grid;grid-template-columns:1fr 1fr;gap:.5rem}.films figure{margin:0}
.films img{width:100%;display:block;background:#000;border-radius:4px}
@media print{nav{display:none}section{break-inside:avoid-page}}
"""
