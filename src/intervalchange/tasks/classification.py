"""tasks/classification: labels of a film from any encoder by one linear layer, or by training all of it.

The linear probe of the ConVIRT, GLoRIA, MGCA and CM-CGNS papers: the encoder frozen, its pooled features, one linear
layer, the share of labelled patients by `--train.share`. Orientation: one film, the `current` side of a batch.

Differs: the mean of the map is pooled for every encoder but those of the hub with a class token, whose token is read.
Differs: a label that is unknown is left out of the loss and of the metrics; the family reads a blank as absent.
Differs: selection is by macro AUROC on validation, not by the loss; the whole of validation and test is scored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedTokenizerBase

from intervalchange.blocks.processes import average_over_processes
from intervalchange.errors import ConfigError
from intervalchange.evaluation.metrics.labels import label_metrics
from intervalchange.findings import FINDINGS
from intervalchange.losses import masked_bce
from intervalchange.methods.base.method import MethodOutput
from intervalchange.tasks.probe import Probe, ProbeConfig

CHEXPERT_TASKS = ("atelectasis", "cardiomegaly", "consolidation", "edema", "pleural effusion")


class ClassificationConfig(ProbeConfig):
    """Configuration of tasks/classification."""

    model_type = "tasks_classification"

    labels: tuple[str, ...] = CHEXPERT_TASKS
    """See `ProbeConfig.labels`."""
    pool: Literal["mean", "both"] = "mean"
    """How a map becomes one vector: its mean, or its mean and its maximum side by side."""
    exclusive: bool = False
    """Exactly one label is present (COVIDx): softmax and cross-entropy, and the accuracy among the metrics. Films
    without exactly one are left out."""
    dropout: float = 0.0
    """Of the pooled features."""
    label_smoothing: float = 0.0
    """Of the targets in training: this share of each is spread evenly over its states (VED: .1, present .95)."""

    def __post_init__(self, **kwargs: Any) -> None:
        super().__post_init__(**kwargs)
        if self.exclusive and len(self.labels) == 1:
            raise ConfigError("one label excludes nothing.", remedy="Name all classes, or set --model.exclusive false.")
        if not 0 <= self.label_smoothing < 1:
            raise ConfigError(f"label_smoothing is {self.label_smoothing}.", remedy="It lies from 0 to below 1.")


@dataclass(frozen=True)
class LabelOutputs:
    """One film: target and predicted labels."""

    patient: str
    labels: tuple[float, ...]
    """1, 0, NaN."""
    scores: tuple[float, ...]
    """Probabilities."""


class Classification(Probe):
    """See the module's docstring."""

    config_class = ClassificationConfig
    config: ClassificationConfig
    name: ClassVar[str] = "tasks/classification"
    supervision: ClassVar[tuple[str, ...]] = ("labels",)
    needs: ClassVar[tuple[str, ...]] = ("labels",)
    selection: ClassVar[str] = "labels.auroc.macro"

    def __init__(self, config: ClassificationConfig, tokenizer: PreTrainedTokenizerBase | None = None) -> None:
        super().__init__(config, tokenizer)
        parts = 2 if config.pool == "both" else 1
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(parts * self.encoder.width, len(config.labels))
        self.post_init()

    def pooled(self, films: Tensor) -> Tensor:
        """Films (b, 1, h, w) -> features (b, d) that the head reads."""
        with self.encoder_gradients():
            features = self.encoder(films.to(self.device))
            mean = features.map.mean((-2, -1)) if features.token is None else features.token
            return torch.cat([mean, features.map.amax((-2, -1))], 1) if self.config.pool == "both" else mean

    def logits(self, films: Tensor) -> Tensor:
        """(b, l)."""
        logits: Tensor = self.head(self.dropout(self.pooled(films)))
        return logits

    def finding_logits(self, films: Tensor) -> Tensor | None:
        logits = self.logits(films)
        known = logits.new_full((len(logits), len(FINDINGS)), torch.nan)
        for column, label in enumerate(self.config.labels):
            if label in FINDINGS:
                known[:, FINDINGS.index(label)] = logits[:, column]
        return known

    def forward(self, **batch: Any) -> MethodOutput:
        logits, labels = self.logits(batch["current"]), batch["labels_current"]
        smoothing = self.config.label_smoothing
        if self.config.exclusive:
            loss = exclusive_loss(logits, labels, smoothing)
        else:
            targets = labels * (1 - smoothing) + smoothing / 2
            loss = masked_bce(logits, targets, reduce_mean=average_over_processes)
        return MethodOutput(loss=loss, terms={"labels": loss.detach()})

    def validation_outputs(self, batch: Any) -> list[LabelOutputs]:
        logits = self.logits(batch.current).double()
        scores = logits.softmax(1) if self.config.exclusive else logits.sigmoid()
        rows = zip(batch.patient_id, batch.labels_current.tolist(), scores.tolist(), strict=True)
        return [LabelOutputs(patient, tuple(labels), tuple(predicted)) for patient, labels, predicted in rows]

    def validation_scores(self, outputs: Sequence[LabelOutputs]) -> dict[str, float]:
        """`labels.auroc.macro`, `labels.ap.macro`, by label, and `labels.accuracy` of classes that exclude each other.

        A label without both states has no AUROC and AP and is left out; the selection is then 0.
        """
        labels = np.array([output.labels for output in outputs], float)
        scores = np.array([output.scores for output in outputs], float)
        patients = [output.patient for output in outputs]
        metrics = label_metrics(labels, scores, self.config.labels, patients, self.replicates())
        if self.config.exclusive:
            single = (labels == 1).sum(1) == 1
            right = labels[single, scores[single].argmax(1)] == 1
            metrics["labels.accuracy"] = float(right.mean()) if len(right) else np.nan
        return self.defined(metrics)


def exclusive_loss(logits: Tensor, labels: Tensor, smoothing: float = 0.0) -> Tensor:
    """Cross-entropy of (b, l) logits over the films with exactly one label present; 0 where there is none.

    smoothing: of the target's probability, spread over all labels.
    """
    present = labels == 1
    counted = (present.sum(1) == 1).to(torch.float32)
    targets = present.float().argmax(1)
    losses = F.cross_entropy(logits.float(), targets, reduction="none", label_smoothing=smoothing)
    return (losses * counted).sum() / average_over_processes(counted.sum()).clamp(min=1)
