"""The extractor: what invented sentences and simulated reports say, and that it recovers the simulated labels."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from intervalchange.data.extraction import extract, questions, statements
from intervalchange.data.extraction.account import Attributes
from intervalchange.data.extraction.labels import LASTING, account_of
from intervalchange.data.extraction.reading import says_normal
from intervalchange.data.extraction.sentences import observations, sentences
from intervalchange.data.readers.openi_mesh import MAPPED, RULES, findings_of, is_coded
from intervalchange.findings import ALIASES, FINDINGS, LEVELS, PRE_LOCATIONS, TYPES
from intervalchange.records import Change, Study
from intervalchange.simulation.cohort import simulate_patient

P, A, U = "present", "absent", "uncertain"

SAID = [
    ("There is a small left pleural effusion.", {"pleural effusion": P}),
    ("No pneumothorax, pleural effusion, or edema.", dict.fromkeys(("pneumothorax", "pleural effusion", "edema"), A)),
    ("No pneumothorax, stable moderate cardiomegaly.", {"pneumothorax": A, "cardiomegaly": P}),
    ("No pneumothorax, but there is a small effusion.", {"pneumothorax": A, "pleural effusion": P}),
    ("No pneumothorax is seen and the heart is enlarged.", {"pneumothorax": A, "cardiomegaly": P}),
    ("No pneumothorax; small effusion.", {"pneumothorax": A, "pleural effusion": P}),
    ("Neither effusion nor pneumothorax is present.", {"pleural effusion": A, "pneumothorax": A}),
    ("Mild cardiomegaly without edema.", {"cardiomegaly": P, "edema": A}),
    ("No opacity to suggest pneumonia.", {"lung opacity": A, "pneumonia": A}),
    # a "no" that denies nothing
    ("No change in effusion.", {"pleural effusion": P}),
    ("No significant interval change in the moderate cardiomegaly.", {"cardiomegaly": P}),
    ("There has been no increase in the right pleural effusion.", {"pleural effusion": P}),
    ("Edema has not improved.", {"edema": P}),
    ("Cardiomegaly is not significantly changed.", {"cardiomegaly": P}),
    # gone, and nearly gone
    ("The right pleural effusion has resolved.", {"pleural effusion": A}),
    ("Effusion, atelectasis, and edema have resolved.", dict.fromkeys(("pleural effusion", "atelectasis", "edema"), A)),
    ("Interval resolution of pulmonary edema.", {"edema": A}),
    ("The pneumothorax is no longer seen.", {"pneumothorax": A}),
    ("The previously seen right apical pneumothorax is not appreciated.", {"pneumothorax": A}),
    ("There is no longer any effusion.", {"pleural effusion": A}),
    ("Effusion has nearly resolved.", {"pleural effusion": P}),
    ("Incomplete resolution of the consolidation.", {"consolidation": P}),
    ("Previously noted consolidation has improved.", {"consolidation": P}),
    ("The left effusion is smaller and the right effusion is gone.", {"pleural effusion": P}),
    # in doubt
    ("Possible right lower lobe pneumonia.", {"pneumonia": U}),
    ("Opacity may represent atelectasis or pneumonia.", {"lung opacity": P, "atelectasis": U, "pneumonia": U}),
    ("Basilar opacity, atelectasis versus pneumonia.", {"lung opacity": P, "atelectasis": U, "pneumonia": U}),
    ("Pneumonia cannot be excluded.", {"pneumonia": U}),
    ("Cannot exclude a small effusion.", {"pleural effusion": U}),
    ("Pneumonia is unlikely.", {"pneumonia": U}),
    ("Opacity consistent with pneumonia.", {"lung opacity": P, "pneumonia": P}),
    # not of this film, or another thing
    ("Evaluate for pneumonia.", {}),
    ("History of heart failure.", {}),
    ("Recommend CT to exclude pneumonia.", {}),
    ("No pericardial effusion. Subcutaneous emphysema.", {}),
    ("Fractured sternal wires.", {}),
    # other words
    ("The heart is mildly enlarged.", {"cardiomegaly": P}),
    ("The heart is not enlarged.", {"cardiomegaly": A, "enlargement of the cardiac silhouette": A}),
    ("Heart size is normal.", {"cardiomegaly": A, "enlargement of the cardiac silhouette": A}),
    ("The cardiac silhouette is enlarged.", {"enlargement of the cardiac silhouette": P}),
    ("The lungs are clear.", {"lung opacity": A, "consolidation": A}),
    ("The aorta is tortuous.", {"tortuosity of the thoracic aorta": P}),
    ("Tortuous descending aorta.", {"tortuosity of the descending aorta": P}),
    ("Blunted left costophrenic angle.", {"blunting of the costophrenic angle": P}),
    ("Costophrenic angles are sharp.", {"blunting of the costophrenic angle": A}),
    ("Mild dextroscoliosis.", {"scoliosis": P}),
    ("Right hydropneumothorax.", {"pleural effusion": P, "pneumothorax": P}),
    ("Prominent hila.", {}),
]  # fmt: skip


@pytest.mark.parametrize(("text", "said"), SAID, ids=[text for text, _ in SAID])
def test_sentences(text: str, said: dict[str, str]) -> None:
    assert {finding: one.label for finding, one in extract(text).items()} == said


@pytest.mark.parametrize("finding", FINDINGS)
def test_every_name_and_alias_is_read_affirmed_and_denied(finding: str) -> None:
    for name in (finding, *ALIASES[finding]):
        assert extract(f"There is {name}.")[finding].label == P, name
        assert extract(f"There is no {name}.")[finding].label == A, name
        assert extract(f"There is no change in {name}.")[finding].label == P, name


def test_present_outweighs_uncertain_outweighs_absent() -> None:
    denied, doubted, named = "No effusion.", "Possible effusion.", "Small effusion."
    assert extract(f"{denied} {doubted}")["pleural effusion"].label == U
    assert extract(f"{doubted} {named} {denied}")["pleural effusion"].label == P


@pytest.mark.parametrize(
    ("text", "finding", "attributes"),
    [
        ("Small left pleural effusion.", "pleural effusion", Attributes(("left",), "", (), "small")),
        ("Bilateral pleural effusions, small.", "pleural effusion", Attributes(("bilateral",), "", (), "small")),
        ("Moderate-to-large right effusion.", "pleural effusion", Attributes(("right",), "", (), "moderate to large")),
        ("Small right and left effusions.", "pleural effusion", Attributes(("bilateral",), "", (), "small")),
        ("A trace left-sided effusion.", "pleural effusion", Attributes(("left",), "", (), "minimal")),
        (
            "Patchy opacity in the right lower lobe.",
            "lung opacity",
            Attributes((), "the right lower lung", ("patchy",), ""),
        ),
        ("Atelectasis at the left base.", "atelectasis", Attributes((), "the left lung base", (), "")),
        ("Bibasilar linear atelectasis.", "atelectasis", Attributes(("bibasilar",), "", ("linear",), "")),
        ("The heart is mildly enlarged.", "cardiomegaly", Attributes((), "", (), "mild")),
        ("Pulmonary edema is moderate.", "edema", Attributes((), "", (), "moderate")),
        ("Right apical pneumothorax and small left effusion.", "pneumothorax", Attributes(("right", "apical"))),
        ("Left effusion. Small right effusion.", "pleural effusion", Attributes(("bilateral",), "", (), "small")),
    ],
)
def test_place_type_and_grade(text: str, finding: str, attributes: Attributes) -> None:
    assert extract(text)[finding].attributes == attributes


def test_words_are_those_of_the_library() -> None:
    for text, _ in SAID:
        for one in statements(text):
            said = one.attributes
            assert set(said.locations) <= {*PRE_LOCATIONS}
            assert set(said.types) <= {*TYPES}
            assert said.level in ("", *LEVELS)


def test_history_technique_and_comparison_are_left_out() -> None:
    text = """
                                 FINAL REPORT
 INDICATION:  CHF, pneumothorax // ?pneumonia

 COMPARISON:  Radiograph ___ with edema.

 FINDINGS:

 Heart: enlarged.  Small left pleural
 effusion is unchanged.

 IMPRESSION:

 1.  Small effusion, 2.5 cm.
 2.  No fracture.  Dr. ___ was told.
 RECOMMENDATION: CT to look for hernia.
