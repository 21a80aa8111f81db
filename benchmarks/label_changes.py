"""How often does a label of NIH come and go again: the rule of data/readers/nih_changes.py, from the labels alone.

    python benchmarks/label_changes.py --nih ../shared/data/nih_films

Patients of test_list.txt are left out. Per label: among three neighbouring films of a patient whose label changes from
the first to the second, the share of changes that have gone away on the third, with its 95% interval by patient; and
what the same share is if each patient's films are put in random order, which is one half but for few films. Run it on
the whole download to have the figures of 112,120 films.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
from harness.command import Command, write_result

from intervalchange.data.readers import read_source
from intervalchange.data.readers.nih import FINDING_OF_LABEL
from intervalchange.data.readers.nih_changes import YEARS, Triples, in_order, lasts, triples
from intervalchange.evaluation.metrics.statistics import named_metrics, ratio
from intervalchange.records import Study

SEED = 0


def series_of(root: Path) -> dict[str, list[Study]]:
    """Patient -> films in order, of the patients that are not in the official test list."""
    series: dict[str, list[Study]] = {}
    for case in read_source("nih", root, tables_only=True).cases:
        if case.prior is None and case.split != "test":
            series.setdefault(case.patient_id, []).append(case.current)
    return {patient: films for patient, each in series.items() if (films := in_order(each))}


def measured(counts: dict[str, Triples]) -> dict[str, float]:
    """Share of changes that go away, its interval, and how many changes and patients it is of."""
    known = {patient: count for patient, count in counts.items() if count.went_away + count.lasted}
    away = np.array([count.went_away for count in known.values()], float)
    lasted = np.array([count.lasted for count in known.values()], float)
    row = {"changes": int(away.sum() + lasted.sum()), "patients": len(known)}
    if len(known) < 2:
        return row
    found = named_metrics(
        "share",
        {"away": away, "all": away + lasted},
        list(known),
        lambda sums: {"away": ratio(sums["away"], sums["all"])},
    )
    return row | {name.removeprefix("share."): round(value, 4) for name, value in found.items()}


def shuffled(series: dict[str, list[Study]]) -> dict[str, list[Study]]:
    """The labels of each patient's films in random order; ages and numbers stay."""
    rng, mixed = np.random.default_rng(SEED), {}
    for patient, films in series.items():
        order = rng.permutation(len(films))
        mixed[patient] = [
            Study(film.study_id, film.image, film.view, order=film.order, age=film.age, findings=films[other].findings)
            for film, other in zip(films, order, strict=True)
        ]
    return mixed


def main() -> None:
    options = Command(__doc__, "nih")
    options.result("--out", "label_changes.json")
    chosen = options.parse_args()
    series, table = series_of(chosen.nih), {}
    mixed = shuffled(series)
    for finding in FINDING_OF_LABEL.values():
        row = measured({patient: triples(films, finding) for patient, films in series.items()})
        random = measured({patient: triples(films, finding) for patient, films in mixed.items()})
        table[finding] = {**row, "random_order": random.get("away"), "lasts": lasts(row.get("away.high", 1.0))}
    films = Counter({"patients": len(series), "films": sum(map(len, series.values()))})
    lasting = [finding for finding, row in table.items() if row["lasts"]]
    write_result(chosen.out, {"of": dict(films), "years": YEARS, "lasting": lasting, "labels": table})


if __name__ == "__main__":
    main()
