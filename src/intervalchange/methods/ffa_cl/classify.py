"""FFA-CL ("LGCLIP"): fine-grained feature alignment via contrastive learning. No paper; the facts are of its code,
https://github.com/DishengLL/Fine-Grained_Features_Alignment_via_Constrastive_Learning (no licence: nothing is copied).

A frozen image backbone gives one vector a film; a splitter makes an embedding of it for each label; the embeddings are
held to words for the labels (contrast), the words are held apart (orthogonality), both are held to a tree of the labels
(graph); one classifier shared by all labels says what is present. Words play no part once it is trained.

One film at a time: `current` is the film, there is no prior.

Differs: label-conditioned contrast, unnormalised contrast and cosine orthogonality beside the published forms.
Differs: 1 is present (published: 0 in one encoding, unknown in the other); No Finding from positive findings alone.
Differs: weights chosen on validation, thresholds too (published: on the test file).
Differs: the vectors of the backbone are standardised by the first batch (`standardise`; off in `paper`).
Differs: an uncertainty weighting in the log-variance form; the printed one can go below any bound.
Differs: `text: words` stands in for a text encoder where none is at hand.
Differs: BiomedCLIP and BioViL-T have no transformers class; `backbone: clip` is CLIP ViT-B/32 or its like.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AutoTokenizer, CLIPTextModelWithProjection, CLIPVisionConfig, CLIPVisionModelWithProjection

from intervalchange.blocks.encoders import ConvEncoder, Features, PyramidEncoder, ResNetEncoder
from intervalchange.blocks.processes import average_over_processes
from intervalchange.blocks.pyramid import FeaturePyramid
from intervalchange.errors import ConfigError
from intervalchange.evaluation.metrics.labels import by_label
from intervalchange.losses.finding_alignment import (
    ContrastForm,
    Orthogonality,
    Weighting,
    combined,
    conditioned_contrast,
    finding_contrast,
    graph_alignment,
    orthogonality,
)
from intervalchange.losses.labels import masked_bce
from intervalchange.methods.base.method import Method, MethodConfig, MethodOutput
from intervalchange.methods.ffa_cl.label_tree import LabelTree, PromptStyle, prompts_of, read_tree, word_vectors
from intervalchange.methods.ffa_cl.parts import FindingSplitter, PromptBranch, Remembered, SharedClassifier, mixer

if TYPE_CHECKING:
    from intervalchange.data.batch import Batch

PolicyName = Literal["ignore", "u_zeros", "u_ones", "three_class"]
CLIP_WIDTH = 512
WARMEST = math.log(100.0)
TRIED = np.linspace(0.02, 0.98, 49)
"""Thresholds that are tried."""


@dataclass(frozen=True)
class Policy:
    """What becomes of labels that are not known. A prepared folder no longer tells uncertain from not mentioned."""

    uncertain: str
    """For `prepare --option uncertain=...`: what an uncertain label is."""
    unmentioned: Literal["unknown", "absent", "class"]
    """What the method makes of a label that is neither present nor absent in the prepared folder."""


POLICIES = MappingProxyType(
    {
        "ignore": Policy("unknown", "unknown"),
        "u_zeros": Policy("absent", "absent"),
        "u_ones": Policy("present", "absent"),
        "three_class": Policy("unknown", "class"),
    }
)
"""The policies of the CheXpert paper by name, and the published three classes."""


class FfaClConfig(MethodConfig):
    """Backbone, labels, words, and which losses are on: a weight of 0 switches a loss off."""

    model_type = "ffa_cl_classify"

    labels: tuple[str, ...] = (
        "atelectasis",
        "cardiomegaly",
        "consolidation",
        "edema",
        "enlarged cardiomediastinum",
        "fracture",
        "lung lesion",
        "lung opacity",
        "pleural effusion",
        "pleural other",
        "pneumonia",
        "pneumothorax",
        "support devices",
    )
    """Labels as the data set calls them, each read by one of the tree's. What the data lack is left out here; their
    labels of the tree stay, unknown throughout."""
    tree: str = "published"
    """`published`, `chexpert`, `nih`, or a YAML file."""
    policy: PolicyName = "ignore"
    """See `POLICIES`; `u_ones` also needs data prepared with `--option uncertain=present`, `u_zeros` with `absent`."""
    backbone: Literal["pyramid", "conv", "resnet50", "clip"] = "pyramid"
    backbone_weights: str = ""
    """Run folder (pyramid), or hub name or folder (resnet50, clip); empty: random, or whatever `--from` brings."""
    frozen: bool = True
    """The backbone is not trained, and sees each film once."""
    encoder_widths: tuple[int, ...] = (32, 64, 128, 192)
    """Channels of the stages of pyramid or conv."""
    encoder_depth: int = 1
    pyramid_width: int = 96
    pool: int = 1
    """The vector of a film: means over pool x pool parts of the map, and the maximum of each channel."""
    standardise: bool = True
    """Channels of the vector to mean 0 and deviation 1, by the first training batch."""
    width: int = 64
    """Of an embedding."""
    layers: int = 1
    text_layers: int = 1
    heads: int = 4
    feedforward: int = 128
    dropout: float = 0.0
    split_twice: bool = False
    """The second linear layer of the published splitter."""
    prompts: PromptStyle = "basic"
    text: Literal["words", "clip"] = "words"
    """What reads the prompts: counted words, or the text tower of `backbone_weights`, once, before training."""
    contrast: ContrastForm = "conditioned"
    orthogonality: Orthogonality = "contrast"
    classification_weight: float = 1.0
    contrast_weight: float = 1.0
    orthogonality_weight: float = 1.0
    graph_weight: float = 1.0
    weighting: Weighting = "none"


@dataclass(frozen=True)
class FilmOutputs:
    """What was said of one film. Arrays (l,)."""

    study: str
    """Films of one study share it, with the patient."""
    patient: str
    chances: np.ndarray
    """Probability of each label."""
    truth: np.ndarray
    """1, 0, -1 unknown."""


class FfaCl(Method):
    """See the module's docstring. l = labels of the tree."""

    config_class = FfaClConfig
    config: FfaClConfig
    name: ClassVar[str] = "ffa_cl/classify"
    follows: ClassVar[tuple[str, ...]] = ("set_difference/answer",)
    supervision: ClassVar[tuple[str, ...]] = ("labels",)
    unit: ClassVar[Literal["cases", "films"]] = "films"
    needs: ClassVar[tuple[str, ...]] = ("labels",)
    selection: ClassVar[str] = "auroc.macro"

    threshold: Tensor

    def __init__(self, config: FfaClConfig, tokenizer: Any = None) -> None:
        super().__init__(config, tokenizer)
        self.tree = read_tree(config.tree)
        labels = len(self.tree.labels)
        self.encoder, seen = _backbone(config)
        self.remembered = Remembered()
        if config.frozen:
            self.encoder.requires_grad_(False)
        shape = (config.width, config.layers, config.heads, config.feedforward, config.dropout)
        self.splitter = FindingSplitter(
            seen, labels, config.width, mixer(*shape), config.split_twice, config.standardise
        )
        self.classifier = SharedClassifier(config.width, 3 if POLICIES[config.policy].unmentioned == "class" else 1)
        # Not buffers: `--from` a run of another tree would write over them.
        self._sources = self.tree.sources(config.labels).astype(np.float32)
        self._closeness = self.tree.closeness().astype(np.float32)
        self.register_buffer("threshold", torch.full((labels,), 0.5))
        self.words: PromptBranch | None = None
        self.log_variances: nn.Parameter | None = None
        if self.uses_words:
            shape = (config.width, config.text_layers, config.heads, config.feedforward, config.dropout)
            # Drawn apart, so that with one seed every choice of losses begins with the same splitter.
            with torch.random.fork_rng(devices=[]):
                self.words = PromptBranch(_prompt_vectors(config, self.tree), config.width, mixer(*shape))
            self.log_scale = nn.Parameter(torch.empty(()))
            self.log_scale_of_words = nn.Parameter(torch.empty(()))
            self.shift = nn.Parameter(torch.empty(())) if self._weights.get("contrast") and self._conditioned else None
        if config.weighting == "uncertainty":
            self.log_variances = nn.Parameter(torch.empty(len(self._weights)))
        self.post_init()

    def draw_weights(self, init: Any) -> None:
        """Scales begin at 1 / 0.07, the rest at nothing."""
        for parameter in (getattr(self, "log_scale", None), getattr(self, "log_scale_of_words", None)):
            if parameter is not None:
                init.constant_(parameter, math.log(1 / 0.07))
        for parameter in (getattr(self, "shift", None), self.log_variances):
            if parameter is not None:
                init.zeros_(parameter)

    @property
    def _conditioned(self) -> bool:
        return self.config.contrast == "conditioned"

    @property
    def _weights(self) -> dict[str, float]:
        """The losses that are on."""
        config = self.config
        named = {
            "classification": config.classification_weight,
            "contrast": config.contrast_weight,
            "orthogonality": config.orthogonality_weight,
            "graph": config.graph_weight,
        }
        return {name: weight for name, weight in named.items() if weight}

    @property
    def uses_words(self) -> bool:
        """Whether any loss reads the prompts."""
        return bool(self._weights.keys() - {"classification"})

    def load_pretrained(self) -> None:
        """The backbone, and what its text tower makes of the prompts."""
        config, name = self.config, self.config.backbone_weights
        if not name:
            return
        if config.backbone == "clip":
            self.encoder.load_state_dict(CLIPVisionModelWithProjection.from_pretrained(name).state_dict())
            if self.words is not None and config.text == "clip":
                self.words.words.copy_(clip_prompts(name, prompts_of(self.tree.labels, config.prompts)))
        elif isinstance(self.encoder, FeaturePyramid):
            loader = PyramidEncoder(config.encoder_widths, config.pyramid_width, config.encoder_depth)
            loader.load_pretrained(name)
            self.encoder.load_state_dict(loader.network.state_dict())
        elif isinstance(self.encoder, ResNetEncoder):
            self.encoder.load_pretrained(name)
        else:
            raise ConfigError("`backbone: conv` has no published weights.", remedy="Use --from RUN.")

    def map_pretrained(self, tensors: Mapping[str, Tensor], run: Path) -> Mapping[str, Tensor]:
        """As in `Method`; counted words are those of this configuration's prompts, not of the run's."""
        own = {"words.words"} if self.config.text == "words" else set()
        return {name: tensor for name, tensor in tensors.items() if name not in own}

    def train(self, mode: bool = True) -> FfaCl:
        """As in torch; a frozen backbone stays in evaluation mode."""
        super().train(mode)
        if self.config.frozen:
            self.encoder.eval()
        return self

    # --- seeing ---------------------------------------------------------------------------------------------------

    def vectors(self, films: Tensor) -> Tensor:
        """Standardised films (b, 1, h, w) -> (b, v)."""
        if self.config.frozen:
            return self.remembered(films, self.encoder, self._seen)
        return self._seen(films)

    def _seen(self, films: Tensor) -> Tensor:
        if self.config.backbone == "clip":
            return self.encoder(pixel_values=films.expand(-1, 3, -1, -1)).image_embeds
        features = self.encoder(films)
        return pooled(features.map if isinstance(features, Features) else features, self.config.pool)

    def logits(self, embeddings: Tensor) -> Tensor:
        """(b, l, d) -> (b, l) log-odds of presence; of three classes, present against absent."""
        out = self.classifier(embeddings)
        return out[..., 0] if out.shape[-1] == 1 else out[..., 0] - out[..., 1]

    def similarity(self, embeddings: Tensor) -> Tensor:
        """(b, l, d) -> (b, l, l) cosines: row the prompt of a label, column the film's embedding for a label."""
        if self.words is None:
            raise ConfigError("this model was trained without words.", remedy="Give one of its losses a weight.")
        return torch.einsum("jd,bkd->bjk", self.words(), embeddings)

    def targets(self, labels: Tensor) -> Tensor:
        """Labels as the data call them (b, n) -> (b, l) of the tree: 1, 0, NaN, after the policy.

        Present if any source is, absent if a source is known and none is present. A label without a source stays
        unknown. The normal label is present where no counted label is, on a film of which something is known.
        """
        sources = torch.from_numpy(self._sources).to(labels.device)
        present = (labels == 1).float() @ sources > 0
        absent = (labels == 0).float() @ sources > 0
        found = torch.where(present, 1.0, torch.where(absent, 0.0, float("nan")))
        if POLICIES[self.config.policy].unmentioned == "absent":
            found = torch.where(torch.isnan(found) & self._has_source.to(found.device), 0.0, found)
        if self.tree.normal:
            place = self.tree.labels.index(self.tree.normal)
            counted = [k for k, label in enumerate(self.tree.labels) if k != place and label not in self.tree.uncounted]
            normal = ~(found[:, counted] == 1).any(dim=1)
            known = ~torch.isnan(found[:, counted]).all(dim=1)
            found[:, place] = torch.where(known, normal.float(), float("nan"))
        return found

    @property
    def _has_source(self) -> Tensor:
        """(l) bool: labels that the data can say anything of."""
        has: np.ndarray = self._sources.max(axis=0) > 0
        if self.tree.normal:
            has[self.tree.labels.index(self.tree.normal)] = True
        return torch.from_numpy(has)

    # --- learning -------------------------------------------------------------------------------------------------

    def forward(self, **batch: Any) -> MethodOutput:
        """The losses that are on."""
        return self.losses(self.vectors(batch["current"]), self.targets(batch["labels_current"]))

    def losses(self, vectors: Tensor, targets: Tensor) -> MethodOutput:
        """vectors (b, v) of the backbone, targets (b, l)."""
        embeddings = self.splitter(vectors)
        terms = {"classification": self._classification(embeddings, targets)}
        if self.words is not None:
            terms |= self._aligned(embeddings, self.words(), targets)
        terms = {name: terms[name] for name in self._weights}
        loss = combined(terms, self._weights, self.config.weighting, _tensors(self.log_variances))
        return MethodOutput(loss=loss, terms={name: term.detach() for name, term in terms.items()})

    def _classification(self, embeddings: Tensor, targets: Tensor) -> Tensor:
        out = self.classifier(embeddings)
        if out.shape[-1] == 1:
            return masked_bce(out[..., 0], targets, reduce_mean=average_over_processes)
        classes = torch.where(targets == 1, 0, torch.where(targets == 0, 1, 2))
        losses = F.cross_entropy(out.float().flatten(0, 1), classes.flatten(), reduction="none").view_as(classes)
        counted = self._has_source.to(losses).expand_as(losses)
        return (losses * counted).sum() / counted.sum().clamp(min=1)

    def _aligned(self, embeddings: Tensor, words: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """The losses that read the prompts; those that are off are not computed."""
        weights, terms = self._weights, {}
        scale = self.log_scale.clamp(0, WARMEST).exp()
        similarity = scale * torch.einsum("jd,bkd->bjk", words, embeddings)
        if "contrast" in weights:
            if self.shift is not None:
                terms["contrast"] = conditioned_contrast(similarity + self.shift, targets, average_over_processes)
            else:
                published = self.config.contrast == "published"
                terms["contrast"] = finding_contrast(similarity, normalise_rows=published)
        if "orthogonality" in weights:
            scale = self.log_scale_of_words.clamp(0, WARMEST).exp()
            terms["orthogonality"] = orthogonality(words @ words.T, scale, self.config.orthogonality)
        if "graph" in weights:
            terms["graph"] = graph_alignment(similarity, torch.from_numpy(self._closeness).to(similarity.device))
        return terms

    # --- judging --------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def chances(self, films: Tensor) -> Tensor:
        """(b, l) probabilities of the labels of the tree."""
        return torch.sigmoid(self.logits(self.splitter(self.vectors(films))).float())

    def validation_outputs(self, batch: Batch) -> list[FilmOutputs]:
        """One a film, in order."""
        if batch.labels_current is None:
            raise ConfigError("the films come without their labels.", remedy="Name them in `labels`.")
        said = self.chances(batch.current).cpu().numpy()
        true = torch.nan_to_num(self.targets(batch.labels_current), nan=-1.0).to(torch.int8).cpu().numpy()
        return [FilmOutputs(*row) for row in zip(batch.case_id, batch.patient_id, said, true, strict=True)]

    def validation_scores(self, outputs: Sequence[Any]) -> dict[str, float]:
        """AUROC and AP by label and macro, of films and (`study.`) of studies; F1 at the calibrated thresholds."""
        if not outputs:
            return {self.selection: 0.0}
        scores = label_scores(outputs, self.tree.labels)
        studies = by_study(outputs)
        if len(studies) < len(outputs):
            scores |= {f"study.{name}": value for name, value in label_scores(studies, self.tree.labels).items()}
        said, true = tables(outputs)
        reached = f1(said > self.threshold.cpu().numpy(), true)
        return scores | {"f1.macro": float(np.nanmean(reached)) if np.isfinite(reached).any() else 0.0}

    def calibrate(self, batches: Iterable[Any]) -> Mapping[str, float]:
        """Fix the threshold of each label that validation knows: the best F1."""
        outputs = [one for batch in batches for one in self.validation_outputs(batch)]
        if not outputs:
            return {}
        said, true = tables(outputs)
        reached = np.stack([f1(said > trial, true) for trial in TRIED])
        scored = np.isfinite(reached).any(axis=0)
        best = TRIED[np.nan_to_num(reached, nan=-1.0).argmax(axis=0)]
        self.threshold.copy_(torch.from_numpy(np.where(scored, best, 0.5)).float())
        return {f"threshold.{label}": float(self.threshold[k]) for k, label in enumerate(self.tree.labels) if scored[k]}


def tables(outputs: Sequence[FilmOutputs]) -> tuple[np.ndarray, np.ndarray]:
    """(n, l) chances and (n, l) truth with NaN for unknown."""
    true = np.stack([one.truth for one in outputs]).astype(float)
    return np.stack([one.chances for one in outputs]).astype(float), np.where(true < 0, np.nan, true)


def label_scores(outputs: Sequence[FilmOutputs], labels: Sequence[str]) -> dict[str, float]:
    """auroc.macro, ap.macro and auroc.<label> of the labels with a known positive and a known negative."""
    said, true = tables(outputs)
    ones, scores = np.ones(len(outputs)), {}
    for measure in ("auroc", "ap"):
        values = by_label(true, said, ones, measure)
        scores[f"{measure}.macro"] = float(np.nanmean(values)) if np.isfinite(values).any() else 0.0
        if measure == "auroc":
            named = zip(labels, values.tolist(), strict=True)
            scores |= {f"auroc.{label.lower()}": value for label, value in named if math.isfinite(value)}
    return scores


def by_study(outputs: Sequence[FilmOutputs]) -> list[FilmOutputs]:
    """One a study: the mean probability over its films. Views of a study share their label."""
    groups: dict[tuple[str, str], list[FilmOutputs]] = {}
    for one in outputs:
        groups.setdefault((one.patient, one.study), []).append(one)
    return [
        FilmOutputs(study, patient, np.mean([one.chances for one in films], axis=0), films[0].truth)
        for (patient, study), films in groups.items()
    ]


def f1(said: np.ndarray, true: np.ndarray) -> np.ndarray:
    """(n, l) bool and (n, l) 1, 0, NaN -> (l,) F1; NaN for a label without a known positive."""
    hits = (said & (true == 1)).sum(axis=0)
    total = (said & ~np.isnan(true)).sum(axis=0) + (true == 1).sum(axis=0)
    return np.where((true == 1).any(axis=0), 2 * hits / np.maximum(total, 1), np.nan)


def pooled(maps: Tensor, parts: int) -> Tensor:
    """(b, c, g, g) -> (b, c (parts^2 + 1)): means over parts x parts, then the maximum of each channel."""
    means = F.adaptive_avg_pool2d(maps, parts).flatten(1)
    return torch.cat([means, maps.amax(dim=(2, 3))], dim=1)


def clip_prompts(name: str, prompts: Sequence[str]) -> Tensor:
    """(l, 512) of unit length: the prompts as a CLIP text tower (hub name or folder) reads them."""
    tokens = AutoTokenizer.from_pretrained(name)(list(prompts), padding=True, truncation=True, return_tensors="pt")
    with torch.no_grad():
        embeds = CLIPTextModelWithProjection.from_pretrained(name).eval()(**tokens).text_embeds
    return F.normalize(embeds.float(), dim=-1)


def _prompt_vectors(config: FfaClConfig, tree: LabelTree) -> Tensor:
    if config.text == "clip":
        # Filled by `load_pretrained`, and kept with the weights.
        return torch.zeros(len(tree.labels), CLIP_WIDTH)
    return torch.from_numpy(word_vectors(prompts_of(tree.labels, config.prompts))).float()


def _backbone(config: FfaClConfig) -> tuple[nn.Module, int]:
    """The encoder, and how long its vector of a film is. A pyramid has the names it has in set_difference."""
    if config.backbone == "clip":
        return CLIPVisionModelWithProjection(CLIPVisionConfig()), CLIP_WIDTH
    encoder: nn.Module
    if config.backbone == "pyramid":
        encoder = FeaturePyramid(config.encoder_widths, config.pyramid_width, config.encoder_depth)
        width = config.pyramid_width
    elif config.backbone == "conv":
        encoder = ConvEncoder(config.encoder_widths, config.encoder_depth)
        width = encoder.width
    else:
        encoder = ResNetEncoder()
        width = encoder.width
    return encoder, width * (config.pool**2 + 1)


def _tensors(parameter: nn.Parameter | None) -> Tensor | tuple[()]:
    return () if parameter is None else parameter
