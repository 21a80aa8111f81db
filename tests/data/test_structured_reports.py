"""Structured reports: "name: value" in every typesetting; what is a label and what a statement; what is history."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import yaml

from intervalchange.data.extraction import extract, statements
from intervalchange.data.extraction.account import Attributes
from intervalchange.data.extraction.labels import account_of
from intervalchange.data.extraction.names import STEMS
from intervalchange.data.readers.mimic_sections import part_of
from intervalchange.findings import ALIASES, FINDINGS
from intervalchange.records import Change, Study

REPORTS = Path(__file__).resolve().parents[2] / "benchmarks"
P, A, U = "present", "absent", "uncertain"
NAMES = {
    **{"ptx": "pneumothorax", "eff": "pleural effusion", "ed": "edema", "con": "consolidation", "card": "cardiomegaly"},
    **{"sil": "enlargement of the cardiac silhouette", "atel": "atelectasis", "op": "lung opacity", "pna": "pneumonia"},
    **{"fx": "fracture"},
}
LETTERS = {"P": P, "A": A, "U": U}


@pytest.mark.parametrize(("name", "least"), [("structured_reports", 0.98), ("structured_reports_further", 0.98)])
def test_invented_reports(name: str, least: float) -> None:
    """Micro F1 of what is present over all findings, and the label of each annotated statement."""
    counts: Counter[str] = Counter()
    wrong = []
    for row in yaml.safe_load((REPORTS / f"{name}.yaml").read_text(encoding="utf-8")):
        labels = {finding: one.label for finding, one in extract(row["report"]).items()}
        present = {finding for finding, label in labels.items() if label == P}
        counts["hits"] += len(present & set(row.get(P, ())))
        counts["named"] += len(present) + len(row.get(P, ()))
        wrong += [
            (row["report"], f, want, labels.get(f))
            for want in (P, A, U)
            for f in row.get(want, ())
            if labels.get(f) != want
        ]
    assert 2 * counts["hits"] / counts["named"] >= least
    assert wrong == []


@pytest.mark.parametrize(
    "separator",
    [
        ": ",
        ":",
        " : ",
        ":\t",
        " - ",
        " -- ",
        " \u2013 ",
        " \u2014 ",
        "\u2014",
        "\uff1a",
        " = ",
        "=",
        " -> ",
        " | ",
        "\t",
        " .... ",
        "    ",
        ":\n",
        ":\r\n  ",
        "\n",
        "? ",
        ":\u00a0",
        " (Y/N): ",
    ],
)
def test_every_separator(separator: str) -> None:
    denied, affirmed = (extract(f"Pneumothorax{separator}{value}")["pneumothorax"] for value in ("None", "Small left"))
    assert denied.label == A
    assert (affirmed.label, affirmed.attributes) == (P, Attributes(("left",), "", (), "small"))


VALUES = {
    A: "none|no|No.|NONE|absent|negative|neg|nil|n|0|false|none seen|not seen|not identified|no evidence"
    "|no longer seen"
    "|resolved|has resolved|interval resolution|cleared|[ ]|(-)|is absent|there is none|no definite|nothing"
    "|without|[x] no [ ] yes"
    "|no [x] yes [ ]|previously small, not seen today|small, now resolved|no (improved since prior)"
    "|none (supine film)|not developed",
    P: "yes|y|present|positive|+|1|true|small|trace|moderate right|left, increased|unchanged|stable"
    "|same as prior|no change"
    "|no significant interval change|not resolved|partially resolved|improved|new|1.5 cm|[x]|[x] left [ ] right"
    "|(+)|small, likely old"
    "|none on the left, small on the right|right: none, left: small|yes (improved since prior)"
    "|previously small, now moderate|2+",
    U: "possible|possibly small|likely|probable|unlikely|equivocal|questionable|indeterminate|suspected|?"
    "|? small|cannot be excluded"
    "|not excluded|trace if any|small vs none|may be present",
}  # fmt: skip


@pytest.mark.parametrize(
    ("value", "label"), [(value, label) for label, some in VALUES.items() for value in some.split("|")]
)
def test_values(value: str, label: str) -> None:
    read = extract(f"Heart: enlarged.\nPleural effusion: {value}\nLines: none")["pleural effusion"]
    assert (read.label, read.stated) == (label, True)


NOT_STATED = (
    "|-|--|___|n/a|N/A|NA|nan|not assessed|not evaluated|cannot be assessed|unable to assess|limited evaluation"
    "|not well seen|obscured|unknown|see below|as above|yes/no|Y/N|pending|[ ] yes [ ] no|Dr. Smith was told"
    "|supine film|No edema|Pacemaker noted|choose one"
)


@pytest.mark.parametrize(
    "value",
    NOT_STATED.split("|"),
)
def test_a_label_without_a_value_that_can_be_read_is_not_a_statement(value: str) -> None:
    report = f"Heart: enlarged.\nPleural effusion: {value}\nPneumothorax: none\n"
    read = extract(report)["pleural effusion"]
    assert (read.label, read.stated) == (U, False)
    study = account_of(Study("1", "", "PA", report=report), statements(report)).study
    assert "pleural effusion" not in study.findings, "unknown, and not absent"
    assert extract(f"{report}\nIMPRESSION: No effusion.")["pleural effusion"].label == A, "a statement outweighs it"


SAID = """
FINDINGS: Pneumothorax: None. Effusion: small left => ptx=A eff=P
Pneumothorax: none Effusion: moderate Edema: no Fracture: no => ptx=A eff=P ed=A fx=A
Pneumothorax: none, effusion: small, edema: absent => ptx=A eff=P ed=A
pneumothorax=0,effusion=1,edema=0 => ptx=A eff=P ed=A
Pneumothorax none, effusion small, edema absent. => ptx=A eff=P ed=A
Pneumothorax no, effusion yes. => ptx=A eff=P
Pneumothorax NO   Effusion YES   Edema NO => ptx=A eff=P ed=A
Edema absent, pneumothorax present => ed=A ptx=P
Effusion, edema and pneumothorax: absent => eff=A ed=A ptx=A
Effusion and pneumothorax absent. => eff=A ptx=A
Effusion is small and edema absent. => eff=P ed=A
Pleural effusion/pneumothorax: None => eff=A ptx=A
Pneumothorax (none) => ptx=A
Pneumothorax; none => ptx=A
Effusion-free. => eff=A
?pneumonia => pna=U
Pneumonia? => pna=U
Pneumothorax has not developed. => ptx=A
Pneumothorax: No effusion. => ptx=U eff=A
Pneumothorax: No pneumothorax. => ptx=A
Edema: mild with small effusions => ed=P eff=P
Edema: none. Small effusions. => ed=A eff=P
Small effusion: resolved => eff=A
No fracture: yes => fx=A
Evidence of pneumothorax: no => ptx=A
Is there a pneumothorax? No. Effusion? Yes. => ptx=A eff=P
Q: Pneumothorax?\\nA: No => ptx=A
Pneumothorax (-), effusion (+) => ptx=A eff=P
[ ] Pneumothorax [x] Effusion [ ] Edema => ptx=A eff=P ed=A
[x] No pneumothorax => ptx=A
[ ] No pneumothorax => ptx=U
Pneumothorax ☐\\nEffusion ☑ => ptx=A eff=P
✓ Effusion\\n✗ Pneumothorax => eff=P ptx=A
Pneumothorax | Effusion | Edema\\nNone | Small | No => ptx=A eff=P ed=A
Finding | Yes | No\\nPneumothorax | | x\\nEffusion | x | => ptx=A eff=P
Finding | Prior | Current\\nEffusion | Small | None => eff=A
Finding | Right | Left\\nEffusion | None | Small => eff=P
pneumothorax:\\n  present: false\\neffusion:\\n  status: present\\n  side: left => ptx=A eff=P
<b>Pneumothorax:</b> None<br><b>Effusion:</b> Small => ptx=A eff=P
Absent:\\n- pneumothorax\\n- edema\\nPresent:\\n- effusion => ptx=A ed=A eff=P
ABSENT: pneumothorax, edema => ptx=A ed=A
Edema (0-3): 0\\nEffusion (0-3): 2 => ed=A eff=P
HEART: Enlarged. => card=P
HEART: Borderline. => card=U sil=U
Heart: not assessed => card=U sil=U
Heart: moderate enlargement => card=P
CARDIOMEDIASTINAL SILHOUETTE: Normal => card=A sil=A
PLEURAL EFFUSION: Small bilateral. => eff=P
LUNGS: Clear => op=A con=A
PLEURA: Small left effusion => eff=P
PLEURA: Normal => eff=A ptx=A
BONES: Intact => fx=A
BONES: Normal except old rib fracture => fx=P
PNEUMOTHORAX\\nThere is no pneumothorax.\\nPLEURAL EFFUSION\\nThere is a small effusion. => ptx=A eff=P
Pneumothorax\\n\\nNo\\n\\nEffusion\\n\\nSmall => ptx=A eff=P
PLEURAL EFFUSION\\n Right: None\\n Left: Small => eff=P
No pneumothorax\\nSmall effusion => ptx=A eff=P
Pneumothorax: None\\nThe heart is enlarged => ptx=A card=P
INDICATION: pneumothorax =>
HISTORY: Edema: yes =>
HISTORY: Cough. Edema: yes. FINDINGS: Effusion: none => eff=A
HISTORY:\\nEdema: yes\\nPneumonia: yes\\n\\nIMPRESSION:\\nSmall effusion => eff=P
HISTORY: Cough\\nEdema: yes\\n\\nFINDINGS:\\nEffusion: none => eff=A
INDICATION\\npneumothorax\\n\\nFINDINGS\\nSmall effusion => eff=P
**Indication:** pneumothorax\\n**Findings:** Small effusion => eff=P
Indication - pneumothorax\\nFindings - small effusion => eff=P
INDICATION: pneumothorax\\nPLEURAL EFFUSION: Small => eff=P
INDICATION: Cough. Heart: enlarged. Lungs: clear. => card=P op=A con=A
COMPARISON: Film with small effusion.\\nPNEUMOTHORAX: None. => ptx=A
TECHNIQUE: AP\\n\\nPneumothorax - none\\nEffusion - small => ptx=A eff=P
Small effusion. COMPARISON: None. => eff=P
Small effusion. Impression: None => eff=P
Small effusion. Lines: none => eff=P
Pneumothorax: none. Lines: ETT in place. => ptx=A
IMPRESSION: Cardiomegaly. => card=P
IMPRESSION:\\nCardiomegaly\\nEdema => card=P ed=P
IMPRESSION:\\n1. PNEUMOTHORAX\\n2. Small effusion => ptx=P eff=P
FINDINGS: Small effusion.\\nIMPRESSION: CARDIOMEGALY\\n => eff=P card=P
CARDIOMEGALY\\nNO PNEUMOTHORAX\\nSMALL EFFUSION => card=P ptx=A eff=P
There is a pneumothorax: see image. => ptx=P
Cardiomegaly - stable. => card=P
Compared with prior: no pneumothorax. => ptx=A
Right lower lobe opacity: likely atelectasis. => op=P atel=P
Small effusion on the 10:30 film. => eff=P
Pneumothorax (yes/no) no => ptx=A
Pneumothorax (post procedure): none => ptx=A
Pneumothorax after biopsy: none => ptx=A
Cardiomegaly (CTR > 0.5): No => card=A
Heart size (CTR): Normal => card=A sil=A
Heart normal: no => card=U sil=U
Heart enlarged: no => card=A
Effusion: L small R none => eff=P
R effusion: none; L effusion: small => eff=P
Effusion: both sides clear => eff=A
Increased effusion: no => eff=U
None of the following: pneumothorax, effusion => ptx=A eff=A
Pneumothorax none Effusion small Edema none => ptx=A eff=P ed=A
Prior: small effusion. Current: no effusion. => eff=A
Pneumothorax: none / Effusion: small / Edema: none => ptx=A eff=P ed=A
- **Pneumothorax:** none\\n- **Effusion:** small => ptx=A eff=P
Positive: effusion. Negative: pneumothorax. => eff=P ptx=A
Pneumonia: rule out => pna=U
Recommendation: follow-up of pneumothorax =>
SUPPORT DEVICES: ETT in good position. No pneumothorax. => ptx=A
The following: small effusion, no edema => eff=P ed=A
""".strip().split("\n")  # fmt: skip


@pytest.mark.parametrize("line", SAID)
def test_reports(line: str) -> None:
    text, _, labels = line.rpartition(" =>")
    wanted = {NAMES[item.split("=")[0]]: LETTERS[item.split("=")[1]] for item in labels.split()}
    assert {finding: one.label for finding, one in extract(text.replace("\\n", "\n")).items()} == wanted


@pytest.mark.parametrize(
    ("text", "attributes"),
    [
        ("Effusion: small left, increased", Attributes(("left",), "", (), "small")),
        ("Left pleural effusion: moderate", Attributes(("left",), "", (), "moderate")),
        ("EFFUSION: Small right, moderate left.", Attributes(("bilateral",), "", (), "small")),
        ("Effusion: none on the right, small on the left", Attributes((), "the left lung", (), "small")),
        ("Effusion | Yes | Left | Small", Attributes(("left",), "", (), "small")),
        ("Effusion: Left. Small.", Attributes(("left",), "", (), "small")),
        ("Effusion: layering, bilateral", Attributes(("bilateral",), "", ("layering",), "")),
    ],
)
def test_location_type_and_level_of_a_value(text: str, attributes: Attributes) -> None:
    read = extract(text)["pleural effusion"]
    assert (read.label, read.attributes) == (P, attributes)


def test_form_order_and_line_ends_do_not_matter() -> None:
    lines = [
        "Pneumothorax: None",
        "Pleural effusion: Small left",
        "Edema: Mild",
        "Consolidation: Absent",
        "Cardiomegaly: Yes",
    ]
    wanted = {finding: one.label for finding, one in extract("\n".join(lines)).items()}
    assert list(wanted.values()).count(P) == 3
    for joined in ("\r\n", "\r", "\n\n", ". ", "; ", "  \n", "\t\n", "\u2028", " \u2022 "):
        for some in (lines, lines[::-1]):
            assert {f: one.label for f, one in extract(joined.join(some)).items()} == wanted, repr(joined)


def test_the_only_change_of_two_structured_reports() -> None:
    form = "FINDINGS: Consolidation: None. Pleural effusion: {}. Pneumothorax: None. Edema: None. Heart size: Normal."
    prior, current = (
        account_of(Study(value, "", "PA", report=form.format(value)), statements(form.format(value)))
        for value in ("None", "Small")
    )
    assert not prior.attributes and not prior.doubtful
    assert Change.between(prior.study, current.study) == Change.of(added=["pleural effusion"])


def test_headings_of_findings_stay_in_the_sections_of_mimic() -> None:
    text = (
        " FINAL REPORT\n INDICATION: Edema\n \n FINDINGS: \n PLEURAL EFFUSION: Small.\n HEART: Enlarged.\n \n"
        " IMPRESSION: \n PNEUMOTHORAX: None.\n"
    )
    assert part_of(text, "1", "body") == "PLEURAL EFFUSION: Small.\n HEART: Enlarged.\n\nPNEUMOTHORAX: None."
    assert (
        part_of(" FINAL REPORT\n EXAMINATION: Chest\n LUNGS: Clear\n EDEMA: No\n", "1", "body")
        == "LUNGS: Clear\n EDEMA: No"
    )


def test_stems_are_in_the_names() -> None:
    assert set(STEMS) == set(FINDINGS)
    for finding in FINDINGS:
        for name in (finding, *ALIASES[finding]):
            assert any(stem in name for stem in STEMS[finding]), name


@pytest.mark.parametrize(
    "text", ["[x] ", "[ ] a ", ": ", " - ", "| a ", "Left: ", "Effusion: ", "Absent: ", "HISTORY: ", "<br>"]
)
def test_a_long_report_of_one_kind_is_read(text: str) -> None:
    assert isinstance(statements(text * 500), list)


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("Effusion - none - ", "absent"),
        ("no effusion and ", "absent"),
        ("effusion ", "present"),
        ("Effusion: no, ", "absent"),
    ],
)
def test_a_report_without_a_full_stop_is_read_in_time(text: str, label: str) -> None:
    """100 kB each: read as one sentence, with the square of its length, each would take hours."""
    (statement,) = extract(text * (100_000 // len(text))).values()
    assert (statement.finding, statement.label) == ("pleural effusion", label)
