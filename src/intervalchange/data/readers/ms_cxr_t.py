"""MS-CXR-T 1.0.0: how five findings progress between two films, read by radiologists, on MIMIC-CXR-JPG. Test only.

**Size.** 1,045 pairs with 1,326 labels of consolidation, edema, pleural effusion, pneumonia and pneumothorax; beside
them 361 pairs of sentences that say the same or the opposite (`read_sentences`).
**Labels.** improving, stable or worsening, or empty where nothing was annotated; how certain: one_expert,
multiple_experts, disagreement.
**Access.** PhysioNet, credentialed; annotations only, the films are those of MIMIC-CXR-JPG. doi 10.13026/pg10-j984.
**Cite.** Bannur et al., CVPR 2023 (arXiv:2301.04558).
**Defects handled.** `dicom_id` and `previous_dicom_id` are paths; empty labels; rows whose previous film is the later
one by the MIMIC metadata (turned round, with their labels); words that are none of the three.
**Not handled.** Patients of MIMIC's training split are among its subjects, so every subject is `test` here, and must
be kept out of the training of whatever is tested with it.

ROOT holds `ms-cxr-t/` with `MS_CXR_T_temporal_image_classification_v*.csv`, and `mimic-cxr-jpg/`. A progression says
nothing of what is on a film: the answer of a pair comes from the labels of MIMIC-CXR-JPG where these are there and a
finding is known on both films, and is empty elsewhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from intervalchange.data.readers import mimic_files, mimic_studies
from intervalchange.data.readers.cases import change_case, known_findings
from intervalchange.data.readers.files import need_columns, newest_table, plain_or_gzip, read_table
from intervalchange.data.readers.folders import family_root
from intervalchange.data.readers.mimic_cxr import LABELLERS, Findings, study_findings
from intervalchange.data.readers.mimic_files import FilmMetadata, FilmPaths
from intervalchange.data.readers.moments import later
from intervalchange.data.readers.source import Source
from intervalchange.errors import SourceError
from intervalchange.records import Case, Study

WHERE = "Fetch it from https://physionet.org/content/ms-cxr-t/ (credentialed) into ROOT/ms-cxr-t."
PAIRS = "MS_CXR_T_temporal_image_classification_v"
SENTENCES = "MS_CXR_T_temporal_sentence_similarity_v"
FINDINGS = ("consolidation", "edema", "pleural_effusion", "pneumonia", "pneumothorax")
"""As the columns name them."""
BACKWARDS = {"improving": "worsening", "stable": "stable", "worsening": "improving"}
"""Progression -> the same read backwards in time."""
QUALITIES = ("one_expert", "multiple_experts", "disagreement")


@dataclass(frozen=True)
class Pair:
    """One row: two films and how findings progress from prior to current."""

    subject: str
    prior: tuple[str, str]
    """study, dicom_id."""
    current: tuple[str, str]
    progression: Mapping[str, str]
    """Finding -> improving, stable, worsening; only what is annotated."""
    quality: Mapping[str, str]
    swapped: bool = False
    """The row named the later film as the previous one."""


@dataclass(frozen=True)
class SentencePair:
    """Two sentences about change."""

    first: str
    second: str
    category: str
    """paraphrase or contradiction."""
    subset: str = ""
    """Where the table says how the pair was made."""


def read(
    root: Path,
    images: Path | None = None,
    reports: Path | None = None,
    labels: str = "chexpert",
    uncertain: str = "unknown",
    report_part: str = "body",
    tables_only: bool = False,
) -> Source:
    """Read the pairs (and the report texts, unless tables_only).

    images, reports: where these are, if not in ROOT. labels, uncertain, report_part: as for `mimic_cxr`.
    """
    notes: Counter[str] = Counter()
    root = family_root(root, notes)
    paths = mimic_files.locate_films(root, images, reports, expected="ms-cxr-t and mimic-cxr-jpg")
    path = newest_table(root / "ms-cxr-t", PAIRS, (".csv", ".csv.gz"), WHERE)
    pairs = _pairs(path, notes)
    ids = {dicom: (pair.subject, study) for pair in pairs for study, dicom in (pair.prior, pair.current)}
    films = mimic_studies.named_films(paths, ids, notes)
    findings = _known_findings(paths, labels, uncertain, notes)
    studies = mimic_studies.as_studies(paths, films, notes, tables_only, report_part)
    studies = {dicom: replace(study, findings=findings.get(study.study_id, {})) for dicom, study in studies.items()}
    cases = [case for case in mimic_studies.film_cases(films, studies, dict.fromkeys(films, "test")) if case.answer]
    pair_cases: dict[str, Case] = {}
    for pair in pairs:
        if pair.prior[1] not in films or pair.current[1] not in films:
            notes["pairs with a film that is not frontal (skipped)"] += 1
            continue
        case = _case(_forward(pair, films, notes), studies, notes)
        if case.case_id in pair_cases:
            notes["pairs given twice (kept once)"] += 1
        pair_cases.setdefault(case.case_id, case)
    if not pair_cases:
        raise SourceError("no pair could be used.", where=path, remedy=f"Noted: {dict(notes)}. {WHERE}")
    cases += pair_cases.values()
    release = path.name.removeprefix(PAIRS).removesuffix(".gz").removesuffix(".csv")
    return Source("ms_cxr_t", release, paths.images, cases, dict(+notes), simulated=paths.simulated)


def _known_findings(paths: FilmPaths, labels: str, uncertain: str, notes: Counter[str]) -> Mapping[str, Findings]:
    """Study -> findings, where MIMIC-CXR-JPG's table of labels is there."""
    table = plain_or_gzip(paths.images, f"mimic-cxr-2.0.0-{labels}.csv")
    if table is None and labels in LABELLERS:
        notes[f"there are no {labels} labels of MIMIC-CXR-JPG: the pairs have no answer"] = 1
        return {}
    return study_findings(paths, labels, uncertain, notes)[0]


