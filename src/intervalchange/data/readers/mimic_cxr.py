"""MIMIC-CXR-JPG 2.0.0 and 2.1.0 with the reports of MIMIC-CXR, without Medical-Diff-VQA.

**Size.** 377,110 films, 227,835 studies, 65,379 patients of the emergency department of Beth Israel Deaconess Medical
Center, 2011 to 2016; 253,714 of the films are frontal. Official split by patient: 64,586 / 500 / 293.
**Labels.** Fourteen, by study, made from the reports by the CheXpert or the NegBio labeller: present, absent,
uncertain, or not mentioned. 8 studies have no row and 2,414 rows no CheXpert label. Release 2.1.0 adds labels that
radiologists gave to 687 test reports; these win where they are there (tag `radiologist_labels`).
**Access.** PhysioNet, credentialed, with a signed agreement: no sharing, no re-identification.
**Cite.** Johnson et al. 2019, arXiv:1901.07042 (JPG); Johnson et al., Sci Data 2019;6:317 (reports).
**Defects handled.** StudyTime without its leading zeros; a view given only as a code, or only as a position; rows
without label; the test labels' other name (`Airspace Opacity`), order and lack of a subject; study ids that carry no
order; several frontal films of one study; studies of one patient at the same time.
**Not handled.** A few films that are not of a chest, and the sampling of the test patients: 98 % have a finding, 68 %
of the training patients do. Reports speak of earlier films, so their text gives the change away.

ROOT holds `mimic-cxr-jpg/` and, for the reports, `mimic-cxr/` (each may have a version folder inside).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from intervalchange.data.readers import mimic_files, mimic_studies
from intervalchange.data.readers.files import plain_or_gzip, read_table, version_of
from intervalchange.data.readers.folders import family_root
from intervalchange.data.readers.label_states import findings_of, uncertain_value
from intervalchange.data.readers.mimic_files import FilmPaths
from intervalchange.data.readers.source import Source
from intervalchange.errors import ConfigError, SourceError
from intervalchange.findings import CHEXPERT
from intervalchange.records import Case

LABELLERS = ("chexpert", "negbio")
TEST_LABELS = "mimic-cxr-2.1.0-test-set-labeled.csv"
LABELS = (*CHEXPERT, "Airspace Opacity")

Findings = Mapping[str, float]


def read(
    root: Path,
    images: Path | None = None,
    reports: Path | None = None,
    labels: str = "chexpert",
    uncertain: str = "unknown",
    report_part: str = "body",
    tables_only: bool = False,
) -> Source:
    """Read the tables (and the report texts, unless tables_only).

    images, reports: where these are, if not in ROOT. labels: chexpert or negbio. uncertain: what an uncertain label
    becomes: unknown, absent or present. report_part: body (findings and impression), flat, or whole.
    """
    notes: Counter[str] = Counter()
    paths = mimic_files.locate_films(family_root(root, notes), images, reports)
    films = mimic_studies.frontal(mimic_studies.need_metadata(paths, notes), notes)
    findings, checked = study_findings(paths, labels, uncertain, notes)
    studies = mimic_studies.as_studies(paths, films, notes, tables_only, report_part)
    notes["films of studies without a label"] = sum(not findings.get(s.study_id) for s in studies.values())
    studies = {dicom: replace(study, findings=findings.get(study.study_id, {})) for dicom, study in studies.items()}
    studies, truth = mimic_studies.with_truth(paths, films, studies)
    splits = mimic_studies.split_of_films(paths, notes)
    cases = mimic_studies.film_cases(films, studies, splits)
    cases += mimic_studies.neighbour_cases(films, studies, splits, notes)
    if not cases:
        raise SourceError("no frontal film could be used.", where=paths.images, remedy=f"Noted: {dict(notes)}.")
    cases = [_tagged(case, checked, truth.same_state) for case in cases]
    maps = {studies[dicom].image: path for dicom, path in truth.maps.items()}
    release = version_of(paths.images) or ("2.1.0" if checked else "2.0.0")
    frames = mimic_studies.frames_of(films, studies)
    return Source("mimic_cxr", release, paths.images, cases, dict(+notes), maps, paths.simulated, frames=frames)


def study_findings(
    paths: FilmPaths, labels: str, uncertain: str, notes: Counter[str]
) -> tuple[dict[str, Findings], frozenset[str]]:
    """Study -> findings, and the studies whose labels come from radiologists. Raises SourceError without a table."""
    if labels not in LABELLERS:
        raise ConfigError(f"unknown labels '{labels}'.", remedy=f"Choose one of: {', '.join(LABELLERS)}.")
    value = uncertain_value(uncertain)
    name = f"mimic-cxr-2.0.0-{labels}.csv"
    path = plain_or_gzip(paths.images, name)
    if path is None:
        where = paths.images / f"{name}.gz"
        raise SourceError("the labels are missing.", where=where, remedy=mimic_files.WHERE["images"])
    findings = _label_table(path, value, notes)
    by_radiologists = plain_or_gzip(paths.images, TEST_LABELS)
    if by_radiologists is None:
        return findings, frozenset()
    checked = _label_table(by_radiologists, value, notes)
    notes["studies with the labels of radiologists"] = len(checked)
    return {**findings, **checked}, frozenset(checked)


def _label_table(path: Path, uncertain: float, notes: Counter[str]) -> dict[str, Findings]:
    """Study -> findings of one table, its columns by name."""
    table = read_table(path, mimic_files.WHERE["images"])
    labels = [name for name in table.columns if name in LABELS]
    if "study_id" not in table.columns or not labels:
        raise SourceError("this is not a table of labels by study_id.", where=path, remedy=mimic_files.WHERE["images"])
    findings: dict[str, Findings] = {}
    for study, *cells in zip(table["study_id"], *(table[name] for name in labels), strict=True):
        if not mimic_files.plain_id(study):
            notes["label rows without a study_id (skipped)"] += 1
            continue
        findings[mimic_files.plain_id(study)] = findings_of(dict(zip(labels, cells, strict=True)), uncertain, notes)
    return findings


def _tagged(case: Case, checked: frozenset[str], same_state: frozenset[frozenset[str]]) -> Case:
    """The case with the facts a table can be cut by."""
    studies = {study.study_id for study in (case.current, case.prior) if study is not None}
    tags = list(case.tags)
    if studies <= checked:
        tags.append("radiologist_labels")
    if case.prior is not None and frozenset(studies) in same_state:
        tags.append("same_state")
    return replace(case, tags=tuple(tags))
