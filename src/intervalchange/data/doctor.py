"""What the data are, before anything is trained on them: counts, and what should make one hesitate."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from intervalchange.data.film_records import FilmRecord
from intervalchange.data.missing_films import suggestion
from intervalchange.data.pair_checks import DATES_AGAINST_ORDER
from intervalchange.data.protocol import published_lines
from intervalchange.data.readers.source import Source
from intervalchange.data.splits import NAMES as SPLITS
from intervalchange.findings import FINDINGS
from intervalchange.records import Case, Study

LISTED = 10
"""How many examples of a trouble are named."""


def examine(
    source: Source,
    cases: Sequence[Case],
    splits: Sequence[str],
    studies: Sequence[tuple[str, Study]],
    films: Mapping[str, FilmRecord],
) -> dict[str, Any]:
    """Everything the doctor found, as plain JSON. films empty: none was read."""
    pairs = [(case.prior, case.current) for case in cases if case.prior is not None]
    patients = {name: {c.patient_id for c, s in zip(cases, splits, strict=True) if s == name} for name in SPLITS}
    counts: dict[str, Any] = {
        "patients": len({case.patient_id for case in cases}),
        "studies": len(studies),
        "cases": len(cases),
        "pairs": len({(prior.image, current.image) for prior, current in pairs}),
        "kinds": _counted(case.kind for case in cases),
        "splits": {name: {"cases": splits.count(name), "patients": len(patients[name])} for name in SPLITS},
        "views": _counted(study.view or "unknown" for _, study in studies),
        "view_pairs": _counted(f"{prior.view or '?'} -> {current.view or '?'}" for prior, current in pairs),
        "prevalence": _prevalence([study for _, study in studies]),
        "tags": _counted(tag for case in cases for tag in case.tags if "=" not in tag),
        "studies_with_report": sum(bool(study.report) for _, study in studies),
        "studies_with_regions": sum(bool(study.regions) for _, study in studies),
        "notes": dict(sorted(source.notes.items())),
    }
    if films:
        counts["films"] = _films(source, cases, films)
    return counts


def _prevalence(studies: Sequence[Study]) -> dict[str, dict[str, int]]:
    """Finding -> studies with it, without it, unknown; findings that no study has are left out."""
    table = {}
    for finding in FINDINGS:
        values = [study.findings.get(finding, math.nan) for study in studies]
        present, absent = sum(value == 1 for value in values), sum(value == 0 for value in values)
        if present:
            table[finding] = {"present": present, "absent": absent, "unknown": len(values) - present - absent}
    return table


def _films(source: Source, cases: Sequence[Case], films: Mapping[str, FilmRecord]) -> dict[str, Any]:
    """Films that could not be read, are stored twice, or carry a warning or a date against the order of the cases."""
    bad = [image for image, record in films.items() if record.error]
    by_digest: dict[str, list[str]] = {}
    for image, record in films.items():
        if record.digest:
            by_digest.setdefault(record.digest, []).append(image)
    identical = [" = ".join(images) for images in by_digest.values() if len(images) > 1]
    return {
        "read": len(films) - len(bad),
        "bad": len(bad),
        "bad_examples": [_bad(source, image, films[image].error) for image in bad[:LISTED]],
        "cases_lost": len(source.cases) - len(cases),
        "identical": len(identical),
        "identical_examples": identical[:LISTED],
        "warnings": _counted(warning for record in films.values() for warning in record.warnings),
        "dates_against_order": sum(DATES_AGAINST_ORDER in case.tags for case in cases),
    }


def _bad(source: Source, image: str, error: str) -> str:
    path = source.files.get(image)
    hint = "" if path is not None else suggestion(source.image_root, image)
    return f"{image}: {error} {hint}".strip()


def _counted(words: Iterable[str]) -> dict[str, int]:
    """How often each word occurs, in alphabetical order."""
    return dict(sorted(Counter(words).items()))


def doctor_page(counts: Mapping[str, Any]) -> str:
    """The counts as a short page of text."""
    lines = [
        *(published_lines(counts["protocol"]) if "protocol" in counts else ()),
        f"{counts['patients']:,} patients, {counts['studies']:,} studies, {counts['cases']:,} cases, "
        f"{counts['pairs']:,} distinct pairs",
        "kinds       " + _listed(counts["kinds"]),
        "splits      "
        + ", ".join(f"{name} {s['cases']:,} ({s['patients']:,} patients)" for name, s in counts["splits"].items()),
        "views       " + _listed(counts["views"]),
        "view pairs  " + _listed(counts["view_pairs"]),
        f"reports     {counts['studies_with_report']:,} studies; regions {counts['studies_with_regions']:,} studies",
    ]
    if counts["tags"]:
        lines.append("tags        " + _listed(counts["tags"]))
    lines += ["", "finding (present / absent / unknown studies)"]
    for name, row in sorted(counts["prevalence"].items(), key=lambda item: -item[1]["present"]):
        lines.append(f"  {name:40s} {row['present']:8,} {row['absent']:8,} {row['unknown']:8,}")
    trouble = [f"{count:,} {what}" for what, count in counts["notes"].items()]
    films = counts.get("films")
    if films:
        lines += [
            "",
            f"films       {films['read']:,} read, {films['bad']:,} bad, {films['cases_lost']:,} cases lost to them",
        ]
        trouble += [f"bad film {line}" for line in films["bad_examples"]]
        if films["identical"]:
            trouble.append(f"{films['identical']:,} groups of films with the same pixels under different names")
            trouble += [f"  {line}" for line in films["identical_examples"]]
        if films["dates_against_order"]:
            trouble.append(f"{films['dates_against_order']:,} cases whose DICOM dates say that current is earlier")
        trouble += [f"{count:,} films: {warning}" for warning, count in films["warnings"].items()]
    lines += ["", "noted" if trouble else "nothing to note", *(f"  {line}" for line in trouble)]
    return "\n".join(lines) + "\n"


def _listed(table: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in table.items()) or "none"