"""
    assert sentences(text) == [
        "FINAL REPORT",
        "Heart: enlarged",
        "Small left pleural effusion is unchanged",
        "Small effusion, 2.5 cm",
        "No fracture",
        "Dr. ___ was told",
    ]
    labels = {finding: one.label for finding, one in extract(text).items()}
    assert labels == {"pleural effusion": P, "cardiomegaly": P, "fracture": A}
    assert observations("No heading here.") == "No heading here."
    assert sentences("") == sentences(" \n. \n") == []


def test_reason_and_rule_are_kept() -> None:
    one = extract("FINDINGS: Lungs clear.\n\nIMPRESSION: The left effusion has resolved.")["pleural effusion"]
    assert (one.sentence, one.rule) == ("The left effusion has resolved", "gone: has resolved")


def test_same_text_same_answer() -> None:
    text = " ".join(text for text, _ in SAID)
    assert statements(text) == statements(text)


# --- from statements to labels ------------------------------------------------------------------------------------


def account(report: str):  # type: ignore[no-untyped-def]
    return account_of(Study("1", "", "PA", report=report), statements(report))


def test_labels_of_a_report() -> None:
    said = account("Small left effusion. No pneumothorax. Possible pneumonia. Heart size is normal.")
    assert said.study.findings["pleural effusion"] == 1
    assert said.study.levels == {"pleural effusion": "small"}
    assert said.study.findings["pneumothorax"] == said.study.findings["edema"] == 0
    assert "pneumonia" not in said.study.findings, "uncertain is unknown"
    assert not LASTING & said.study.findings.keys(), "not mentioned is unknown where a finding lasts"
    assert set(said.unknown) == LASTING | {"pneumonia"}
    assert "pneumothorax" in said.denied and "edema" not in said.denied
    assert said.doubtful


def test_a_report_that_says_nothing() -> None:
    silent, normal = account("No change since yesterday."), account("No acute cardiopulmonary process.")
    assert not silent.study.findings
    assert normal.study.findings["edema"] == 0
    assert says_normal(normal.study.report) and not says_normal(silent.study.report)
    assert silent.doubtful and not normal.doubtful
    assert account("Lungs are clear. 2 cm nodule.").doubtful, "another abnormality"


def test_a_lasting_finding_does_not_come_or_go_by_not_being_mentioned() -> None:
    prior, current = account("Calcified granuloma. Small effusion."), account("Moderate effusion.")
    assert Change.between(prior.study, current.study) == Change.of(levels=[("pleural effusion", "small", "moderate")])
    assert Change.between(current.study, prior.study).added == frozenset()


def test_nothing_unknown_is_asked_about() -> None:
    said = account("Possible pneumonia. Small left effusion.")
    for seed in range(300):
        for kind, question, answer in questions.ask(np.random.default_rng(seed), said):
            assert "pneumonia" not in question
            assert not any(name in question for name in LASTING)
            assert kind != "abnormality" or answer in ("yes", "pleural effusion")
    doubtful, normal = account("Possible pneumonia."), account("Normal chest.")
    for said, expected in ((doubtful, set()), (normal, {"no"})):
        asked = [one for seed in range(40) for one in questions.ask(np.random.default_rng(seed), said)]
        assert {answer for kind, _, answer in asked if kind == "abnormality"} == expected


# --- the simulated cohort's own reports ---------------------------------------------------------------------------


def test_simulated_labels_are_recovered() -> None:
    """Micro F1 over all simulated findings, both styles of film, first and later reports; and all attributes."""
    counts: Counter[str] = Counter()
    for style in ("a", "b"):
        for index in range(5):
            for study in simulate_patient(5, index, style=style, films=False).studies:  # type: ignore[arg-type]
                read = extract(study.study.report)
                present = {finding for finding, one in read.items() if one.label == P}
                true = set(study.account.attributes)
                counts["hits"] += len(present & true)
                counts["errors"] += len(present ^ true)
                assert {f: read[f].attributes for f in present & true} == dict(study.account.attributes)
                assert all(read[finding].label == A for finding in study.account.denied)
    assert counts["hits"] > 40
    assert 2 * counts["hits"] / (2 * counts["hits"] + counts["errors"]) == 1.0


# --- the labels of Open-i ------------------------------------------------------------------------------------------


def test_mesh_labels_become_findings() -> None:
    assert set(MAPPED) <= set(FINDINGS)
    assert len(RULES) == len(set(RULES))
    assert findings_of(["Opacity/lung/base/left", "Cardiomegaly/mild"]) == {"lung opacity", "cardiomegaly"}
    assert findings_of(["Opacity/ribs/left", "Aorta/prominent", "Thickening/bronchovascular"]) == set()
    assert findings_of(["Aorta, Thoracic/tortuous/mild", "Thickening/pleura/apex"]) == {
        "tortuosity of the thoracic aorta",
        "pleural thickening",
    }
    assert findings_of(["normal"]) == set()
    assert is_coded(["normal"]) and not is_coded(["No Indexing"]) and not is_coded([""])
