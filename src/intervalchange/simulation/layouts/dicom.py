"""The simulated cohort as the archive of a hospital exports it: nothing but DICOM files, named after the patient.

    EXPORT/<SURNAME>_<GIVEN>_<PatientID>/<date>_<accession>/SER00001/IM000001        half of them with .dcm

Headers hold what real ones do and readers must not pass on: names, dates of birth, numbers, dates, UIDs. All are
invented. Films are of 8, 12 or 14 bits, CR or DX, some of them MONOCHROME1. Quirks: a view that only a description
says, a lateral beside a PA film, a further frontal of the same study, a CT slice, a copy, a file cut short, DICOMDIR,
a text file. There is no table, and nothing says what is seen on a film.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from intervalchange.atomic_files import write_atomically
from intervalchange.simulation.dicom_files import dicom_bytes, uid
from intervalchange.simulation.layouts import Fragment
from intervalchange.simulation.layouts.files import digest
from intervalchange.simulation.records import SimulatedPatient

EXPORT = "EXPORT"
HOSPITAL = "ZZ SIMULATED HOSPITAL"
DESCRIPTIONS = {"PA": ("CHEST P.A.", "Thorax pa"), "AP": ("Thorax a.p. bedside", "CHEST PORTABLE AP")}
"""View -> how a description names it."""
KINDS = ((8, "CR"), (12, "CR"), (12, "DX"), (14, "DX"))
"""Bits and modality."""


def study_uid(seed: int, index: int, visit: int) -> str:
    """The UID of a study."""
    return uid(seed, index, visit, "dicom study")


def write_patient(patient: SimulatedPatient, out: Path, work: Path, release: str, quirks: bool) -> Fragment:
    """Write the files of a patient; no table needs anything of them."""
    rng = patient.generator(1300)
    person = _person(patient)
    surname, given = person["PatientName"].split("^")
    for visit, study in enumerate(patient.studies):
        accession = f"ZZ{digest(patient.seed, patient.index, visit, 'accession')[:10].upper()}"
        folder = out / EXPORT / f"{surname}_{given}_{patient.patient_id}" / f"{study.acquired:%Y%m%d}_{accession}"
        files = _study_files(patient, visit, {**person, "AccessionNumber": accession}, rng, quirks)
        for number, (series, content) in enumerate(files, start=1):
            ending = ".dcm" if rng.random() < 0.5 else ""
            write_atomically(folder / f"SER{series:05d}" / f"IM{number:06d}{ending}", work, content)
    return {}


def _person(patient: SimulatedPatient) -> dict[str, str]:
    """What the header says of a person and of those who care for them."""
    first = patient.studies[0]
    code = digest(patient.seed, patient.index, 0, "person").upper()
    birth = first.acquired.replace(year=first.acquired.year - int(first.study.age), month=1, day=1)
    return {
        "PatientName": f"ZZNAME{code[:6]}^ZZGIVEN{code[6:10]}",
        "PatientBirthDate": f"{birth:%Y%m%d}",
        "OtherPatientIDs": f"ZZ-{code[10:20]}",
        "PatientAddress": f"{code[20:22]} ZZSTREET",
        "ReferringPhysicianName": f"ZZDOCTOR{code[22:26]}^A",
        "InstitutionName": HOSPITAL,
        "StationName": "ZZSTATION",
    }


def _study_files(
    patient: SimulatedPatient, visit: int, person: dict[str, str], rng: np.random.Generator, quirks: bool
) -> list[tuple[int, bytes]]:
    """(series, file) of one study, the film first."""
    study = patient.studies[visit]
    if study.film is None:
        return []
    bits, modality = KINDS[int(rng.integers(len(KINDS)))]
    view, pixels = study.study.view, study.film.pixels
    described: dict[str, object] = {"SeriesDescription": ""}
    if quirks and rng.random() < 0.3:
        described = {"ViewPosition": "", "SeriesDescription": DESCRIPTIONS[view][int(rng.integers(2))]}

    def file(series: int, number: int, other: Mapping[str, object], pixels: np.ndarray = pixels) -> bytes:
        return dicom_bytes(
            pixels,
            patient_id=patient.patient_id,
            study_uid=study_uid(patient.seed, patient.index, visit),
            series_uid=uid(patient.seed, patient.index, visit, "dicom series", series),
            instance_uid=uid(patient.seed, patient.index, visit, "dicom film", series, number),
            study_date=f"{study.acquired:%Y%m%d}",
            study_time=f"{study.acquired:%H%M%S}",
            view=view,
            modality=modality,
            bits=bits,
            inverted=bool(rng.random() < 0.3),
            sex=study.study.sex,
            age=study.study.age,
            description="CHEST",
            elements={**person, "SeriesNumber": series, "InstanceNumber": number, **other},
        )

    film = file(1, 1, described)
    files = [(1, film)]
    if not quirks:
        return files
    if view == "PA" and rng.random() < 0.3:
        files.append((1, file(1, 2, {"ViewPosition": "LL"})))
    if rng.random() < 0.15:
        files.append((1, file(1, 3, described, pixels[::2, ::2])))
    if rng.random() < 0.1:
        files.append((2, file(2, 1, {"Modality": "CT"})))
    if rng.random() < 0.1:
        files.append((9, film))
    if rng.random() < 0.1:
        files.append((9, film[:300]))
    return files


def write_tables(
    fragments: Sequence[Fragment], out: Path, work: Path, splits: Sequence[str], seed: int, quirks: bool
) -> None:
    """Quirks: the directory and the text that lie beside the films on a disc. There are no tables."""
    if quirks:
        write_atomically(out / "DICOMDIR", work, b"\0" * 128 + b"DICM")
        write_atomically(out / "README.TXT", work, b"Simulated films. No real patient.\r\n")
