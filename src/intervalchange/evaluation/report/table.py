"""The table of one or more scored files: on the console, as Markdown, as LaTeX. Floors always stand in it.

`page` shows the same sections with charts and films.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.markup import escape as as_it_is
from rich.table import Table

from intervalchange.evaluation.metrics.confounders import FACTORS
from intervalchange.evaluation.scoring.file_scores import FLOORS, FileScores, MetricValue
from intervalchange.policy import RESEARCH_USE

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
COURSES = (
    ("progression: macro F1 over the courses", "progression.macro.f1"),
    ("  accuracy over findings", "progression.accuracy"),
    ("  direction errors", "progression.direction_error.rate"),
    ("  new", "progression.added.f1"),
    ("  resolved", "progression.missing.f1"),
    ("  worse", "progression.worse.f1"),
    ("  better", "progression.better.f1"),
    ("  stable", "progression.stable.f1"),
    ("  findings with a course", "progression.count"),
    ("under inversion: standard, films as they are", "progression.standard.accuracy"),
    ("  reversed: films exchanged", "progression.reversed.accuracy"),
    ("  combined: the more confident of both", "progression.combined.accuracy"),
    ("  consistency: both right", "progression.consistency.accuracy"),
    ("hedged answers", "answers.hedge.rate"),
    ("refusals", "answers.abstention.rate"),
    ("answers read in full", "answers.read.rate"),
)
FLOOR_NAMES = {
    "constant": "best constant answer",
    "question_only": "question only",
    "other_patient": "another patient's answer",
    "blank": "blank images",
    "prior_twice": "prior shown twice",
    "swap": "prior and current exchanged",
}
CONSISTENCY = (
    ("swap: answer reads backwards", "consistency.swap.rate"),
    ("swap: F1 between directions", "consistency.swap.items.f1"),
    ("current shown twice: nothing changed", "consistency.identity.rate"),
    ("prior shown twice: nothing changed", "consistency.prior_twice.rate"),
    ("ideal: consistent, and looks", "consistency.use.ideal.rate"),
    ("fragile: looks, not consistent", "consistency.use.fragile.rate"),
    ("dangerous: consistent without looking", "consistency.use.dangerous.rate"),
    ("worst: neither", "consistency.use.worst.rate"),
)
CALIBRATION = (
    ("answer: calibration error", "calibration.answer.ece"),
    ("answer: Brier", "calibration.answer.brier"),
    ("answer: area under risk-coverage", "calibration.answer.aurc"),
    ("findings: calibration error", "calibration.findings.ece"),
    ("findings: Brier", "calibration.findings.brier"),
    ("findings: AUC", "calibration.findings.auc"),
    ("abstained from (of the cases)", "selective.abstained.count"),
    ("coverage", "selective.coverage"),
    ("risk: not exactly right, of the answered", "selective.risk"),
    ("change F1 of the answered", "selective.change.findings.micro.f1"),
)
CLINICAL = (
    ("temporal entities: F1 of answers", "temporal.f1"),
    ("temporal entities: F1 of words", "temporal.micro.f1"),
    ("  answers or references with such a word", "temporal.worded"),
    ("RadGraph F1 (partial)", "radgraph.partial.f1"),
    ("CheXbert F1, 14 labels, micro", "chexbert.14.micro.f1"),
    ("CheXbert F1, 5 labels, micro", "chexbert.5.micro.f1"),
)
ABOUT = (
    ("run", "run"),
    ("source", "source"),
    ("split hash", "split_hash"),
    ("protocol", "protocol"),
    ("hash of the scored cases", "cases.hash"),
    ("cases", "cases.count"),
    ("  of them difference", "difference.count"),
    ("patients", "patients.count"),
)


@dataclass(frozen=True, slots=True)
class Section:
    """A titled block of rows: (label, one cell per file)."""

    key: str
    """What it is about, in one word; the page puts its charts by it."""
    title: str
    rows: tuple[tuple[str, tuple[str, ...]], ...]


def cell(metrics: Mapping[str, MetricValue], name: str) -> str:
    """A metric with its interval: "0.412 [0.380, 0.444]"; words as they are; "-" where it is undefined."""
    value = metrics.get(name)
    if value is None or value == "":
        return "-"
    if isinstance(value, str | int):
        return str(value)
    low, high = metrics.get(f"{name}.low"), metrics.get(f"{name}.high")
    span = f" [{low:.3f}, {high:.3f}]" if isinstance(low, float) and isinstance(high, float) else ""
    return f"{value:.3f}{span}"


def sections(files: Sequence[FileScores], paired: Mapping[str, Mapping[str, MetricValue]]) -> list[Section]:
    """Every block of the table, in reading order."""

    def block(key: str, title: str, rows: Sequence[tuple[str, str]], needed: bool = True) -> Section:
        return Section(
            key,
            title,
            tuple(
                (label, tuple(cell(file.metrics, name) for file in files))
                for label, name in rows
                if needed or any(name in file.metrics for file in files)
            ),
        )

    floors = [
        (f"{label}: {name}", f"floors.{floor}.{key}")
        for name, key in (
            ("change F1", "change.findings.micro.f1"),
            ("BLEU-4", "text.bleu4"),
            ("CIDEr-D", "text.cider_d"),
        )
        for floor, label in FLOOR_NAMES.items()
    ]
    floors += [
        ("the answers less question only: change F1", "floors.question_only.margin.change.findings.micro.f1"),
        ("question only beaten", "floors.question_only.beaten"),
    ]
    course_floors = [
        (f"progression macro F1: {label}", f"floors.{floor}.progression.macro.f1")
        for floor, label in FLOOR_NAMES.items()
    ]
    course_floors += [
        (f"under inversion, {setting}: {label}", f"floors.{floor}.progression.{setting}.accuracy")
        for setting in ("standard", "reversed", "consistency")
        for floor, label in FLOOR_NAMES.items()
    ]
    blocks = [
        block("scored", "Scored", ABOUT, needed=False),
        block("change", "Change (95% intervals by patient)", HEADLINE),
        block("courses", "Free answers: the course of each finding", [*COURSES, *course_floors], needed=False),
        block("floors", "Floors: answers that have not looked", floors),
        block("text", "Text (hardly notices an inverted direction)", TEXT),
        block("clinical", "Clinical metrics of reports", CLINICAL, needed=False),
        block("consistency", "Consistency", CONSISTENCY),
        block("confidence", "Confidence", CALIBRATION, needed=False),
        block("kinds", "Other questions", _kind_rows(files), needed=False),
        block("findings", "Change F1 by finding (reference items)", _finding_rows(files), needed=False),
        block("confounders", "Change F1 by what may confound (pairs)", confounder_rows(files), needed=False),
    ]
    for name, differences in paired.items():
        keys = [key for key in differences if not key.endswith((".low", ".high", ".p", ".p_holm"))]
        cells = [tuple(_difference(differences, key) if file.name == name else "" for file in files) for key in keys]
        heading = next(file.heading for file in files if file.name == name)
        title = f"{heading} minus {files[0].heading}, same patients (p, corrected by Holm over all of them)"
        blocks.append(Section("paired", title, tuple(zip(keys, cells, strict=True))))
    return [section for section in blocks if section.rows]


def _difference(differences: Mapping[str, MetricValue], name: str) -> str:
    """A difference with its interval and corrected p value: "0.120 [0.050, 0.190] p 0.004"."""
    corrected = differences.get(f"{name}.p_holm")
    return cell(differences, name) + (f" p {corrected:.3g}" if isinstance(corrected, float) else "")


def _largest(files: Sequence[FileScores], prefix: str, suffix: str) -> dict[str, int]:
    """What stands between prefix and suffix in the names of metrics -> the largest count of any file."""
    largest: dict[str, int] = {}
    for file in files:
        for key, value in file.metrics.items():
            if key.startswith(prefix) and key.endswith(suffix) and isinstance(value, int):
                name = key.removeprefix(prefix).removesuffix(suffix)
                largest[name] = max(value, largest.get(name, 0))
    return largest


def confounder_strata(files: Sequence[FileScores], factor: str) -> dict[str, int]:
    """Stratum -> pairs in it (the most of any file), in the order of the metrics. Empty where nothing is known."""
    return _largest(files, f"by.{factor}.", ".count")


def confounder_rows(files: Sequence[FileScores]) -> list[tuple[str, str]]:
    """(factor, stratum and pairs; name of the metric); one row for a factor that no file knows."""
    metric = "change.findings.micro.f1"
    rows = []
    for factor, words in FACTORS.items():
        strata = confounder_strata(files, factor)
        rows += [(f"{words}: {name} ({count})", f"by.{factor}.{name}.{metric}") for name, count in strata.items()]
        if not strata:
            rows.append((words, f"by.{factor}.{metric}"))
    return rows


def _kind_rows(files: Sequence[FileScores]) -> list[tuple[str, str]]:
    names = list(dict.fromkeys(key for file in files for key in file.metrics if key.startswith("kinds.")))
    wanted = [key for key in names if key.endswith((".accuracy", "abnormality.set.f1", "choice.read.rate"))]
    words = {".set.f1": " list F1", ".chance.accuracy": ", guessed", ".read.rate": ", names an option", ".accuracy": ""}
    rows = []
    for key in wanted:
        label = key.removeprefix("kinds.")
        for ending, word in words.items():
            label = label.replace(ending, word)
        rows.append((label, key))
    floors = [f"floors.{floor}.kinds.macro.accuracy" for floor in FLOORS]
    return rows + [(f"macro, {FLOOR_NAMES[key.split('.')[1]]}", key) for key in floors]


def finding_supports(files: Sequence[FileScores]) -> dict[str, int]:
    """Finding -> its reference items, added and missing (the most of any file); the most frequent first."""
    supports = _largest(files, "change.by_finding.", ".support")
    return dict(sorted(supports.items(), key=lambda pair: -pair[1]))


def _finding_rows(files: Sequence[FileScores]) -> list[tuple[str, str]]:
    supports = finding_supports(files)
    return [(f"{name} ({support})", f"change.by_finding.{name}.f1") for name, support in supports.items()]


def captions(files: Sequence[FileScores]) -> list[str]:
    """The notes under every table; the notice is the first."""
    lines = [RESEARCH_USE]
    lines += [f"{file.name}: {file.metrics['caption']}" for file in files if file.metrics.get("caption")]
    for file in files:
        for floor in FLOORS:
            status = file.metrics.get(f"floors.{floor}.status")
            if status:
                lines.append(f"{file.name}: {FLOOR_NAMES[floor]} {status}")
        lines += [f"{file.name}: {note}" for note in file.notes]
        abstained = file.metrics.get("selective.abstained.count")
        if abstained:
            lines.append(
                f"{file.name}: {abstained} answers were abstained from; they are scored all the same, but in coverage, "
                "risk and change F1 of the answered"
            )
    return lines


def markdown(files: Sequence[FileScores], paired: Mapping[str, Mapping[str, MetricValue]]) -> str:
    """The table as Markdown, one table per section."""
    parts = ["# Scores", ""]
    for section in sections(files, paired):
        names = " | ".join(_piped(file.heading) for file in files)
        parts += [f"## {_piped(section.title)}", "", f"| | {names} |"]
        parts.append("|---|" + "---|" * len(files))
        parts += [
            f"| {'– ' if label.startswith(' ') else ''}{_piped(label.strip())} | "
            + " | ".join(map(_piped, cells))
            + " |"
            for label, cells in section.rows
        ]
        parts.append("")
    return "\n".join(parts + [f"- {_piped(line)}" for line in captions(files)]) + "\n"


def _piped(text: str) -> str:
    """On one line, with the marks of a table cell and of HTML escaped."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


