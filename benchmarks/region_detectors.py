"""Detectors of the regions of the anatomy, by what they reach for the same CPU minutes: the choice of decision 007.

    python benchmarks/region_detectors.py --train prepared/train128 --test prepared/eval128 --minutes 3

`queries` is c2f/anatomy (small): one learned query a region, no matching. `rt_detr_v2` and `d_fine` are those of
`transformers`, from scratch, in sizes that take steps of a like cost, trained with their own losses (Hungarian
matching); of each region the most confident box is kept, as C2F does. One core, the same films, augmentation and batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from harness.command import Command, write_part
from harness.timing import cpu_budget
from torch import Tensor

from intervalchange.config import load_preset
from intervalchange.data.batch import Batch, collate
from intervalchange.data.dataset import FilmDataset
from intervalchange.data.prepared import Prepared
from intervalchange.data.transforms import Augment
from intervalchange.methods import method_class
from intervalchange.methods.c2f.anatomy import RegionOutputs, RegionTargets, region_metrics, region_targets
from intervalchange.training.schedule import rate_at
from intervalchange.training.trainer import batches

PIXELS, BATCH = 128, 32
RATES = {"queries": 2e-3, "rt_detr_v2": 5e-4, "d_fine": 5e-4}


def queries(regions: int) -> Any:
    """c2f/anatomy, small."""
    kind = method_class("c2f/anatomy")
    return kind(kind.config_class(**load_preset("c2f/anatomy", "small").model))


SMALL = {
    "encoder_in_channels": [32, 64, 96],
    "encoder_hidden_dim": 48,
    "encoder_ffn_dim": 96,
    "encoder_attention_heads": 4,
    "d_model": 48,
    "decoder_in_channels": [48, 48, 48],
    "decoder_ffn_dim": 96,
    "decoder_layers": 2,
    "decoder_attention_heads": 4,
    "num_queries": 48,
    "num_denoising": 20,
    "anchor_image_size": None,
}
"""Widths near those of `queries`; everything else as `transformers` has it."""


def backbone() -> Any:
    """The ResNet of RT-DETR with the widths of our trunk."""
    from transformers import RTDetrResNetConfig

    return RTDetrResNetConfig(
        num_channels=1,
        embedding_size=16,
        hidden_sizes=[16, 32, 64, 96],
        depths=[1, 1, 1, 1],
        layer_type="basic",
        out_features=["stage2", "stage3", "stage4"],
    )


def rt_detr_v2(regions: int) -> Any:
    from transformers import RTDetrV2Config, RTDetrV2ForObjectDetection

    return RTDetrV2ForObjectDetection(RTDetrV2Config(backbone_config=backbone(), num_labels=regions, **SMALL))


def d_fine(regions: int) -> Any:
    from transformers import DFineConfig, DFineForObjectDetection

    return DFineForObjectDetection(DFineConfig(backbone_config=backbone(), num_labels=regions, **SMALL))


MODELS = {"queries": queries, "rt_detr_v2": rt_detr_v2, "d_fine": d_fine}


def loss_of(name: str, model: Any, batch: Batch, targets: RegionTargets) -> Tensor:
    """What a step minimises."""
    if name == "queries":
        return model(**batch).loss
    labels = []
    for boxes, there in zip(targets.boxes, targets.there, strict=True):
        known = boxes[there]
        centre, size = (known[:, :2] + known[:, 2:]) / 2, known[:, 2:] - known[:, :2]
        labels.append({"class_labels": there.nonzero()[:, 0], "boxes": torch.cat([centre, size], dim=1)})
    return model(pixel_values=batch.current, labels=labels).loss


@torch.no_grad()
def outputs_of(name: str, model: Any, batch: Batch, targets: RegionTargets) -> list[RegionOutputs]:
    """One box per region, with its confidence."""
    if name == "queries":
        return model.validation_outputs(batch)
    output = model(pixel_values=batch.current)
    confidence, query = output.logits.sigmoid()[..., : targets.there.shape[1]].max(1)
    boxes = output.pred_boxes.gather(1, query.unsqueeze(-1).expand(-1, -1, 4))
    corners = torch.cat([boxes[..., :2] - boxes[..., 2:] / 2, boxes[..., :2] + boxes[..., 2:] / 2], dim=-1)
    columns = (column.numpy() for column in (corners, confidence, targets.boxes, targets.there))
    return [RegionOutputs(*row) for row in zip(*columns, strict=True)]


def stream(films: FilmDataset) -> Iterator[Batch]:
    """Shuffled batches without end."""
    epoch = 0
    while True:
        films.set_epoch(epoch)
        order = np.random.default_rng([0, epoch]).permutation(len(films))
        for start in range(0, len(order) - BATCH + 1, BATCH):
            yield collate([films[int(row)] for row in order[start : start + BATCH]])
        epoch += 1


def measure(
    name: str, names: tuple[str, ...], training: FilmDataset, test: FilmDataset, minutes: float
) -> dict[str, Any]:
    """Train one detector for its minutes and test it on the test films."""
    torch.manual_seed(0)
    model = MODELS[name](len(names)).train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=RATES[name], weight_decay=0.05)
    steps = 0
    for used, batch in zip(cpu_budget(minutes), stream(training), strict=False):
        for group in optimiser.param_groups:
            group["lr"] = RATES[name] * rate_at(max(used, 1e-3), 0.05)
        with torch.autocast("cpu", torch.bfloat16, enabled=name == "queries"):
            loss = loss_of(name, model, batch, region_targets(batch.regions, names, PIXELS))
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        steps += 1
    model.eval()
    films: list[RegionOutputs] = []
    for batch in batches(test, BATCH):
        films += outputs_of(name, model, batch, region_targets(batch.regions, names, PIXELS))
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return {"parameters": parameters, "steps": steps, "minutes": minutes, "rate": RATES[name]} | region_metrics(
        films, names
    )


def main() -> None:
    options = Command(__doc__, "train", "test")
    options.add_argument("--minutes", type=float, default=3.0, help="CPU minutes each")
    options.add_argument("--films", type=int, default=500, help="test films")
    options.add_argument("--models", nargs="+", choices=tuple(MODELS), default=list(MODELS))
    options.result("--results", "region_detectors.json")
    chosen = options.parse_args()
    torch.set_num_threads(1)
    names = method_class("c2f/anatomy").config_class().region_names
    training = FilmDataset(
        Prepared(chosen.train), "train", PIXELS, augment=Augment.of_strength(0.5), needs=("regions",)
    )
    test = FilmDataset(Prepared(chosen.test), "test", PIXELS, needs=("regions",), limit=chosen.films)
    for name in chosen.models:
        write_part(chosen.results, name, measure(name, names, training, test, chosen.minutes))


if __name__ == "__main__":
    main()
