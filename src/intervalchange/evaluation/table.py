"""The table of one or more scored files: on the console, as Markdown, as one HTML page. Floors always stand in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

from rich.console import Console
from rich.table import Table

from intervalchange.evaluation.answer_file import FLOORS, Figure, FileScores

NOTICE = "Research use only; not a medical device."

HEADLINE = (
    ("change F1 (added + missing)", "change.findings.micro.f1"),
    ("  precision", "change.findings.micro.precision"),
    ("  recall", "change.findings.micro.recall"),
    ("  macro over findings", "change.findings.macro.f1"),
    ("change F1, all items", "change.micro.f1"),
    ("  macro over findings", "change.macro.f1"),
    ("exact change", "change.exact.accuracy"),
    ("change or none, right", "change.detected.accuracy"),
    ("direction errors", "change.direction_error.rate"),
    ("false change, unchanged pairs", "change.false_change.rate"),
    ("false change, same state", "change.false_change.same_state.rate"),
    ("changed pairs without an item", "change.omission.rate"),
    ("level F1", "change.levels.f1"),
    ("level F1, direction only", "change.levels.direction.f1"),
    ("answers with unread clauses", "change.unreadable.rate"),
)
TEXT = (
    ("BLEU-1", "text.bleu1"),
    ("BLEU-2", "text.bleu2"),
    ("BLEU-3", "text.bleu3"),
    ("BLEU-4", "text.bleu4"),
    ("METEOR 1.5 (Java)", "text.meteor_java15"),
    ("ROUGE-L (COCO)", "text.rouge_l_coco"),
    ("CIDEr-D", "text.cider_d"),
    ("IDF of CIDEr-D", "text.idf"),
)
FLOOR_NAMES = {
    "constant": "best constant answer",
    "question_only": "question only",
    "other_patient": "another patient's answer",
    "blank": "blank images",
    "prior_twice": "prior shown twice",
}
CONSISTENCY = (
    ("swap: answer reads backwards", "consistency.swap.rate"),
    ("swap: F1 between directions", "consistency.swap.items.f1"),
    ("current shown twice: nothing changed", "consistency.identity.rate"),
    ("prior shown twice: nothing changed", "consistency.prior_twice.rate"),
)
CALIBRATION = (
    ("answer: calibration error", "calibration.answer.ece"),
    ("answer: Brier", "calibration.answer.brier"),
    ("answer: risk over coverage", "calibration.answer.aurc"),
    ("findings: calibration error", "calibration.findings.ece"),
    ("findings: Brier", "calibration.findings.brier"),
    ("findings: AUC", "calibration.findings.auc"),
)
ABOUT = (
    ("run", "run"),
    ("source", "source"),
    ("split hash", "split_hash"),
    ("hash of the scored cases", "cases.hash"),
    ("cases", "cases.count"),
    ("  of them difference", "difference.count"),
    ("patients", "patients.count"),
)


@dataclass(frozen=True, slots=True)
class Section:
    """A titled block of rows: (label, one cell a file)."""

    title: str
    rows: tuple[tuple[str, tuple[str, ...]], ...]


def cell(figures: Mapping[str, Figure], name: str) -> str:
    """A figure with its interval: "0.412 [0.380, 0.444]"; words as they are; "-" where it is undefined."""
    value = figures.get(name)
    if value is None or value == "":
        return "-"
    if isinstance(value, str | int):
        return str(value)
    low, high = figures.get(f"{name}.low"), figures.get(f"{name}.high")
    span = f" [{low:.3f}, {high:.3f}]" if isinstance(low, float) and isinstance(high, float) else ""
    return f"{value:.3f}{span}"


def sections(files: Sequence[FileScores], paired: Mapping[str, Mapping[str, Figure]]) -> list[Section]:
    """Every block of the table, in reading order."""

    def block(title: str, rows: Sequence[tuple[str, str]], needed: bool = True) -> Section:
        kept = [(label, name) for label, name in rows if needed or any(name in file.figures for file in files)]
        return Section(title, tuple((label, tuple(cell(file.figures, name) for file in files)) for label, name in kept))

    floors = [
        (f"{label}: {name}", f"floors.{floor}.{key}")
        for name, key in (
            ("change F1", "change.findings.micro.f1"),
            ("BLEU-4", "text.bleu4"),
            ("CIDEr-D", "text.cider_d"),
        )
        for floor, label in FLOOR_NAMES.items()
    ]
    found = [
        block("Scored", ABOUT),
        block("Change (95% intervals by patient)", HEADLINE),
        block("Floors: answers that have not looked", floors),
        block("Text (hardly notices an inverted direction)", TEXT),
        block("Consistency", CONSISTENCY),
        block("Confidence", CALIBRATION, needed=False),
        block("Other questions", _kind_rows(files), needed=False),
        block("Change F1 by finding (reference items)", _finding_rows(files), needed=False),
    ]
    for name, differences in paired.items():
        keys = [key for key in differences if not key.endswith((".low", ".high"))]
        rows = tuple((key, (*[""] * (len(files) - 1), cell(differences, key))) for key in keys)
        found.append(Section(f"{name} minus {files[0].name}, same patients", rows))
    return [section for section in found if section.rows]


def _kind_rows(files: Sequence[FileScores]) -> list[tuple[str, str]]:
    names = list(dict.fromkeys(key for file in files for key in file.figures if key.startswith("kinds.")))
    wanted = [key for key in names if key.endswith((".accuracy", "abnormality.set.f1"))]
    rows = [(key.removeprefix("kinds.").replace(".set.f1", " list F1").replace(".accuracy", ""), key) for key in wanted]
    chance = [f"floors.{floor}.kinds.macro.accuracy" for floor in FLOORS]
    return rows + [(f"macro, {FLOOR_NAMES[key.split('.')[1]]}", key) for key in chance]


def _finding_rows(files: Sequence[FileScores]) -> list[tuple[str, str]]:
    prefix, suffix = "change.by_finding.", ".support"
    supports: dict[str, int] = {}
    for file in files:
        for key, value in file.figures.items():
            if key.startswith(prefix) and key.endswith(suffix) and isinstance(value, int):
                finding = key.removeprefix(prefix).removesuffix(suffix)
                supports[finding] = max(value, supports.get(finding, 0))
    ranked = sorted(supports, key=lambda finding: -supports[finding])
    return [(f"{finding} ({supports[finding]})", f"{prefix}{finding}.f1") for finding in ranked]


def captions(files: Sequence[FileScores]) -> list[str]:
    """What must be said under every table."""
    lines = [NOTICE]
    lines += [f"{file.name}: {file.figures['caption']}" for file in files if file.figures.get("caption")]
    for file in files:
        for floor in FLOORS:
            status = file.figures.get(f"floors.{floor}.status")
            if status:
                lines.append(f"{file.name}: {FLOOR_NAMES[floor]} {status}")
        lines += [f"{file.name}: {note}" for note in file.notes]
    return lines


def render(
    files: Sequence[FileScores],
    paired: Mapping[str, Mapping[str, Figure]],
    form: Literal["markdown", "html"] = "markdown",
) -> str:
    """The table as text."""
    return html(files, paired) if form == "html" else markdown(files, paired)


def markdown(files: Sequence[FileScores], paired: Mapping[str, Mapping[str, Figure]]) -> str:
    """The table as Markdown, one table a section."""
    parts = ["# Scores", ""]
    for section in sections(files, paired):
        parts += [f"## {section.title}", "", "| | " + " | ".join(file.name for file in files) + " |"]
        parts.append("|---|" + "---|" * len(files))
        parts += [
            f"| {'– ' if label.startswith(' ') else ''}{label.strip()} | " + " | ".join(cells) + " |"
            for label, cells in section.rows
        ]
        parts.append("")
    return "\n".join(parts + [f"- {line}" for line in captions(files)]) + "\n"


def show(
    files: Sequence[FileScores], paired: Mapping[str, Mapping[str, Figure]], console: Console | None = None
) -> None:
    """Print the table."""
    console = console or Console()
    for section in sections(files, paired):
        printed = Table(title=section.title, title_justify="left", show_edge=False, pad_edge=False)
        printed.add_column("")
        for file in files:
            printed.add_column(file.name, justify="right", overflow="fold")
        for label, cells in section.rows:
            printed.add_row(label, *cells)
        console.print(printed)
        console.print()
    for line in captions(files):
        console.print(line, markup=False, highlight=False)


_STYLE = """body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem;color:#1c2430}
h2{font-size:1.05rem;margin:1.6rem 0 .3rem}table{border-collapse:collapse;width:100%}
th,td{padding:.22rem .6rem;text-align:right;border-bottom:1px solid #dde3ea;font-variant-numeric:tabular-nums}
th:first-child,td:first-child{text-align:left;white-space:pre}
@media(prefers-color-scheme:dark){body{background:#14181d;color:#dfe6ee}th,td{border-color:#343d48}}"""


def html(files: Sequence[FileScores], paired: Mapping[str, Mapping[str, Figure]]) -> str:
    """The table as one page that needs nothing else."""
    head = "".join(f"<th>{escape(file.name)}</th>" for file in files)
    parts = []
    for section in sections(files, paired):
        rows = "".join(
            f"<tr><td>{escape(label)}</td>" + "".join(f"<td>{escape(text)}</td>" for text in cells) + "</tr>"
            for label, cells in section.rows
        )
        parts.append(f"<h2>{escape(section.title)}</h2><table><tr><th></th>{head}</tr>{rows}</table>")
    notes = "".join(f"<li>{escape(line)}</li>" for line in captions(files))
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>intervalchange scores</title><style>{_STYLE}</style><h1>Scores</h1>"
        f"{''.join(parts)}<ul>{notes}</ul></html>\n"
    )
