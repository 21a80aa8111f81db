"""The codes of a filed answer: one table, no logic.

A code of SNOMED CT (`SCT`) or of DICOM (`DCM`) is used only where the dictionaries of pydicom have it with the meaning
that is meant (tests/archive/test_codes.py). So have 12 of the 30 findings, all sites, and 11 of the 17 levels, in 8
codes. Everything else has a code of our own scheme, whose meaning is the project's word: a number from memory would be
worse than none. SNOMED's "New finding" is not used, for its full name goes on "since previous mammogram".

A finding is known by its code and its site together: both tortuosities have the same code.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from pydicom.sr.coding import Code

SCHEME = "99INTERVALCHANGE"
SCHEME_UID = "2.25.19278054272522111921571913291653919322"
SCHEME_NAME = "Words of intervalchange"


@dataclass(frozen=True)
class CodedFinding:
    """What a finding is, and where."""

    code: Code
    site: Code


LUNG = Code("39607008", "SCT", "Lung")
HEART = Code("80891009", "SCT", "Heart")
PLEURA = Code("3120008", "SCT", "Pleura")
CHEST = Code("816094009", "SCT", "Chest")
TORTUOSITY = Code("15690004", "SCT", "Tortuosity")

FINDINGS = MappingProxyType(
    {
        "pleural effusion": CodedFinding(Code("60046008", "SCT", "Pleural effusion"), PLEURA),
        "atelectasis": CodedFinding(Code("atelectasis", SCHEME, "atelectasis"), LUNG),
        "cardiomegaly": CodedFinding(Code("287272002", "SCT", "Cardiomegaly"), HEART),
        "enlargement of the cardiac silhouette": CodedFinding(
            Code("silhouette", SCHEME, "enlargement of the cardiac silhouette"), HEART
        ),
        "edema": CodedFinding(Code("19242006", "SCT", "Pulmonary edema"), LUNG),
        "hernia": CodedFinding(Code("hernia", SCHEME, "hernia"), Code("5798000", "SCT", "Diaphragm")),
        "vascular congestion": CodedFinding(Code("vasc-congestion", SCHEME, "vascular congestion"), LUNG),
        "hilar congestion": CodedFinding(
            Code("hilar-congestion", SCHEME, "hilar congestion"), Code("46750007", "SCT", "Hilum of lung")
        ),
        "pneumothorax": CodedFinding(Code("36118008", "SCT", "Pneumothorax"), PLEURA),
        "heart failure": CodedFinding(Code("84114007", "SCT", "Heart failure"), HEART),
        "lung opacity": CodedFinding(Code("112001", "DCM", "Opacity"), LUNG),
        "pneumonia": CodedFinding(Code("pneumonia", SCHEME, "pneumonia"), LUNG),
        "tortuosity of the descending aorta": CodedFinding(TORTUOSITY, Code("281130003", "SCT", "Descending aorta")),
        "scoliosis": CodedFinding(Code("scoliosis", SCHEME, "scoliosis"), Code("421060004", "SCT", "Spine")),
        "gastric distention": CodedFinding(
            Code("gastric-distens", SCHEME, "gastric distention"), Code("69695003", "SCT", "Stomach")
        ),
        "hypoxemia": CodedFinding(Code("hypoxemia", SCHEME, "hypoxemia"), CHEST),
        "hypertensive heart disease": CodedFinding(Code("64715009", "SCT", "Hypertensive heart disease"), HEART),
        "hematoma": CodedFinding(Code("35566002", "SCT", "Hematoma"), CHEST),
        "tortuosity of the thoracic aorta": CodedFinding(TORTUOSITY, Code("113262008", "SCT", "Thoracic aorta")),
        "contusion": CodedFinding(Code("contusion", SCHEME, "contusion"), LUNG),
        "emphysema": CodedFinding(Code("emphysema", SCHEME, "emphysema"), LUNG),
        "granuloma": CodedFinding(Code("granuloma", SCHEME, "granuloma"), LUNG),
        "calcification": CodedFinding(Code("18115005", "SCT", "Pathologic calcification"), CHEST),
        "pleural thickening": CodedFinding(Code("pleural-thick", SCHEME, "pleural thickening"), PLEURA),
        "thymoma": CodedFinding(Code("thymoma", SCHEME, "thymoma"), Code("9875009", "SCT", "Thymus gland")),
        "blunting of the costophrenic angle": CodedFinding(
            Code("costophrenic", SCHEME, "blunting of the costophrenic angle"), PLEURA
        ),
        "consolidation": CodedFinding(Code("consolidation", SCHEME, "consolidation"), LUNG),
        "fracture": CodedFinding(Code("fracture", SCHEME, "fracture"), Code("272710004", "SCT", "Bone of thorax")),
        "pneumomediastinum": CodedFinding(
            Code("16838000", "SCT", "Pneumomediastinum"), Code("72410000", "SCT", "Mediastinum")
        ),
        "air collection": CodedFinding(Code("air-collection", SCHEME, "air collection"), CHEST),
    }
)
"""Finding -> its code and site, in library order."""

LEVELS = MappingProxyType(
    {
        "subtle": Code("subtle", SCHEME, "subtle"),
        "minimal": Code("minimal", SCHEME, "minimal"),
        "minimally": Code("minimally", SCHEME, "minimally"),
        "minor": Code("minor", SCHEME, "minor"),
        "mild": Code("mild", SCHEME, "mild"),
        "mildly": Code("mildly", SCHEME, "mildly"),
        "small": Code("small", SCHEME, "small"),
        "mild to moderate": Code("mild-moderate", SCHEME, "mild to moderate"),
        "moderate": Code("moderate", SCHEME, "moderate"),
        "moderately": Code("moderately", SCHEME, "moderately"),
        "moderate to large": Code("moderate-large", SCHEME, "moderate to large"),
        "moderate to severe": Code("moderate-severe", SCHEME, "moderate to severe"),
        "severe": Code("severe", SCHEME, "severe"),
        "massive": Code("massive", SCHEME, "massive"),
        "acute": Code("acute", SCHEME, "acute"),
        "increasing": Code("increasing", SCHEME, "increasing"),
        "decreasing": Code("decreasing", SCHEME, "decreasing"),
    }
)
"""Level -> the code of the word itself, so that none is lost."""

MINIMAL = Code("255605001", "SCT", "Minimal (qualifier value)")
MILD = Code("255604002", "SCT", "Mild")
MODERATE = Code("6736007", "SCT", "Moderate")

SEVERITIES = MappingProxyType(
    {
        "minimal": MINIMAL,
        "minimally": MINIMAL,
        "minor": Code("255606000", "SCT", "Minor"),
        "mild": MILD,
        "mildly": MILD,
        "small": Code("255507004", "SCT", "Small"),
        "mild to moderate": Code("371923003", "SCT", "Mild to Moderate"),
        "moderate": MODERATE,
        "moderately": MODERATE,
        "moderate to severe": Code("371924009", "SCT", "Moderate to Severe"),
        "severe": Code("24484000", "SCT", "Severe"),
    }
)
"""Level -> SNOMED's severity or size, beside the word, where the dictionaries have it."""

