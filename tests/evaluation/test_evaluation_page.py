"""The page: complete, self-contained, and safe with whatever a model may say."""

import base64
import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from intervalchange.evaluation.answers.predictions import Provenance, write_predictions
from intervalchange.evaluation.metrics.calibration import ABSTAINED
from intervalchange.evaluation.report import curves
from intervalchange.evaluation.report.curves import Bar, Confidences
from intervalchange.evaluation.report.page import score_page
from intervalchange.evaluation.report.worst import mistakes, worst_cases
from intervalchange.evaluation.scoring.score import score, score_command
from intervalchange.grammar import DIFFERENCE_QUESTION, NOTHING
from intervalchange.records import Prediction

EDEMA = "the main image has an additional finding of edema than the reference image."
GONE = "the main image is missing the finding of edema than the reference image."
HERNIA = "the main image has an additional finding of hernia than the reference image."
HOSTILE = "<script>alert(1)</script><img src=x onerror='alert(2)'> & \"quotes\""
VOID = {"meta", "img", "br", "rect", "circle", "line", "polyline"}


class Checked(HTMLParser):
    """Every tag closed in order; what was opened is kept."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag


def answers(cases: int, said: str = EDEMA, confidence: bool = True) -> list[Prediction]:
    references = [EDEMA, NOTHING, GONE, HERNIA]
    return [
        Prediction(
            f"c{place}",
            f"p{place}",
            "difference",
            DIFFERENCE_QUESTION,
            said,
            reference=references[place % 4],
            confidence={"answer": place / cases, "added:edema": 0.7} if confidence else None,
            facts={"sex": "F", "view_pair": "PA to AP"},
        )
        for place in range(cases)
    ]


class Folder:
    """Films of the even cases."""

    def films(self, case_id: str) -> tuple[np.ndarray | None, np.ndarray] | None:
        if int(case_id[1:]) % 2:
            return None
        return np.zeros((40, 40), np.uint8), np.full((40, 40), 200, np.uint8)

    def with_facts(self, predictions: list[Prediction]) -> list[Prediction]:
        return [case if case.facts else replace(case, facts={"sex": "M"}) for case in predictions]


def written(tmp_path: Path, *files: list[Prediction], source: Folder | None = None, simulated: bool = True) -> str:
    paths = []
    for place, predictions in enumerate(files):
        paths.append(tmp_path / f"file{place}.jsonl")
        write_predictions(paths[-1], predictions, Provenance(simulated=simulated, split_hash="abc"))
    scores = score(paths, meteor=False, replicates=10, source=source)
    return score_page(scores.files, scores.paired, source)


# --- the whole page ----------------------------------------------------------------------------------------------


def test_a_page_needs_nothing_else(tmp_path: Path) -> None:
    text = written(tmp_path, answers(20), source=Folder())
    seen = Checked(text).seen
    assert not [tag for tag, _ in seen if tag in ("script", "link", "iframe", "object")]
    for _, attributes in seen:
        for name in ("src", "href", "xlink:href"):
            if attributes.get(name):
                assert attributes[name].startswith(("#", "data:image/jpeg;base64,")), attributes
    assert "url(" not in text and "@import" not in text and "http" not in text
    ids = [attributes["id"] for _, attributes in seen if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in seen:
        if (attributes.get("href") or "").startswith("#"):
            assert attributes["href"][1:] in ids
    for words in ("Research use only", "simulated; not a ranking on patients", "prefers-color-scheme: dark"):
        assert words in text
    for words in ("Reliability diagram", "Risk-coverage curve", "Change F1 by finding", "PA to AP", "Worst answers"):
        assert words in text
    pictures = [attributes["src"] for tag, attributes in seen if tag == "img"]
    assert pictures and len(pictures) % 2 == 0
    film = Image.open(io.BytesIO(base64.b64decode(pictures[1].split(",")[1])))
    assert film.size == (224, 224)
    assert abs(np.asarray(film).astype(int) - 200).max() < 6, "the current film stands second"


def test_what_is_not_simulated_is_not_called_so(tmp_path: Path) -> None:
    text = written(tmp_path, answers(8), simulated=False)
    assert "simulated" not in text
    assert "Give `--data PREPARED`" in text


def test_a_folder_fills_in_what_the_lines_leave_out(tmp_path: Path) -> None:
    predictions = answers(12)
    predictions[0] = replace(predictions[0], facts=None)
    write_predictions(tmp_path / "p.jsonl", predictions)
    metrics = score(tmp_path / "p.jsonl", meteor=False, replicates=5, source=Folder()).files[0].metrics
    assert (metrics["by.sex.M.count"], metrics["by.sex.F.count"]) == (1, 11)
    metrics = score(tmp_path / "p.jsonl", meteor=False, replicates=5).files[0].metrics
    assert (metrics["by.sex.not given.count"], metrics["by.sex.F.count"]) == (1, 11)


def test_hostile_answers_stay_words(tmp_path: Path) -> None:
    predictions = [
        replace(case, answer=HOSTILE, facts={"sex": HOSTILE, HOSTILE: HOSTILE}, warnings=(HOSTILE,))
        for case in answers(20)
    ]
    text = written(tmp_path, predictions, [replace(case, answer=EDEMA) for case in predictions])
    seen = Checked(text).seen
    assert not [tag for tag, _ in seen if tag in ("script", "img")]
    assert not [name for _, attributes in seen for name in attributes if name.startswith("on")]
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text


def test_hostile_answers_in_the_other_forms(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    predictions = [replace(case, facts={"sex": "[/x] a|b <b> 5% $x_1 \\input{x}"}) for case in answers(8)]
    path = tmp_path / "p.jsonl"
    write_predictions(path, predictions)
    for suffix in (".md", ".tex"):
        score_command([path], out=tmp_path / f"t{suffix}", meteor=False, replicates=5)
    assert "[/x]" in capsys.readouterr().out
    plain = (tmp_path / "t.md").read_text()
    assert "a\\|b &lt;b>" in plain
    tex = (tmp_path / "t.tex").read_text()
    assert r"\textless{}b\textgreater{} 5\% \$x\_1 \textbackslash{}input\{x\}" in tex
    assert tex.count(r"\begin{table}") == tex.count(r"\end{table}") == tex.count(r"\toprule") > 3
    assert all(line.count("&") == 1 for line in tex.splitlines() if line.endswith(r"\\") and r"\&" not in line)
    assert r"\item p.jsonl: the file names no split hash" in tex


@pytest.mark.parametrize("files", [1, 3])
def test_one_file_and_three(tmp_path: Path, files: int) -> None:
    said = [answers(12), answers(12, NOTHING), answers(12, HERNIA)]
    text = written(tmp_path, *said[:files])
    Checked(text)
    assert [f"file{place}.jsonl" in text for place in range(3)] == [place < files for place in range(3)]
    assert text.count("minus file0.jsonl, same patients") == files - 1
    assert (f'class="curve s{files - 1}"' in text) and (f'class="curve s{files}"' not in text)


def test_no_confidence_no_curve(tmp_path: Path) -> None:
    text = written(tmp_path, answers(8, confidence=False))
    Checked(text)
    assert "so there is no curve" in text and "polyline" not in text
    both = tmp_path / "both"
    both.mkdir()
    mixed = written(both, answers(8), answers(8, confidence=False))
    assert 'class="curve s0"' in mixed


def test_other_questions_only(tmp_path: Path) -> None:
    text = written(tmp_path, [replace(answers(1)[0], kind="presence", answer="yes", reference="no")])
    Checked(text)
    assert "not run" in text and "No answer is wrong" in text


def test_an_abstaining_file_says_so(tmp_path: Path) -> None:
    predictions = [
        replace(case, warnings=(ABSTAINED,)) if (case.confidence or {})["answer"] < 0.5 else case
        for case in answers(20)
    ]
    text = written(tmp_path, predictions)
    assert "10 answers were abstained from" in text
    assert 'class="ring s0"' in text


# --- charts ------------------------------------------------------------------------------------------------------


def test_points_stand_where_they_should() -> None:
    chart = curves.risk_coverage_curve([Confidences("a", [0.9, 0.8], [True, False])])
    points = re.search(r'points="([^"]+)"', chart)
    assert points is not None
    (x1, y1), (x2, y2) = (map(float, pair.split(",")) for pair in points[1].split())
    left, right, top, bottom = 60, 430 - 14, 12, 330 - 46
    assert (x1, x2) == (pytest.approx((left + right) / 2, abs=0.1), right), "coverage 1/2 and 1"
    assert (y1, y2) == (bottom, pytest.approx((top + bottom) / 2, abs=0.1)), "risk 0 and 1/2"


def test_empty_charts_are_whole() -> None:
    nothing = Confidences("a", [], [])
    for chart in (
        curves.reliability_diagram([nothing]),
        curves.risk_coverage_curve([nothing]),
        curves.bars([], "bars"),
        curves.whiskers([("row", [Bar(0, None)])], "whiskers"),
    ):
        Checked(chart)
    assert "not given" in curves.whiskers([("row", [Bar(0, None)])], "whiskers")
    assert HOSTILE not in curves.bars([(HOSTILE, [Bar(0, 0.5)])], HOSTILE)


def test_long_curves_are_thinned() -> None:
    rng = np.random.default_rng(0)
    said = rng.random(20_000)
    assert len(curves.risk_coverage_curve([Confidences("a", said.tolist(), (said > 0.5).tolist())])) < 10_000


# --- worst answers -----------------------------------------------------------------------------------------------


def test_mistakes_in_words() -> None:
    assert mistakes(EDEMA, EDEMA).count == 0
    wrong = mistakes(GONE, EDEMA)
    assert (wrong.count, wrong.in_words()) == (2, ["wrong direction: edema (said missing, was added)"])
    other = mistakes(EDEMA, f"{HERNIA} the level of pneumonia has changed from mild to severe.")
    assert other.in_words() == [
        "said, not so: added edema",
        "missed: added hernia",
        "level: pneumonia (said nothing, was mild to severe)",
    ]
    assert other.count == 3
    assert mistakes("", NOTHING).in_words() == ["not understood: “an empty answer”"]
    assert mistakes(NOTHING, NOTHING).count == 0
    assert mistakes("zebra", NOTHING).in_words() == ["not understood: “zebra”"]


def test_the_worst_come_first_and_one_a_patient() -> None:
    asked = [
        Prediction(f"c{place}", patient, "difference", "q", answer, confidence={"answer": sure}, warnings=warnings)
        for place, (patient, answer, sure, warnings) in enumerate(
            [
                ("1", EDEMA, 0.9, ()),
                ("2", HERNIA, 0.2, ()),
                ("3", HERNIA, 0.8, ()),
                ("4", GONE, 0.1, ()),
                ("4", GONE, 0.9, ()),
                ("5", GONE, 0.9, (ABSTAINED,)),
            ]
        )
    ]
    found = worst_cases(asked, [EDEMA] * 6)
    assert [case.prediction.case_id for case in found] == ["c4", "c2", "c1", "c5"]
    assert len(worst_cases(asked, [EDEMA] * 6, limit=2)) == 2
