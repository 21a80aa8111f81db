"""The scores as one page that needs nothing else: tables, charts, and the worst answers with their films."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from intervalchange.evaluation.metrics import calibration
from intervalchange.evaluation.metrics.confounders import FACTORS, NOT_GIVEN
from intervalchange.evaluation.report import curves, table
from intervalchange.evaluation.report.curves import Bar, Confidences
from intervalchange.evaluation.report.worst import CaseSource, WorstCase, worst_cases
from intervalchange.evaluation.scoring.file_scores import FileScores, MetricValue
from intervalchange.report.page import Cell, Chart, Grid, Picture, Row, film_uri, render_page

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
"""Metrics of the table of confounders."""
BY_FINDING = (
    ("reference items", "change.by_finding.{}.support"),
    ("precision", "change.by_finding.{}.precision"),
    ("recall", "change.by_finding.{}.recall"),
    ("F1", "change.by_finding.{}.f1"),
    ("F1, added", "change.added.by_finding.{}.f1"),
    ("F1, missing", "change.missing.by_finding.{}.f1"),
    ("F1, level", "change.levels.by_finding.{}.f1"),
)
LINKS = {
    "change": "Change",
    "floors": "Floors",
    "findings": "Findings",
    "courses": "Courses",
    "confidence": "Confidence",
    "confounders": "Confounders",
    "consistency": "Consistency",
    "paired": "Compared",
    "text": "Text",
    "kinds": "Other questions",
    "scored": "What was scored",
    "worst": "Worst answers",
}
"""Sections of the page in reading order, with the words of their links."""


@dataclass
class Block:
    """A section of the page."""

    title: str
    anchor: str = ""
    text: str = ""
    charts: Sequence[Chart] = ()
    grids: Sequence[Grid] = ()


@dataclass(frozen=True)
class ShownCase:
    """A wrong answer as the template prints it."""

    answer: str
    reference: str
    mistakes: Sequence[str]
    about: Sequence[str]
    films: Sequence[Picture]


@dataclass(frozen=True)
class ShownFile:
    """The worst answers of one file; the heading is its name where there are several."""

    heading: str
    cases: Sequence[ShownCase] = field(default_factory=list)


def score_page(
    files: Sequence[FileScores],
    paired: Mapping[str, Mapping[str, MetricValue]],
    source: CaseSource | None = None,
    title: str = "Scores",
) -> str:
    """A complete HTML document. source: where the films of the worst answers are; none are shown without."""
    blocks = _blocks(files, paired)
    anchors = {block.anchor for block in blocks} | {"worst"}
    captions = dict.fromkeys(str(file.metrics["caption"]) for file in files if file.metrics.get("caption"))
    return render_page(
        "score.html",
        title,
        names=[file.heading for file in files],
        captions=list(captions),
        links=[(key, words) for key, words in LINKS.items() if key in anchors],
        blocks=blocks,
        worst=[_worst(file, files, source) for file in files],
        with_films=source is not None,
        notes=table.captions(files)[1:],
    )


def _blocks(files: Sequence[FileScores], paired: Mapping[str, Mapping[str, MetricValue]]) -> list[Block]:
    """The sections of the table in the order of the page; the first of a key carries its anchor and its charts."""
    order = list(LINKS)
    blocks: dict[str, list[Block]] = {}
    for section in sorted(table.sections(files, paired), key=lambda section: order.index(section.key)):
        opened = section.key in blocks
        if section.key == "confounders":
            block = _confounders(files)
        elif section.key == "findings":
            block = _findings(files)
        else:
            block = Block(section.title, grids=[_grid(section, files)])
            if section.key == "change" and not opened:
                block.charts = [_headline_chart(files)]
            elif section.key == "confidence" and not opened:
                block.charts = _confidence_charts(files)
                block.text = "" if block.charts else "No answer comes with a confidence, so there is no curve."
        block.anchor = "" if opened else section.key
        blocks.setdefault(section.key, []).append(block)
    return [block for group in blocks.values() for block in group]


def _cell(text: str) -> Cell:
    """A metric, its interval smaller."""
    value, bracket, span = text.partition(" [")
    return Cell(value, f"[{span}" if bracket else "")


def _heading(file: FileScores, files: Sequence[FileScores]) -> str:
    """The name of a file above what is its own, where there are several."""
    return file.heading if len(files) > 1 else ""


def _grid(section: table.Section, files: Sequence[FileScores]) -> Grid:
    rows = [
        Row(label.strip(), [_cell(cell) for cell in cells], "sub" if label.startswith(" ") else "")
        for label, cells in section.rows
    ]
    return Grid([file.heading for file in files], rows)


def _bars(files: Sequence[FileScores], name: str) -> list[Bar]:
    return [Bar.of(file.metrics, name, series) for series, file in enumerate(files)]


def _headline_chart(files: Sequence[FileScores]) -> Chart:
    """Change F1 of the files and of every floor that was run."""
    rows = [("the answers", _bars(files, CHANGE_F1))]
    for floor, words in table.FLOOR_NAMES.items():
        run = [bar for bar in _bars(files, f"floors.{floor}.{CHANGE_F1}") if bar.value is not None]
        if run:
            rows.append((f"{'control' if floor in SHOWN_OTHERWISE else 'floor'}: {words}", run))
    return Chart(
        curves.whiskers(rows, "Change F1 of the answers and of the floors"),
        "Change F1 (added and missing findings) beside answers that have not looked; 95% intervals by patient",
    )


def _findings(files: Sequence[FileScores]) -> Block:
    """Bars of all files, and a table of each: the most frequent finding first."""
    ranked = table.finding_supports(files)
    bars = [(f"{name} ({support})", _bars(files, f"change.by_finding.{name}.f1")) for name, support in ranked.items()]
    grids = [
        Grid(
            [words for words, _ in BY_FINDING],
            [
                Row(name, [_cell(table.cell(file.metrics, key.format(name))) for _, key in BY_FINDING])
                for name in ranked
            ],
            _heading(file, files),
        )
        for file in files
    ]
    chart = Chart(curves.bars(bars, "Change F1 by finding"), "Change F1 by finding; in brackets, reference items")
    return Block("Findings", charts=[chart], grids=grids)


def _answer_confidences(file: FileScores) -> Confidences:
    rows = [row for row, case in enumerate(file.predictions) if "answer" in (case.confidence or {})]
    coverage, risk = (file.metrics.get(f"selective.{name}") for name in ("coverage", "risk"))
    marked = None
    if file.metrics.get("selective.abstained.count") and isinstance(coverage, float) and isinstance(risk, float):
        marked = (coverage, risk)
    confidence = [float((file.predictions[row].confidence or {})["answer"]) for row in rows]
    return Confidences(file.heading, confidence, [bool(file.counts["exact"][row]) for row in rows], marked)


def _finding_confidences(file: FileScores) -> Confidences:
    found = calibration.finding_probabilities(file.predictions, file.references)
    return Confidences(file.heading, found.probabilities, found.correct)


def _confidence_charts(files: Sequence[FileScores]) -> list[Chart]:
    answers, findings = [_answer_confidences(file) for file in files], [_finding_confidences(file) for file in files]
    charts = []
    if any(file.confidence for file in answers):
        charts += [
            Chart(curves.reliability_diagram(answers), "Reliability of whole answers: on the line is honest"),
            Chart(curves.risk_coverage_curve(answers), "Risk and coverage: lower is better"),
        ]
    if any(file.confidence for file in findings):
        diagram = curves.reliability_diagram(findings, "single findings")
        charts.append(Chart(diagram, "Reliability of each finding's probability"))
    return charts


def _confounders(files: Sequence[FileScores]) -> Block:
    """All factors in one table per file: strata down, metrics across."""
    return Block(
        "Confounders (95% intervals by patient)",
        text="The metrics of one factor should be close to each other. Where they are not, the answers depend on how a "
        "film was taken or of whom, or the strata differ in disease.",
        grids=[
            Grid(["pairs", *(words for words, _ in CUTS)], _confounder_rows(file), _heading(file, files))
            for file in files
        ],
    )


def _confounder_rows(file: FileScores) -> list[Row]:
    rows = []
    for factor, words in FACTORS.items():
        strata = table.confounder_strata([file], factor)
        rows.append(Row(words, kind="factor", small="" if strata else f"({NOT_GIVEN})"))
        for name, count in strata.items():
            prefix = f"by.{factor}.{name}."
            pairs = Cell(str(count), f"of {file.metrics.get(f'{prefix}patients', '')} patients")
            cells = [_cell(table.cell(file.metrics, prefix + key)) for _, key in CUTS]
            rows.append(Row(name, [pairs, *cells], "sub"))
    return rows


def _worst(file: FileScores, files: Sequence[FileScores], source: CaseSource | None) -> ShownFile:
    cases = worst_cases(file.predictions, file.references, WORST)
    return ShownFile(_heading(file, files), [_shown(case, source) for case in cases])


def _shown(case: WorstCase, source: CaseSource | None) -> ShownCase:
    prediction = case.prediction
    films = source.films(prediction.case_id) if source is not None else None
    confidence = (prediction.confidence or {}).get("answer")
    about = [f"case {prediction.case_id}"]
    about += [f"confidence {confidence:.2f}"] if confidence is not None else []
    about += [f"{key.replace('_', ' ')} {value}" for key, value in (prediction.facts or {}).items()]
    return ShownCase(
        prediction.answer,
        case.reference,
        case.mistakes.in_words(),
        [*about, *prediction.warnings],
        [
            Picture(film_uri(film, FILM_SIDE), side)
            for side, film in zip(("prior", "current"), films or (None, None), strict=True)
            if film is not None
        ],
    )
