"""What a look at the data shows before anything is trained on it: counts, and what should make one hesitate."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from intervalchange.findings import FINDINGS
from intervalchange.records import Case, Study

if TYPE_CHECKING:
    from intervalchange.data.prepare import FilmRecord
    from intervalchange.data.readers.source import Source

LISTED = 10
"""How many examples of a trouble are named."""


def examine(
    source: Source,
    cases: Sequence[Case],
    splits: Sequence[str],
    studies: Sequence[tuple[str, Study]],
    films: Mapping[str, FilmRecord],
) -> dict[str, Any]:
    """Everything the doctor found, as plain JSON. films empty: none was looked at."""
    pairs = [case for case in cases if case.prior is not None]
    counts: dict[str, Any] = {
        "patients": len({case.patient_id for case in cases}),
        "studies": len(studies),
        "cases": len(cases),
        "pairs": len({(case.prior.image, case.current.image) for case in pairs if case.prior is not None}),
        "kinds": dict(sorted(Counter(case.kind for case in cases).items())),
        "splits": {
            name: {
                "cases": splits.count(name),
                "patients": len({c.patient_id for c, split in zip(cases, splits, strict=True) if split == name}),
            }
            for name in ("train", "val", "test")
        },
        "views": dict(sorted(Counter(study.view or "unknown" for _, study in studies).items())),
        "view_pairs": dict(
            sorted(
                Counter(
                    f"{c.prior.view or '?'} -> {c.current.view or '?'}" for c in pairs if c.prior is not None
                ).items()
            )
        ),
        "prevalence": _prevalence([study for _, study in studies]),
        "tags": dict(sorted(Counter(tag for case in cases for tag in case.tags if "=" not in tag).items())),
        "studies_with_report": sum(bool(study.report) for _, study in studies),
        "studies_with_regions": sum(bool(study.regions) for _, study in studies),
        "notes": dict(sorted(source.notes.items())),
    }
    if films:
        counts["films"] = _films(source, cases, films)
    return counts


def _prevalence(studies: Sequence[Study]) -> dict[str, dict[str, int]]:
    """Finding -> studies with, without; findings never seen are left out."""
    table = {}
    for finding in FINDINGS:
        values = [study.findings.get(finding, math.nan) for study in studies]
        present, absent = sum(value == 1 for value in values), sum(value == 0 for value in values)
        if present:
            table[finding] = {"present": present, "absent": absent, "unknown": len(values) - present - absent}
    return table


def _films(source: Source, cases: Sequence[Case], films: Mapping[str, FilmRecord]) -> dict[str, Any]:
    bad = [f"{image}: {record.error}" for image, record in films.items() if record.error]
    twins: dict[str, list[str]] = {}
    for image, record in films.items():
        if record.digest:
            twins.setdefault(record.digest, []).append(image)
    same = [" = ".join(images) for images in twins.values() if len(images) > 1]
    lost = len(source.cases) - len(cases)
    found: dict[str, Any] = {"read": len(films) - len(bad), "bad": len(bad), "bad_examples": bad[:LISTED]}
    found |= {"cases_lost": lost, "identical": len(same), "identical_examples": same[:LISTED]}
    found["warnings"] = dict(
        sorted(Counter(warning for record in films.values() for warning in record.warnings).items())
    )
    found["dates_against_order"] = sum(
        1
        for case in cases
        if case.prior is not None
        and films[case.current.image].date
        and films[case.prior.image].date
        and films[case.current.image].date < films[case.prior.image].date
    )
    return found


def doctor_page(counts: Mapping[str, Any]) -> str:
    """The counts as a short page of text."""
    lines = [
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
