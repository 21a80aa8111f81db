"""From simulated to real: the direction of change on labelled real pairs, by one score fixed in docs/log.md beforehand.

    python benchmarks/real_pairs.py demo --real ../shared/data/cxr_longitudinal

The score is the opacity burden of a film (mean of the predicted opacity map); a pair's direction is the burden of the
current film less that of the prior one. Each run of this command is a look: log it, three at the most.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from harness.command import Command, write_result

import intervalchange as ic
from intervalchange.data.films import film_from_file
from intervalchange.evaluation.metrics.statistics import auc, spearman
from intervalchange.grammar import DIFFERENCE_QUESTION
from intervalchange.inference import Predictor


def burden(model: Predictor, path: Path) -> float:
    """The opacity burden of one film."""
    square = film_from_file(path, int(model.run["stored_pixels"])).pixels
    with torch.no_grad():
        return float(model.model.opacity_burden(model.batch_of([(None, square, DIFFERENCE_QUESTION)]).current)[0])


def balanced_accuracy(labels: np.ndarray, positive: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Mean of the two recalls."""
    w = np.ones(len(labels)) if weights is None else weights
    recalls = [np.average(positive[labels == side] == side, weights=w[labels == side]) for side in (0, 1)]
    return float(np.mean(recalls))


def clustered(labels: np.ndarray, positive: np.ndarray, patients: np.ndarray, draws: int = 2000) -> list[float]:
    """95% interval of the balanced accuracy, patients drawn with replacement."""
    rng = np.random.default_rng(0)
    names = np.unique(patients)
    drawn = []
    for _ in range(draws):
        count = pd.Series(rng.choice(names, len(names))).value_counts()
        weights = pd.Series(patients).map(count).fillna(0).to_numpy()
        if all(weights[labels == side].sum() for side in (0, 1)):
            drawn.append(balanced_accuracy(labels, positive, weights))
    return [float(value) for value in np.percentile(drawn, [2.5, 97.5])]


def main() -> None:
    options = Command(__doc__, "real")
    options.add_argument("run")
    options.result("--out", "real_pairs.json")
    chosen = options.parse_args()
    model = ic.load(chosen.run)
    pairs = pd.read_csv(chosen.real / "pairs.csv")
    pairs = pairs[(pairs.consecutive == 1) & (pairs.same_view_group == 1)]
    images = pd.read_csv(chosen.real / "images.csv").set_index("image_id")
    severity = pd.read_csv(chosen.real / "severity.csv").set_index("image_id").brixia_senior_global.dropna()
    scored = pairs.dropna(subset=["brixia_senior_ref", "brixia_senior_main"])
    labelled = pairs[pairs.change_label.isin(["worsened", "improved"])]
    columns = [table[name] for table in (labelled, scored) for name in ("ref_image_id", "main_image_id")]
    wanted = sorted({*severity.index, *pd.concat(columns)})
    known = {name: burden(model, chosen.real / images.loc[name, "file"]) for name in wanted}

    labels = (labelled.change_label == "worsened").to_numpy(int)
    score = (labelled.main_image_id.map(known) - labelled.ref_image_id.map(known)).to_numpy()
    patients = labelled.patient_id.to_numpy()
    films = severity.index.to_numpy()
    moved = scored[scored.brixia_senior_main != scored.brixia_senior_ref]
    rise = np.sign((moved.brixia_senior_main - moved.brixia_senior_ref).to_numpy())
    ours = np.sign((moved.main_image_id.map(known) - moved.ref_image_id.map(known)).to_numpy())
    both = moved[moved.change_label.isin(["worsened", "improved"])]
    moved_with_label = np.sign((both.brixia_senior_main - both.brixia_senior_ref).to_numpy())
    label_rise = np.where(both.change_label == "worsened", 1, -1)
    result = {
        "labelled_pairs": len(labelled),
        "always_worsened": float(labels.mean()),
        "auc": auc(labels, score, patients),
        "accuracy": float(((score > 0) == labels).mean()),
        "balanced_accuracy": balanced_accuracy(labels, (score > 0).astype(int)),
        "balanced_accuracy_interval": clustered(labels, (score > 0).astype(int), patients),
        "brixia_films": len(films),
        "brixia_spearman": spearman(
            np.array([known[name] for name in films]), severity.to_numpy(), images.loc[films, "patient_id"].to_numpy()
        ),
        "brixia_pairs_that_move": len(moved),
        "brixia_sign_agreement": float((rise == ours).mean()),
        "label_and_brixia_agree": f"{int((moved_with_label == label_rise).sum())} of {len(both)}",
    }
    write_result(chosen.out, result)


if __name__ == "__main__":
    main()
