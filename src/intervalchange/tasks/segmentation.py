"""tasks/segmentation: masks of findings at the resolution of the film, from any encoder.

A decoder (`blocks/segmentation_decoder.py`) runs from the encoder's coarsest map up to the film: our ladder, which
serves every encoder, or those of the family, U-Net for ResNets and SETR for ViTs. The target is the union of the masks
of a finding, or its filled boxes where it has no mask (RSNA), drawn at the size of the film and moved with it.
Orientation: one film, the `current` side of a batch.

Differs: U-Net is in the blocks of MONAI; segmentation_models, which the family uses, needs torchvision and timm.
Differs: the loss is binary cross-entropy plus soft Dice per film (`loss: published`, as in `paper`: 10 focal -
    log(Dice of the batch), over the films of all processes).
Differs: every film is trained on, not all positives with as many negatives; `positive_weight` weighs them instead,
    where the loss is ours.
Differs: selection is by Dice on validation and not by the loss.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from intervalchange.blocks.encoders import shape_of
from intervalchange.blocks.gathering import gather_rows
from intervalchange.blocks.processes import average_over_processes
from intervalchange.blocks.segmentation_decoder import Ladder, SetrDecoder, UNetDecoder
from intervalchange.errors import ConfigError
from intervalchange.evaluation.metrics import masks
from intervalchange.losses import masked_bce, soft_dice
from intervalchange.losses.dense import focal_and_batch_dice
from intervalchange.methods.base.method import MethodOutput
from intervalchange.tasks.estimates import estimates
from intervalchange.tasks.probe import Probe, ProbeConfig


class SegmentationConfig(ProbeConfig):
    """Configuration of tasks/segmentation."""

    model_type = "tasks_segmentation"

    labels: tuple[str, ...] = ("pneumothorax",)
    """Names of findings with masks or boxes; a film that has one without a region is left out for that label."""
    decoder: Literal["ladder", "unet", "setr"] = "ladder"
    """`ladder`: for every encoder. `unet` (needs MONAI) for encoders with several maps and `setr` for those with one,
    as the family has them."""
    decoder_width: int = 64
    """Channels of the ladder down to stride 4, half of it at stride 2, a quarter at 1; of the first step of `unet` (256
    as published) and `setr` (512), which halve them at each step."""
    loss: Literal["ours", "published"] = "ours"
    """`ours`: cross-entropy plus the soft Dice of each film. `published`: 10 times the focal loss minus the logarithm
    of the soft Dice of the whole batch, without weights."""
    dice_weight: float = 1.0
    """Weight of the soft Dice beside the cross-entropy."""
    positive_weight: float = 1.0
    """How much a pixel of a finding counts in the cross-entropy, relative to one that is not."""
    select: Literal["positive", "all", "pooled"] = "positive"
    """Which Dice chooses the weights: of the films that have the finding, of all, or of all pixels as one film. Where
    most films are empty, marking nothing does well in the second and marking every film costs nothing in the first;
    `pooled` rewards neither."""

    def __post_init__(self, **kwargs: Any) -> None:
        super().__post_init__(**kwargs)
        if self.loss == "published" and (self.dice_weight, self.positive_weight) != (1.0, 1.0):
            raise ConfigError(
                "the published loss has neither dice_weight nor positive_weight.",
                remedy="Leave both at 1, or set --model.loss ours.",
            )


@dataclass(frozen=True)
class MaskOutputs:
    """One film: the counts of `evaluation.masks.tally` for each label, None where its mask is not known."""

    patient: str
    counts: tuple[dict[str, float] | None, ...]


class Segmentation(Probe):
    """See the module's docstring."""

    config_class = SegmentationConfig
    config: SegmentationConfig
    name: ClassVar[str] = "tasks/segmentation"
    supervision: ClassVar[tuple[str, ...]] = ("labels", "masks")
    needs: ClassVar[tuple[str, ...]] = ("masks",)

    def __init__(self, config: SegmentationConfig, tokenizer: PreTrainedTokenizerBase | None = None) -> None:
        super().__init__(config, tokenizer)
        self.selection = f"masks.dice.{config.select}"  # type: ignore[misc]
        shape, width = shape_of(self.encoder), config.decoder_width
        self.ladder: Ladder | UNetDecoder | SetrDecoder
        if config.decoder == "ladder":
            self.ladder = Ladder(shape, width, 1)
        else:
            self.ladder = UNetDecoder(shape, width) if config.decoder == "unet" else SetrDecoder(shape, width)
        last = 1 if config.decoder == "ladder" else 3
        self.masks = nn.Conv2d(self.ladder.width, len(config.labels), last, padding=last // 2)
        self.post_init()

    def logits(self, films: Tensor) -> Tensor:
        """Films (b, 1, h, w) -> (b, l, h, w)."""
        films = films.to(self.device)
        logits: Tensor = self.masks(self.ladder(self.levels(films), films))
        return logits

    def forward(self, **batch: Any) -> MethodOutput:
        logits, target = self.logits(batch["current"]), batch["masks_current"]
        if self.config.loss == "published":
            loss = focal_and_batch_dice(logits, target, gather=gather_rows)
            return MethodOutput(loss=loss, terms={"focal_and_dice": loss.detach()})
        weight = torch.where(target == 1, self.config.positive_weight, 1.0)
        pixels = masked_bce(logits, target, weight=weight, reduce_mean=average_over_processes)
        dice = soft_dice(logits, target, reduce_mean=average_over_processes)
        loss = pixels + self.config.dice_weight * dice
        return MethodOutput(loss=loss, terms={"pixels": pixels.detach(), "dice": dice.detach()})

    def validation_outputs(self, batch: Any) -> list[MaskOutputs]:
        predicted = self.logits(batch.current).detach().float().sigmoid().cpu().numpy()
        target = batch.masks_current.cpu().numpy()
        known, size = ~np.isnan(target).any((2, 3)), target.shape[2:]
        tallies = masks.tally(predicted.reshape(-1, *size), np.nan_to_num(target).reshape(-1, *size))
        rows = [dict(zip(tallies, values, strict=True)) for values in np.stack([*tallies.values()], 1).tolist()]
        labels = len(self.config.labels)
        return [
            MaskOutputs(patient, tuple(rows[film * labels + n] if known[film, n] else None for n in range(labels)))
            for film, patient in enumerate(batch.patient_id)
        ]

    def validation_scores(self, outputs: Sequence[MaskOutputs]) -> dict[str, float]:
        """`masks.dice.all`, `masks.dice.positive` and the others of `masks.measures`, each film and label once.

        With several labels also `masks.<label>.dice.all`, .... NaN left out, the selection then 0.
        """
        names = self.config.labels
        by_label = [[(output.patient, output.counts[index]) for output in outputs] for index in range(len(names))]
        metrics = self._metrics("masks", [row for rows in by_label for row in rows])
        if len(names) > 1:
            for name, rows in zip(names, by_label, strict=True):
                metrics |= self._metrics(f"masks.{name}", rows)
        return self.defined(metrics)

    def _metrics(self, prefix: str, rows: Sequence[tuple[str, dict[str, float] | None]]) -> dict[str, float]:
        """Metrics over the (patient, counts) whose counts are known."""
        known = [(patient, counts) for patient, counts in rows if counts is not None]
        if not known:
            return {}
        counts = {name: np.array([own[name] for _, own in known]) for name in known[0][1]}
        return estimates(prefix, counts, [patient for patient, _ in known], masks.measures, self.replicates())