_TEX = {
    **{mark: f"\\{mark}" for mark in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "–": "--",
}


def tex_escaped(text: str) -> str:
    """Text that LaTeX prints as it stands."""
    return "".join(_TEX.get(letter, letter) for letter in " ".join(text.split()))


def latex(files: Sequence[FileScores], paired: Mapping[str, Mapping[str, MetricValue]]) -> str:
    """The table as LaTeX with booktabs, one `table` per section with the notice in its caption; the notes come last.

    A brace before each first cell keeps "[" from being read as an option of the row before.
    """
    captioned = dict.fromkeys(str(file.metrics["caption"]) for file in files if file.metrics.get("caption"))
    caption = " ".join(tex_escaped(f"{line.rstrip('.')}.") for line in (RESEARCH_USE, *captioned))
    parts = ["% written by `intervalchange score`; needs \\usepackage{booktabs}"]
    for section in sections(files, paired):
        columns = "l" + "r" * len(files)
        rows = [
            (r"\quad " if label.startswith(" ") else "{}") + " & ".join(map(tex_escaped, (label, *cells))) + r" \\"
            for label, cells in section.rows
        ]
        parts += [
            r"\begin{table}",
            r"\centering",
            f"\\caption{{{tex_escaped(section.title)}. {caption}}}",
            f"\\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            " & " + " & ".join(tex_escaped(file.heading) for file in files) + r" \\",
            r"\midrule",
            *rows,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    notes = [rf"\item {tex_escaped(line)}" for line in captions(files)]
    return "\n".join([*parts, r"\begin{itemize}", *notes, r"\end{itemize}", ""])


def show(
    files: Sequence[FileScores], paired: Mapping[str, Mapping[str, MetricValue]], console: Console | None = None
) -> None:
    """Print the table."""
    console = console or Console()
    for section in sections(files, paired):
        printed = Table(title=as_it_is(section.title), title_justify="left", show_edge=False, pad_edge=False)
        printed.add_column("")
        for file in files:
            printed.add_column(as_it_is(file.heading), justify="right", overflow="fold")
        for label, cells in section.rows:
            printed.add_row(as_it_is(label), *map(as_it_is, cells))
        console.print(printed)
        console.print()
    for line in captions(files):
        console.print(line, markup=False, highlight=False)
