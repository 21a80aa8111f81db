"""Which findings occur together in real outpatient films: sets of labels of the Open-i reports, with their counts.

    python benchmarks/label_sets.py --reports ../shared/data/reports

Writes simulation/label_sets.json, which `simulate --prevalence openi` draws first visits from. Only counts of the
published human MeSH labels (Demner-Fushman et al., JAMIA 2016) leave the collection, no text. A report that was not
coded is left out; a label without a finding that the cohort can show counts as none.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from harness.command import Command

from intervalchange.data.readers.openi import reports
from intervalchange.data.readers.openi_mesh import findings_of, is_coded
from intervalchange.findings import SIMULATED

OUT = Path(__file__).resolve().parent.parent / "src/intervalchange/simulation/label_sets.json"


def main() -> None:
    options = Command(__doc__, "reports")
    chosen = options.parse_args()
    sets: Counter[tuple[str, ...]] = Counter()
    for report in reports(chosen.reports):
        if is_coded(report.labels):
            named = findings_of(report.labels)
            sets[tuple(finding for finding in SIMULATED if finding in named)] += 1
    table = {
        "source": "Human MeSH labels of Open-i (Demner-Fushman et al., JAMIA 2016, doi:10.1093/jamia/ocv080)",
        "command": "python benchmarks/label_sets.py --reports ../shared/data/reports",
        "reports": sum(sets.values()),
        "sets": [[list(names), count] for names, count in sorted(sets.items(), key=lambda item: (-item[1], item[0]))],
    }
    OUT.write_text(json.dumps(table) + "\n", encoding="utf-8")
    for finding in SIMULATED:
        share = sum(count for names, count in sets.items() if finding in names) / table["reports"]
        print(f"{finding:40s} {share:.3f}")
    print(f"{len(sets)} sets of {table['reports']} reports")


if __name__ == "__main__":
    main()
