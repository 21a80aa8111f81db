"""What is asked about NIH's films beside what the reader makes by itself."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from simulated_tree import write_with_truth

from intervalchange.data.readers import read_source
from intervalchange.data.readers.nih import FINDING_OF_LABEL
from intervalchange.data.readers.nih_questions import film_questions, sides_of
from intervalchange.errors import ConfigError
from intervalchange.records import Case, Region, Study

LABELS = dict.fromkeys([*FINDING_OF_LABEL.values(), "no finding"], 0.0)


def film(number: int = 0, view: str = "PA", boxes: tuple[Region, ...] = (), **present: float) -> Study:
    findings = LABELS | {name.replace("_", " "): value for name, value in present.items()}
    return Study(f"0000000{number}_000", f"{number}.png", view, order=0.0, findings=findings, regions=boxes)


def box(name: str, centre: float) -> Region:
    return Region("finding", name, (centre * 1024 - 50, 400.0, centre * 1024 + 50, 500.0))


@pytest.mark.parametrize(
    ("centres", "sides"),
    [((0.2,), ("right",)), ((0.8,), ("left",)), ((0.2, 0.3), ("right",)), ((0.2, 0.8), ("bilateral",)), ((0.52,), ())],
)
def test_the_side_is_the_patients(centres: tuple[float, ...], sides: tuple[str, ...]) -> None:
    boxes = [box("atelectasis", centre) for centre in centres]
    assert sides_of("atelectasis", [*boxes, box("pneumothorax", 0.9)], 1024) == sides
    assert sides_of("cardiomegaly", [box("cardiomegaly", 0.3)], 1024) == ()
    assert sides_of("edema", boxes, 1024) == ()


def asked(number: int, **options: object) -> dict[str, Case]:
    return {case.kind: case for case in film_questions(film(number, **options), "1", "train", 1024)}


def test_the_answers_are_those_of_labels_views_and_boxes() -> None:
    answers: dict[str, set[tuple[str, str]]] = {}
    for number in range(60):
        cases = asked(number, view="AP", boxes=(box("pneumothorax", 0.8),), pneumothorax=1.0)
        assert set(cases) == {"presence", "view", "location"}
        for kind, case in cases.items():
            answers.setdefault(kind, set()).add((case.question, case.answer))
            assert case.prior is None and case.split == "train"
    assert answers["view"] == {
        ("which view is this image taken?", "AP view"),
        ("is this PA view?", "no"),
        ("is this AP view?", "yes"),
    }
    assert answers["location"] == {
        ("where in the image is the pneumothorax located?", "left area"),
        ("where is the pneumothorax?", "left area"),
        ("is the pneumothorax located on the left side or right side?", "left side"),
    }
    yes = {question for question, answer in answers["presence"] if answer == "yes"}
    assert yes == {"is there evidence of pneumothorax in this image?", "is there pneumothorax?"}
    denied = {
        name for name in LABELS for question, answer in answers["presence"] if answer == "no" and name in question
    }
    assert len(denied) > 4 and "pneumothorax" not in denied
    asked_about = " ".join(question for question, _ in answers["presence"])
    assert "fracture" not in asked_about and "scoliosis" not in asked_about  # NIH has no such label


def test_a_film_is_asked_the_same_each_time_and_nothing_of_level_or_type() -> None:
    assert asked(3, effusion=0.0) == asked(3, effusion=0.0)
    assert set(asked(4)) == {"presence", "view"}


def test_the_option_adds_to_what_is_read_without_it(tmp_path: Path) -> None:
    root, _ = write_with_truth(tmp_path / "cohort", "nih", "3:1:1", 4, 9, 64)
    plain, more = read_source("nih", root), read_source("nih", root, asked="all")
    assert [case for case in more.cases if case.kind in ("abnormality", "difference")] == plain.cases
    kinds = Counter(case.kind for case in more.cases)
    assert kinds["view"] == kinds["presence"] == kinds["abnormality"] > 0
    assert len({case.case_id for case in more.cases}) == len(more.cases)
    with pytest.raises(ConfigError, match="few, all"):
        read_source("nih", root, asked="some")