PRESENT = Code("52101004", "SCT", "Present")
ABSENT = Code("272519000", "SCT", "Absent")

NEW = Code("new", SCHEME, "new")
RESOLVED = Code("413322009", "SCT", "Problem resolved")
WORSE = Code("worse", SCHEME, "worse")
BETTER = Code("better", SCHEME, "better")
OTHER_LEVEL = Code("other-level", SCHEME, "another level, neither worse nor better")

CHANGED = Code("changed", SCHEME, "changed")
NO_CHANGE = Code("260388006", "SCT", "No change")
UNSURE = Code("82334004", "SCT", "Indeterminate")
"""Of the whole answer: something, nothing, or the model was not sure."""

DIFFERENCE = Code("111049", "DCM", "Qualitative Difference")
"""What the codes of a change answer, of a finding and of the whole."""
PRIOR_PRESENCE = Code("prior-presence", SCHEME, "Presence on the prior film")
CURRENT_PRESENCE = Code("current-presence", SCHEME, "Presence on the current film")
PRIOR_SEVERITY = Code("prior-severity", SCHEME, "Severity on the prior film")
CURRENT_SEVERITY = Code("current-severity", SCHEME, "Severity on the current film")
PRIOR_LEVEL = Code("prior-level", SCHEME, "Level on the prior film, in the words of the answer")
CURRENT_LEVEL = Code("current-level", SCHEME, "Level on the current film, in the words of the answer")
CERTAINTY = Code("111012", "DCM", "Certainty of Finding")
CERTAINTY_OF_ANSWER = Code("111013", "DCM", "Certainty of Impression")
PERCENT = Code("%", "UCUM", "Percent")

EVALUATIONS = Code("C0034375", "UMLS", "Qualitative Evaluations")
"""Row 12 of TID 1500; pydicom does not have it, DCMTK (libcmr) has."""
ANSWER = Code("121073", "DCM", "Impression")
QUESTION = Code("question", SCHEME, "Question")
MODEL = Code("model", SCHEME, "Model")
WHY = Code("why", SCHEME, "Why this prior film")
WARNING = Code("warning", SCHEME, "Warning")
NOTICE = Code("notice", SCHEME, "Notice")
ROLE = Code("role", SCHEME, "Role in the comparison")
PRIOR = Code("prior", SCHEME, "prior film")
CURRENT = Code("current", SCHEME, "current film")
IMAGE_LIBRARY = Code("111028", "DCM", "Image Library")
IMAGE_LIBRARY_GROUP = Code("126200", "DCM", "Image Library Group")
IMAGING_MEASUREMENTS = Code("126010", "DCM", "Imaging Measurements")
REPORT_TITLE = Code("126000", "DCM", "Imaging Measurement Report")
PROCEDURE_REPORTED = Code("121058", "DCM", "Procedure reported")
SOURCE = Code("260753009", "SCT", "Source")
FINDING = Code("121071", "DCM", "Finding")
FINDING_SITE = Code("363698007", "SCT", "Finding Site")
CHEST_IMAGING = Code("413815006", "SCT", "Chest imaging (procedure)")
LANGUAGE = Code("en-US", "RFC5646", "English (United States)")
