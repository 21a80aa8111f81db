"""Which DICOM is a frontal chest film: the words of headers, in several languages."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pydicom import config
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from intervalchange.data.dicom_selection import (
    Admitted,
    header_text,
    kind_of,
    named_part,
    named_view,
    part_of_body,
    view_of,
)


def header(**elements: object) -> Dataset:
    film = Dataset()
    for name, value in elements.items():
        tag = tag_for_keyword(name)
        assert tag is not None
        film.add(DataElement(tag, dictionary_VR(tag), value, validation_mode=config.IGNORE))
    return film


def coded(meaning: str, value: str = "") -> list[Dataset]:
    return [header(CodeMeaning=meaning, CodeValue=value)]


@pytest.mark.parametrize(
    ("view", "texts"),
    [
        ("PA", ("PA", "pa", "P.A.", "P-A", "PA ERECT", "PA_UPRIGHT", "PA LLD", "POSTERO_ANTERIOR", "Posteroanterior",
                "postero-anterior", "posterior-anterior", "POSTÉRO-ANTÉRIEURE", "póstero-anterior", "dorso-ventral",
                "PA CHEST", "tylno-przednie", "后前位")),
        ("AP", ("AP", "AP SUPINE", "A/P", "ANTEROPOSTERIOR", "antero-posterior", "Anterior/Posterior", "AP AXIAL",
                "AP LLD", "SUPINE", "PORTABLE", "ANTÉRO-POSTÉRIEUR", "ventrodorsal", "AP_SITTING", "bedside")),
        ("frontal", ("FRONTAL", "DE FACE", "RLD", "LLD", "LEFT LATERAL DECUBITUS", "正位", "PA/AP")),
        ("lateral", ("LATERAL", "LL", "RL", "LAT", "LEFT LATERAL", "LAT.", "LAO", "RAO", "RLO", "OBLIQUE", "PA OBLIQUE",
                     "LATERAL_LEFT", "seitlich", "PROFIL", "perfil", "latéral", "schräg", "latero-lateral", "側面",
                     "L LAT")),
        ("either", ("AP LAT", "PA AND LATERAL", "PA/LAT")),
        ("", ("", "UNKNOWN", "ERECT", "CHEST", "BILATERAL", "PAIN", "APICAL", "SPAN", "MAPLE", "N/A", "STANDARD")),
    ],
)  # fmt: skip
def test_words_of_views(view: str, texts: tuple[str, ...]) -> None:
    assert {text: named_view(text) for text in texts} == dict.fromkeys(texts, view)


@pytest.mark.parametrize(
    ("part", "texts"),
    [
        ("chest", ("CHEST", "THORAX", "Thorax", "TORAX", "TÓRAX", "PECHO", "POITRINE", "BRUST", "BRUSTKORB", "PULMON",
                   "PULMONES", "PULMÃO", "LUNG", "LUNGS", "LUNGE", "TORACE", "KLATKA PIERSIOWA", "PŁUCA", "胸部", "肺",
                   "CHEST_PA", "HEART", "HERZ", "Bröstkorg", "mellkas", "THORACIC CAVITY", "CHEST ABDOMEN",
                   "Грудная клетка", "RIB CAGE", "CHEST RIBS", "TÓRAX PA", "TORAKS", "CXR")),
        ("other", ("KNEE", "HAND", "ABDOMEN", "SHOULDER", "TSPINE", "THORACIC SPINE", "BRUSTWIRBELSÄULE",
                   "COLUMNA TORACICA", "thoracolumbar", "LSPINE", "PELVIS", "RODILLA", "GENOU", "HÜFTE",
                   "FUSS", "Fuß", "RIB", "RIBS", "SKULL", "膝", "BREAST", "CLAVICLE", "cadera", "ginocchio", "KUB")),
        ("", ("", "UNKNOWN", "BODY", "WHOLEBODY", "N/A", "XYZ", "PORTABLE", "restoration", "Tribune", "HANDLING")),
    ],
)  # fmt: skip
def test_words_of_the_body(part: str, texts: tuple[str, ...]) -> None:
    assert {text: named_part(text) for text in texts} == dict.fromkeys(texts, part)


@pytest.mark.parametrize(
    ("elements", "view"),
    [
        ({}, ""),
        ({"ViewPosition": "UNKNOWN"}, ""),
        ({"ViewPosition": "UNKNOWN", "SeriesDescription": "CHEST PA"}, "PA"),
        ({"ViewPosition": "PA", "SeriesDescription": "CHEST LAT"}, "PA"),
        ({"ViewPosition": "PA", "PatientOrientation": ["A", "F"]}, "PA"),
        ({"ViewPosition": "FRONTAL", "StudyDescription": "PORTABLE CHEST"}, "AP"),
        ({"ViewPosition": "FRONTAL", "StudyDescription": "CHEST PA AND LATERAL"}, "frontal"),
        ({"ViewPosition": "AP LAT"}, "either"),
        ({"ViewPosition": "AP LAT", "PatientOrientation": ["L", "F"]}, "frontal"),
        ({"ViewPosition": "AP LAT", "PatientOrientation": ["A", "F"]}, "lateral"),
        ({"ViewPosition": "AP LAT", "SeriesDescription": "CHEST AP"}, "AP"),
        ({"ViewCodeSequence": coded("postero-anterior")}, "PA"),
        ({"ViewCodeSequence": coded("Antero-posterior")}, "AP"),
        ({"ViewCodeSequence": coded("left lateral")}, "lateral"),
        ({"ViewCodeSequence": coded("left anterior oblique")}, "lateral"),
        ({"ViewCodeSequence": coded("", "R-10214")}, "PA"),
        ({"ViewCodeSequence": coded("", "399173006")}, "lateral"),
        ({"PatientOrientation": ["A", "F"]}, "lateral"),
        ({"PatientOrientation": ["P", "F"]}, "lateral"),
        ({"PatientOrientation": ["F", "A"]}, "lateral"),
        ({"PatientOrientation": ["L", "F"]}, "frontal"),
        ({"PatientOrientation": ["L", "F"], "StudyDescription": "CHEST PA LAT"}, "frontal"),
        ({"PatientOrientation": ["L", "F"], "StudyDescription": "CHEST LAT"}, "frontal"),
        ({"PatientOrientation": ["L", "F"], "StudyDescription": "CHEST AP"}, "AP"),
        ({"StudyDescription": "CHEST PA AND OBLIQUES"}, "either"),
        ({"SeriesDescription": "CHEST_LAT", "StudyDescription": "CHEST PA"}, "lateral"),
        ({"StudyDescription": "CHEST 2 VIEWS"}, ""),
    ],
)  # fmt: skip
def test_the_view_of_a_header(elements: dict[str, object], view: str) -> None:
    assert view_of(header(**elements)) == view


@pytest.mark.parametrize(
    ("elements", "part"),
    [
        ({}, ""),
        ({"BodyPartExamined": "CHEST", "StudyDescription": "KNEE"}, "chest"),
        ({"BodyPartExamined": "KNEE", "StudyDescription": "CHEST PA"}, "other"),
        ({"BodyPartExamined": "UNKNOWN"}, "unknown"),
        ({"BodyPartExamined": "UNKNOWN", "StudyDescription": "THORAX"}, "chest"),
        ({"BodyPartExamined": "XR", "SeriesDescription": "Hand links"}, "other"),
        ({"StudyDescription": "KNEE 2 VIEWS"}, "other"),
        ({"AnatomicRegionSequence": coded("Chest")}, "chest"),
        ({"AnatomicRegionSequence": coded("Knee")}, "other"),
        ({"StudyDescription": "CHEST AND SHOULDER"}, "chest"),
    ],
)
def test_the_part_of_the_body_of_a_header(elements: dict[str, object], part: str) -> None:
    assert part_of_body(header(**elements)) == part


@pytest.mark.parametrize(
    ("modality", "kind"),
    [
        *((code, "radiograph") for code in ("CR", "DX", "DR", "RG", "XR", "RX", "dx", "DX ")),
        *((code, "unknown") for code in ("", "OT", "SC", "DIGITAL", "XYZ")),
        *((code, "other") for code in ("CT", "MR", "US", "MG", "PX", "IO", "RF", "XA", "SR", "PR", "NM", "XC")),
    ],
)
def test_modalities(modality: str, kind: str) -> None:
    assert kind_of(header(Modality=modality)) == kind


def test_an_unknown_modality_by_its_storage() -> None:
    assert kind_of(header(Modality="XYZ", SOPClassUID="1.2.840.10008.5.1.4.1.1.2")) == "other"
    assert kind_of(header(Modality="XYZ", SOPClassUID="1.2.840.10008.5.1.4.1.1.1.1")) == "unknown"
    assert kind_of(header(Modality="OT", SOPClassUID="1.2.840.10008.5.1.4.1.1.7")) == "unknown"


def test_what_is_let_in() -> None:
    admitted = Admitted(("rf",), ("ribs", "upper abdomen"), ("LAO", "either"))
    assert kind_of(header(Modality="RF"), admitted) == "radiograph"
    assert kind_of(header(Modality="XA"), admitted) == "other"
    assert part_of_body(header(BodyPartExamined="RIBS"), admitted) == "chest"
    assert part_of_body(header(BodyPartExamined="UPPER_ABDOMEN"), admitted) == "chest"
    assert part_of_body(header(BodyPartExamined="ABDOMEN"), admitted) == "other"
    assert view_of(header(ViewPosition="LAO"), admitted) == "frontal"
    assert view_of(header(ViewPosition="AP LAT"), admitted) == "frontal"
    assert view_of(header(ViewPosition="LATERAL"), admitted) == "lateral"
    assert view_of(header(PatientOrientation=["A", "F"]), Admitted(views=("lateral",))) == "frontal"


@pytest.mark.parametrize("written", [lambda text: text, lambda text: text.encode().decode("latin-1")])
def test_code_strings_in_other_character_sets(written: Callable[[str], str]) -> None:
    assert header_text(header(BodyPartExamined=written("TÓRAX")), "BodyPartExamined") == "TÓRAX"
    assert part_of_body(header(BodyPartExamined=written("胸部"))) == "chest"
    chinese = "胸部".encode("gb18030").decode("latin-1")
    assert part_of_body(header(SpecificCharacterSet="GB18030", BodyPartExamined=chinese)) == "chest"
