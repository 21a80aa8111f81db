"""Lung boxes of C2F's film part on real films against the boxes of the human lung masks.

    intervalchange prepare cxr_longitudinal ../shared/data/cxr_longitudinal prepared/real128 --pixels 128
    python benchmarks/real_lung_boxes.py --run runs/diseases --films prepared/real128 --picture lung_boxes.png

The run has seen simulated films alone. The films are not ours to publish: the picture is for looking.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from harness.command import Command, write_result
from PIL import Image, ImageDraw

from intervalchange.data.dataset import FilmDataset
from intervalchange.data.prepared import Prepared
from intervalchange.evaluation.metrics.boxes import iou
from intervalchange.inference import load
from intervalchange.methods.c2f.anatomy import RegionOutputs, region_metrics, region_outputs, region_targets
from intervalchange.training.trainer import batches

LUNGS = ("right lung", "left lung")
DRAWN = (*LUNGS, "cardiac silhouette", "aortic arch", "right hilar structures", "left hilar structures", "spine")
SIDE = 384


@torch.no_grad()
def outputs_of(model: Any, films: FilmDataset) -> list[RegionOutputs]:
    """One record per film."""
    outputs: list[RegionOutputs] = []
    for batch in batches(films, 32):
        view, _ = model.vision(batch.current)
        outputs += region_outputs(view, region_targets(batch.regions, model.config.region_names, films.pixels))
    return outputs


def drawing(film: np.ndarray, outputs: RegionOutputs, names: tuple[str, ...]) -> np.ndarray:
    """A film with the human boxes (green) and the predicted ones (orange: lungs, blue: others)."""
    grey = np.uint8(255 * (film - film.min()) / max(float(np.ptp(film)), 1e-6))
    page = Image.fromarray(grey).resize((SIDE, SIDE)).convert("RGB")
    pen = ImageDraw.Draw(page)
    for region, name in enumerate(names):
        if name in DRAWN:
            pen.rectangle((outputs.boxes[region] * SIDE).tolist(), outline="orange" if name in LUNGS else "deepskyblue")
        if outputs.there[region]:
            pen.rectangle((outputs.true_boxes[region] * SIDE).tolist(), outline="lime")
    return np.asarray(page)


def main() -> None:
    options = Command(__doc__)
    options.add_argument("--run", type=Path, required=True, help="of c2f/anatomy or a later stage")
    options.add_argument("--films", type=Path, required=True, help="prepared folder")
    options.add_argument("--picture", type=Path, default=None)
    options.result("--results", "real_lung_boxes.json")
    chosen = options.parse_args()
    torch.set_num_threads(1)
    model = load(chosen.run).model
    names = model.config.region_names
    films = FilmDataset(Prepared(chosen.films), "all", model.config.pixels, needs=("regions",))
    outputs = outputs_of(model, films)
    result = {"films": len(films), **region_metrics(outputs, names)}
    for name in LUNGS:
        region = names.index(name)
        overlap = [
            iou(one.boxes[region, None], one.true_boxes[region, None]).item() for one in outputs if one.there[region]
        ]
        result |= {f"iou.{name}": float(np.mean(overlap)), f"iou.{name}.lowest tenth": float(np.quantile(overlap, 0.1))}
    write_result(chosen.results, result)
    if chosen.picture is not None:
        rows = np.linspace(0, len(films) - 1, 8).round().astype(int)
        drawn = [drawing(films[int(row)]["current"][0], outputs[row], names) for row in rows]
        Image.fromarray(np.concatenate([np.concatenate(drawn[:4], 1), np.concatenate(drawn[4:], 1)])).save(
            chosen.picture
        )


if __name__ == "__main__":
    main()