def _forward(pair: Pair, films: Mapping[str, FilmMetadata], notes: Counter[str]) -> Pair:
    """The pair read forward in time, by the metadata where they tell."""
    if later(films[pair.prior[1]].taken, films[pair.current[1]].taken) >= 0:
        return pair
    notes["pairs whose previous film is the later one (turned round)"] += 1
    turned = {finding: BACKWARDS[word] for finding, word in pair.progression.items()}
    return replace(pair, prior=pair.current, current=pair.prior, progression=turned, swapped=True)


def _case(pair: Pair, studies: Mapping[str, Study], notes: Counter[str]) -> Case:
    prior, current = studies[pair.prior[1]], studies[pair.current[1]]
    tags = [f"progression:{finding}={word}" for finding, word in pair.progression.items()]
    tags += [f"label_quality:{finding}={word}" for finding, word in pair.quality.items()]
    tags += ["swapped_row"] * pair.swapped
    case = change_case(prior, current, pair.subject, "test", tags)
    if known_findings(prior) & known_findings(current):
        return case
    notes["pairs without a finding known on both films (their answer is empty)"] += 1
    return replace(case, answer="")


# --- the tables ------------------------------------------------------------------------------------------------------


def _pairs(path: Path, notes: Counter[str]) -> list[Pair]:
    """The rows that name two films and at least one progression."""
    table = read_table(path, WHERE)
    need_columns(table, ("dicom_id", "previous_dicom_id", *(f"{name}_progression" for name in FINDINGS)), path, WHERE)
    pairs = []
    for row in table.to_dict("records"):
        current, prior = (mimic_files.ids_of_path(row[name]) for name in ("dicom_id", "previous_dicom_id"))
        if current is None or prior is None or current[0] != prior[0] or current == prior:
            notes["rows that do not name two films of one patient (skipped)"] += 1
            continue
        progression = _words(row, "progression", tuple(BACKWARDS), notes)
        if not progression:
            notes["rows without a label (skipped)"] += 1
            continue
        quality = {n: w for n, w in _words(row, "label_quality", QUALITIES, notes).items() if n in progression}
        pairs.append(Pair(current[0], prior[1:], current[1:], progression, quality))
    return pairs


def _words(row: Mapping[str, str], what: str, known: tuple[str, ...], notes: Counter[str]) -> dict[str, str]:
    """Finding -> its cell in the columns `<finding>_<what>`, where it is filled with a known word."""
    words = {}
    for name in FINDINGS:
        word = row.get(f"{name}_{what}", "").strip().lower()
        if word in known:
            words[name.replace("_", " ")] = word
        elif word:
            notes[f"cells of {what} with an unknown word (left out)"] += 1
    return words


def read_sentences(root: Path) -> list[SentencePair]:
    """The table of sentence similarity, with its own words."""
    path = newest_table(root / "ms-cxr-t", SENTENCES, (".csv", ".csv.gz"), WHERE)
    table = read_table(path, WHERE)
    need_columns(table, ("sentence_1", "sentence_2", "category"), path, WHERE)
    subset = next((name for name in table.columns if name.lower().startswith("subset")), "")
    return [
        SentencePair(
            row["sentence_1"].strip(),
            row["sentence_2"].strip(),
            row["category"].strip().lower(),
            row[subset].strip() if subset else "",
        )
        for row in table.to_dict("records")
    ]
