"""How well rules read reports: the extractor against the human MeSH labels of Open-i.

    python benchmarks/extraction.py --reports ../shared/data/reports

Reports whose id hash (SHA-256, first byte) is even were used to tune the rules; the claim is made on the odd ones,
once. A finding counts as read where the extractor says "present"; uncertain is not present (chosen on the even half). A
report that was not coded ("No Indexing") is left out. The table of labels, `openi_mesh.RULES`, was fixed before any
score.

Beside it the structured reports ("Pneumothorax: none", tables, boxes to tick), which we invented: sixty in the ten
forms that the rules were written for, and twenty in forms that they were not, mended since. Their annotation names
what is present, absent, and in doubt or not stated.

Scored are the findings named by at least 30 coded reports of the whole collection; beside it stands the micro F1 over
those with 30 in the half itself. Always saying "absent" has a recall and an F1 of 0; its accuracy is the floor shown.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from pathlib import Path

import numpy as np
import yaml
from harness.command import Command, provenance, write_json

from intervalchange.data.extraction import extract
from intervalchange.data.readers.openi import Report, reports
from intervalchange.data.readers.openi_mesh import findings_of, is_coded
from intervalchange.findings import FINDINGS

LABELS = ("present", "absent", "uncertain")
STRUCTURED = {
    "structured": Path(__file__).parent / "structured_reports.yaml",
    "structured_further": Path(__file__).parent / "structured_reports_further.yaml",
}
LEAST = 30
TARGET = 0.85
DRAWS = 2000


def half(report_id: str) -> str:
    """even (tuning) or odd (the claim)."""
    return "odd" if hashlib.sha256(report_id.encode()).digest()[0] % 2 else "even"


def measures(truth: np.ndarray, read: np.ndarray) -> dict[str, float]:
    """Precision, recall, F1, accuracy, and the accuracy of always answering absent, of bool arrays of any shape."""
    hits, predicted, positive = int((truth & read).sum()), int(read.sum()), int(truth.sum())
    return {
        "support": positive,
        "hits": hits,
        "false_positives": predicted - hits,
        "misses": positive - hits,
        "precision": round(hits / predicted, 4) if predicted else 0.0,
        "recall": round(hits / positive, 4) if positive else 0.0,
        "f1": round(2 * hits / (predicted + positive), 4) if predicted + positive else 0.0,
        "accuracy": round(float((truth == read).mean()), 4),
        "always_absent_accuracy": round(float((~truth).mean()), 4),
        "always_absent_f1": 0.0,
    }


def interval(truth: np.ndarray, read: np.ndarray) -> list[float]:
    """95% interval of micro F1, reports drawn with replacement. truth, read: (reports, findings) bool."""
    rng = np.random.default_rng(0)
    hits, both = (truth & read).sum(axis=1), truth.sum(axis=1) + read.sum(axis=1)
    weights = rng.multinomial(len(truth), np.full(len(truth), 1 / len(truth)), size=DRAWS)
    scores = 2 * (weights @ hits) / (weights @ both)
    return [round(float(edge), 4) for edge in np.percentile(scores, (2.5, 97.5))]


def score(chosen: list[Report], counts: Counter[str]) -> dict[str, object]:
    """One half. counts: finding -> coded reports of the collection that name it."""
    named = [findings_of(report.labels) for report in chosen]
    started = time.perf_counter()
    labels = [{f: one.label for f, one in extract(report.text).items()} for report in chosen]
    rate = len(chosen) / (time.perf_counter() - started)
    scored = [finding for finding in FINDINGS if counts[finding] >= LEAST]
    truth = np.array([[finding in one for finding in scored] for one in named])
    read = np.array([[one.get(finding) == "present" for finding in scored] for one in labels])
    unsure = np.array([[one.get(finding) in ("present", "uncertain") for finding in scored] for one in labels])
    common = truth.sum(axis=0) >= LEAST
    return {
        "reports": len(chosen),
        "reports_per_second": round(rate),
        "micro": measures(truth, read) | {"f1_interval": interval(truth, read)},
        "micro_with_uncertain_as_present": measures(truth, unsure),
        "micro_where_30_in_this_half": measures(truth[:, common], read[:, common]) | {"findings": int(common.sum())},
        "findings": {name: measures(truth[:, k], read[:, k]) for k, name in enumerate(scored)},
    }


def structured(path: Path) -> dict[str, object]:
    """Invented structured reports: micro F1 over all findings, and how many of the labels are as annotated."""
    rows = yaml.safe_load(path.read_text(encoding="utf-8"))
    read = [{finding: one.label for finding, one in extract(row["report"]).items()} for row in rows]
    stated = [{finding: label for label in LABELS for finding in row.get(label, ())} for row in rows]
    matrices = [np.array([[one.get(f) == "present" for f in FINDINGS] for one in some]) for some in (stated, read)]
    right = sum(labels.get(f) == label for one, labels in zip(stated, read, strict=True) for f, label in one.items())
    return {
        "reports": len(rows),
        "forms": len({row["form"] for row in rows}),
        "micro": measures(*matrices),
        "labels": sum(map(len, stated)),
        "labels_as_annotated": right,
    }


def main() -> None:
    options = Command(__doc__)
    options.add_argument("--reports", type=Path, required=True, help="a folder that the source openi reads")
    options.add_argument("--half", choices=("even", "odd", "both"), default="both")
    options.result("--out", "extraction.json")
    chosen = options.parse_args()
    coded = [report for report in reports(chosen.reports) if is_coded(report.labels)]
    counts = Counter(finding for report in coded for finding in findings_of(report.labels))
    wanted = ("even", "odd") if chosen.half == "both" else (chosen.half,)
    results = {name: score([one for one in coded if half(one.report_id) == name], counts) for name in wanted}
    for name, result in results.items():
        print(f"{name}: {result['reports']} reports, micro {result['micro']}")
        for finding, scores in result["findings"].items():  # type: ignore[attr-defined]
            print(
                f"  {finding:36}"
                + "  ".join(f"{key} {scores[key]}" for key in ("support", "precision", "recall", "f1"))
            )
    invented = {name: structured(path) for name, path in STRUCTURED.items()}
    for name, result in invented.items():
        print(f"{name}: {result}")
    if chosen.half == "both":
        text = {"target": TARGET, "claim": "odd", "tuning": "even", "least_reports": LEAST, **results, **invented}
        write_json(chosen.out, {**text, "provenance": provenance()})


if __name__ == "__main__":
    main()
