"""FFA-CL ("LGCLIP"): fine-grained feature alignment via contrastive learning. No paper; the facts are of its code,
https://github.com/DishengLL/Fine-Grained_Features_Alignment_via_Constrastive_Learning (no licence: nothing is copied).

A frozen image backbone gives one vector per film; a splitter makes an embedding of it for each label; the embeddings
are aligned with prompts for the labels (contrast), the prompts are kept apart (orthogonality), both follow a tree of
the labels (graph); one classifier shared by all labels predicts what is present. Prompts are used in training alone.

One film at a time: `current` is the film, there is no prior.

Differs: label-conditioned contrast, unnormalised contrast and cosine orthogonality beside the published forms.
Differs: 1 is present (published: 0 in one encoding, unknown in the other); No Finding from positive findings alone.
Differs: weights chosen on validation, thresholds too (published: on the test file).
Differs: the vectors of the backbone are standardised by the first batch (`standardise`; off in `paper`).
Differs: an uncertainty weighting in the log-variance form; the printed one is not bounded from below.
Differs: prompts are worded by us (`prompts: published`, as in `paper`: "images for <label>").
Differs: films are equalised by rank (`greys: clip`, as in `paper`: grey levels by CLIP's mean and deviation).
Differs: `text: words` (counted words) stands in for a text encoder where none is at hand.
Differs: BiomedCLIP and BioViL-T have no transformers class; `backbone: clip` is CLIP ViT-B/32 or a relative.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import CLIPVisionModelWithProjection

from intervalchange.blocks.encoder_weights import check_greys, load_encoder
from intervalchange.blocks.encoders import COLOURS, PyramidEncoder, ResNetEncoder
from intervalchange.blocks.processes import average_over_processes
from intervalchange.blocks.pyramid import FeaturePyramid
from intervalchange.data.films import Greys
from intervalchange.errors import ConfigError
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
from intervalchange.methods.ffa_cl.backbone import CLIP_WIDTH, VectorCache, build_backbone, clip_prompts, film_vectors
from intervalchange.methods.ffa_cl.label_targets import POLICIES, PolicyName, TreeTargets
from intervalchange.methods.ffa_cl.label_tree import PromptStyle, prompts_of, read_tree, word_vectors
from intervalchange.methods.ffa_cl.parts import FindingSplitter, PromptBranch, SharedClassifier, mixer
from intervalchange.methods.ffa_cl.validation import FilmOutputs, all_scores, best_thresholds

if TYPE_CHECKING:
    from intervalchange.data.batch import Batch

HIGHEST_LOG_SCALE = math.log(100.0)


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
    """Labels as the data set calls them, each read by one of the tree. Leave out those that the data lack: their labels
    of the tree stay, unknown throughout."""
    tree: str = "published"
    """`published`, `chexpert`, `nih`, or a YAML file."""
    policy: PolicyName = "ignore"
    """See `POLICIES`; `u_ones` also needs data prepared with `--option uncertain=present`, `u_zeros` with `absent`."""
    backbone: Literal["pyramid", "conv", "resnet50", "clip"] = "pyramid"
    backbone_weights: str = ""
    """Run folder (pyramid), or hub name or folder (resnet50, clip); empty: random, or whatever `--from` brings."""
    frozen: bool = True
    """The backbone is not trained, and encodes each film once."""
    greys: Greys = "ranks"
    """How films are scaled, as in `EncoderConfig`: `clip` as published, for `clip`; `imagenet` for `resnet50`."""
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
    """How prompts become vectors: counted words, or the text tower of `backbone_weights`, once, before training."""
    contrast: ContrastForm = "conditioned"
    orthogonality: Orthogonality = "contrast"
    classification_weight: float = 1.0
    contrast_weight: float = 1.0
    orthogonality_weight: float = 1.0
    graph_weight: float = 1.0
    weighting: Weighting = "none"

    def __post_init__(self, **kwargs: Any) -> None:
        super().__post_init__(**kwargs)
        if self.greys in COLOURS and self.backbone not in ("resnet50", "clip"):
            raise ConfigError(
                f"greys {self.greys!r} is of encoders that read colours, not of {self.backbone!r}.",
                remedy="Set --model.greys half or ranks.",
            )


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
        self.encoder, length = build_backbone(
            config.backbone,
            config.encoder_widths,
            config.encoder_depth,
            config.pyramid_width,
            config.pool,
            config.greys,
        )
        self.vector_cache = VectorCache()
        if config.frozen:
            self.encoder.requires_grad_(False)
        shape = (config.width, config.layers, config.heads, config.feedforward, config.dropout)
        self.splitter = FindingSplitter(
            length, labels, config.width, mixer(*shape), config.split_twice, config.standardise
        )
        self.classifier = SharedClassifier(config.width, 3 if POLICIES[config.policy].unmentioned == "class" else 1)
        self._targets = TreeTargets(self.tree, config.labels, POLICIES[config.policy])
        # Not a buffer: `--from` a run of another tree would write over it.
        self._closeness = torch.from_numpy(self.tree.closeness()).float()
        self.register_buffer("threshold", torch.full((labels,), 0.5))
        self.words: PromptBranch | None = None
        self.log_variances: nn.Parameter | None = None
        if self.uses_words:
            shape = (config.width, config.text_layers, config.heads, config.feedforward, config.dropout)
            # Drawn apart, so that with one seed every choice of losses begins with the same splitter.
            with torch.random.fork_rng(devices=[]):
                self.words = PromptBranch(self._prompt_vectors(), config.width, mixer(*shape))
            self.log_scale = nn.Parameter(torch.empty(()))
            self.log_scale_of_words = nn.Parameter(torch.empty(()))
            self.shift = nn.Parameter(torch.empty(())) if self._weights.get("contrast") and self._conditioned else None
        if config.weighting == "uncertainty":
            self.log_variances = nn.Parameter(torch.empty(len(self._weights)))
        self.post_init()

    def _prompt_vectors(self) -> Tensor:
        if self.config.text == "clip":
            # Filled by `load_pretrained`, and saved with the weights.
            return torch.zeros(len(self.tree.labels), CLIP_WIDTH)
        return torch.from_numpy(word_vectors(prompts_of(self.tree.labels, self.config.prompts))).float()

    def draw_weights(self, init: Any) -> None:
        """Scales start at 1 / 0.07, shift and log-variances at 0."""
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
        """Whether any loss needs the prompts."""
        return bool(self._weights.keys() - {"classification"})

    def load_pretrained(self) -> None:
        """The backbone, and the prompts as encoded by its text tower."""
        config, name = self.config, self.config.backbone_weights
        if not name:
            return
        if config.backbone == "clip":
            self.encoder.load_state_dict(CLIPVisionModelWithProjection.from_pretrained(name).state_dict())
            if self.words is not None and config.text == "clip":
                self.words.words.copy_(clip_prompts(name, prompts_of(self.tree.labels, config.prompts)))
        elif isinstance(self.encoder, FeaturePyramid):
            loader = PyramidEncoder(config.encoder_widths, config.pyramid_width, config.encoder_depth)
            load_encoder(loader, name)
            self.encoder.load_state_dict(loader.network.state_dict())
        elif isinstance(self.encoder, ResNetEncoder):
            self.encoder.load_pretrained(name)
        else:
            raise ConfigError("`backbone: conv` has no published weights.", remedy="Use --from RUN.")

    def map_pretrained(self, tensors: Mapping[str, Tensor], run: Path) -> Mapping[str, Tensor]:
        """As in `Method`; counted words are those of this configuration's prompts, not of the run's."""
        check_greys(run, self.config.greys)
        own = {"words.words"} if self.config.text == "words" else set()
        return {name: tensor for name, tensor in tensors.items() if name not in own}

    def train(self, mode: bool = True) -> FfaCl:
        """As in torch; a frozen backbone stays in evaluation mode."""
        super().train(mode)
        if self.config.frozen:
            self.encoder.eval()
        return self

    # --- encoding -------------------------------------------------------------------------------------------------

    def vectors(self, films: Tensor) -> Tensor:
        """Standardised films (b, 1, h, w) -> (b, v)."""

        def encode(films: Tensor) -> Tensor:
            return film_vectors(self.encoder, films, self.config.pool, self.config.greys)

        return self.vector_cache(films, self.encoder, encode) if self.config.frozen else encode(films)

    def logits(self, embeddings: Tensor) -> Tensor:
        """(b, l, d) -> (b, l) log-odds of presence; of three classes, present against absent."""
        out: Tensor = self.classifier(embeddings)
        return out[..., 0] if out.shape[-1] == 1 else out[..., 0] - out[..., 1]

    def similarity(self, embeddings: Tensor) -> Tensor:
        """(b, l, d) -> (b, l, l) cosines: row the prompt of a label, column the film's embedding for a label."""
        if self.words is None:
            raise ConfigError("this model was trained without words.", remedy="Give one of its losses a weight.")
        return torch.einsum("jd,bkd->bjk", self.words(), embeddings)

    def targets(self, labels: Tensor) -> Tensor:
        """Labels as the data call them (b, n) -> (b, l) of the tree: 1, 0, NaN (`TreeTargets.of`)."""
        return self._targets.of(labels)

    # --- learning -------------------------------------------------------------------------------------------------

    def forward(self, **batch: Any) -> MethodOutput:
        """The losses that are on."""
        return self.losses(self.vectors(batch["current"]), self.targets(batch["labels_current"]))

    def losses(self, vectors: Tensor, targets: Tensor) -> MethodOutput:
        """vectors (b, v) of the backbone, targets (b, l)."""
        embeddings = self.splitter(vectors)
        terms = {"classification": self._classification(embeddings, targets)}
        if self.words is not None:
            if not self.words.words.any():
                raise ConfigError(
                    "CLIP has not encoded the prompts, because no weights of it are named.",
                    remedy="Give --model.backbone_weights, or --model.text words.",
                )
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
        counted = self._targets.defined.to(losses).expand_as(losses)
        return (losses * counted).sum() / counted.sum().clamp(min=1)

    def _aligned(self, embeddings: Tensor, words: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """The losses that need the prompts; those that are off are not computed."""
        weights, terms = self._weights, {}
        scale = self.log_scale.clamp(0, HIGHEST_LOG_SCALE).exp()
        similarity = scale * torch.einsum("jd,bkd->bjk", words, embeddings)
        if "contrast" in weights:
            if self.shift is not None:
                terms["contrast"] = conditioned_contrast(similarity + self.shift, targets, average_over_processes)
            else:
                published = self.config.contrast == "published"
                terms["contrast"] = finding_contrast(similarity, normalise_rows=published)
        if "orthogonality" in weights:
            scale = self.log_scale_of_words.clamp(0, HIGHEST_LOG_SCALE).exp()
            terms["orthogonality"] = orthogonality(words @ words.T, scale, self.config.orthogonality)
        if "graph" in weights:
            terms["graph"] = graph_alignment(similarity, self._closeness.to(similarity.device))
        return terms

    # --- validation -----------------------------------------------------------------------------------------------

    @torch.no_grad()
    def probabilities(self, films: Tensor) -> Tensor:
        """(b, l) of the labels of the tree."""
        return torch.sigmoid(self.logits(self.splitter(self.vectors(films))).float())

    def validation_outputs(self, batch: Batch) -> list[FilmOutputs]:
        """One per film, in order."""
        if batch.labels_current is None:
            raise ConfigError("the films come without their labels.", remedy="Name them in `labels`.")
        probabilities = self.probabilities(batch.current).cpu().numpy()
        targets = torch.nan_to_num(self.targets(batch.labels_current), nan=-1.0).to(torch.int8).cpu().numpy()
        return [FilmOutputs(*row) for row in zip(batch.case_id, batch.patient_id, probabilities, targets, strict=True)]

    def validation_scores(self, outputs: Sequence[Any]) -> dict[str, float]:
        """AUROC and AP by label and macro, of films and (`study.`) of studies; F1 at the calibrated thresholds."""
        return all_scores(outputs, self.tree.labels, self.threshold.cpu().numpy()) if outputs else {self.selection: 0.0}

    def calibrate(self, batches: Iterable[Any]) -> Mapping[str, float]:
        """Fix the threshold of each label that validation knows: the best F1."""
        outputs = [output for batch in batches for output in self.validation_outputs(batch)]
        if not outputs:
            return {}
        best = torch.from_numpy(best_thresholds(outputs)).float()
        self.threshold.copy_(best.nan_to_num(nan=0.5))
        named = zip(self.tree.labels, best.tolist(), strict=True)
        return {f"threshold.{label}": threshold for label, threshold in named if not math.isnan(threshold)}


def _tensors(parameter: nn.Parameter | None) -> Tensor | tuple[()]:
    return () if parameter is None else parameter
