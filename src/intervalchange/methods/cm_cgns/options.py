"""The options of CM-CGNS's first stage and of its relatives: encoders, the common space, the terms of the loss."""

from __future__ import annotations

from typing import Any, Literal

from intervalchange.errors import ConfigError
from intervalchange.losses.clustering import OthersHard
from intervalchange.losses.local_alignment import Aggregation
from intervalchange.methods.base.encoder import HubEncoderConfig
from intervalchange.methods.cm_cgns.cross_modal import Activation
from intervalchange.methods.cm_cgns.heads import HeadKind
from intervalchange.methods.cm_cgns.report_tokens import REPORT_PIECES, Marks

TERMS = ("global", "image", "text", "word", "token", "prototype")
OF_SENTENCES = ("attention", "mean")
"""Values of `text_pool` that make a report's vector of its sentences."""


class CmCgnsConfig(HubEncoderConfig):
    """Encoders, the common space, and the terms."""

    model_type = "cm_cgns_align"

    vocabulary: str = REPORT_PIECES
    """`report_pieces`: words of the grammar and of reports, others spelled; else a tokenizer's hub name or folder."""
    standardise: bool = True
    """Channels of the map are standardised by the first batch; what is projected into the common space, over each."""
    film_pool: Literal["mean", "attention"] = "mean"
    """How patches become one vector, where the encoder has no class token."""
    pool_heads: int = 8
    enlarge: int = 0
    """Films are enlarged to this side before the encoder (GLoRIA and MGCA on a ResNet: 299); 0: they are not."""
    patch_level: int = 1
    """Which map of the encoder gives the patches: 1 for the last, 2 for the one before it (GLoRIA, MGCA: layer3)."""

    text_weights: str = ""
    """Hub name or folder of a BERT of this size, loaded once when training starts."""
    text_vocabulary: int = 0
    """Rows of the table of words; 0 for the tokenizer's size."""
    text_width: int = 128
    text_layers: int = 2
    text_heads: int = 4
    text_feedforward: int = 256
    text_frozen_layers: int = 0
    """The first layers of the text encoder are not trained (ConVIRT)."""
    layers_summed: int = 1
    """States of a word: the sum of the last so many layers (GLoRIA: 4)."""
    merge_pieces: bool = False
    """The pieces of a word are summed into one (GLoRIA, MGCA)."""
    marks: Marks = "none"
    """Which of the tokens around a text counts as a word: `start` (GLoRIA), `end` (MGCA), or `none`."""
    text_pool: Literal["attention", "mean", "tokens", "start"] = "attention"
    """How a report becomes one vector: by attention over its sentences or their mean, in the common space; or from the
    text encoder's states, the mean of all `tokens` (ConVIRT, GLoRIA) or the `start` token (MGCA): `text_projection`."""
    text_part: Literal["report", "sentence"] = "report"
    """`sentence`: a step shows one sentence of each report, drawn anew (ConVIRT, GLoRIA); in use all of a text."""
    text_rate: float = 1.0
    """Learning rate of the text encoder relative to the rest."""
    tokens: int = 160
    """Longest report in tokens, start and end included."""
    sentences: int = 16
    """Most sentences of a report."""
    dropout: float = 0.1
    """Of the text encoder."""

    width: int = 128
    """Of the space in which films and reports meet."""
    projection: HeadKind = "linear"
    """From the film's vector to that space: `linear`; `mlp` of two layers (ConVIRT); `mlp_norm`, the same with batch
    normalisation after both (MGCA)."""
    text_projection: HeadKind = "linear"
    """From the report's vector, with `text_pool` tokens or start; `none`: its states are the space (GLoRIA)."""
    patch_projection: HeadKind = "linear"
    word_projection: HeadKind = "linear"
    projection_width: int = 0
    """Hidden width of `mlp` and `mlp_norm`; 0 for that of the input."""
    unit_parts: bool = True
    """Patches and words have length 1. Off, as in GLoRIA, the softmaxes of the word term see raw dot products."""
    attention: Activation = "sigmoid"
    """How patches and sentences attend to each other."""

    global_weight: float = 1.0
    image_weight: float = 1.0
    text_weight: float = 1.0
    word_weight: float = 0.0
    token_weight: float = 0.0
    prototype_weight: float = 0.0
    global_temperature: float = 0.1
    """1 / the initial value of the scale of the global term."""
    global_learnt: bool = True
    """That scale is learned; it is fixed in ConVIRT, GLoRIA and MGCA."""
    global_share: float = 0.5
    """Weight of films that find their reports; the rest is that of reports that find their films (ConVIRT: .75)."""
    text_temperature: float = 1.0
    token_temperature: float = 0.1
    token_form: Literal["attention", "weighted"] = "attention"
    """What the token term aligns with patches: sentences, by the cross-attention; or `weighted`, MGCA's form: words,
    by a softmax of cosines without parameters, each part weighted by its encoder's attention to it."""
    word_scale: float = 10.0
    """Scale of GLoRIA's logits of films and reports; with `word_pool` sum 50, the product of its later temperatures."""
    word_pool: Aggregation = "mean"
    """Whether a text's words are pooled by their mean, or as in GLoRIA by their sum, which favours long texts."""

    prototypes: int = 500
    """Of the prototype term (MGCA)."""
    prototype_temperature: float = 0.2
    prototype_epsilon: float = 0.05
    """Smoothness of the assignments to prototypes."""
    prototype_wait: float = 1.0
    """Epochs before the prototypes are trained."""

    clusters: int = 128
    """Centroids of the text term; 0: in-batch negatives alone."""
    cluster_start: float = 0.4
    """Centroids start once the mean cosine of a batch's sentences and what they attend to is no larger."""
    centroid_rate: float = 0.001
    centroid_update: Literal["mean", "sum"] = "mean"
    hard_weight: float = 3.0
    other_hard: OthersHard = "include"
    margin_weight: float = 0.0001
    margin_near: float = 0.2
    """alpha: how far the cosine of a false negative is to be below that of the partner, at least."""
    margin_far: float = 0.5
    """beta: how far at most."""
    margin_masked: bool = True

    def __post_init__(self, **kwargs: Any) -> None:
        super().__post_init__(**kwargs)
        if self.clusters == 1:
            raise ConfigError("one centroid leaves no second nearest.", remedy="Set --model.clusters 2 or more, or 0.")
        if self.text_width % self.text_heads or self.width % self.pool_heads:
            raise ConfigError(
                "a width is not a multiple of its heads.",
                remedy="Change text_width or text_heads, width or pool_heads.",
            )
        if not any(self.weights().values()):
            raise ConfigError("no term has a weight.", remedy="Set --model.global_weight 1 or another.")
        self._check_text_side()
        self._check_film_side()

    def _check_text_side(self) -> None:
        unprojected = "none" in (self.word_projection, self.text_projection)
        if unprojected and self.text_width != self.width:
            raise ConfigError("without a projection both widths are one.", remedy="Set width to text_width.")
        if self.text_pool in OF_SENTENCES and self.text_projection != "linear":
            raise ConfigError(
                f"text_projection {self.text_projection!r} has no use: sentences are already in the common space.",
                remedy="Set --model.text_pool tokens or start.",
            )
        if not 1 <= self.layers_summed <= self.text_layers or self.text_frozen_layers > self.text_layers:
            raise ConfigError("the text encoder has fewer layers.", remedy="Lower layers_summed or text_frozen_layers.")
        if not 0 <= self.global_share <= 1:
            raise ConfigError(f"global_share is {self.global_share}.", remedy="It is a share: 0 to 1.")

    def _check_film_side(self) -> None:
        if "none" in (self.projection, self.patch_projection):
            raise ConfigError("films need a projection.", remedy="Set it to linear, mlp or mlp_norm.")
        if not self.unit_parts and self.weights().keys() - {"global", "prototype", "word"}:
            raise ConfigError(
                "unit_parts false is of the word term alone.",
                remedy="Leave out the other terms of parts (image_weight 0, ...), or leave unit_parts true.",
            )
        if self.enlarge and (self.backbone == "hub" or self.enlarge < self.pixels):
            raise ConfigError(
                "enlarge makes films larger, for encoders that take any size.", remedy="Leave --model.enlarge 0."
            )
        if self.patch_level not in (1, 2) or (self.patch_level > 1 and self.backbone == "hub"):
            raise ConfigError(
                "there is no such map.", remedy="Set --model.patch_level 1, or 2 where there are several."
            )

    def weights(self) -> dict[str, float]:
        """Term -> weight, without those of 0."""
        weights = {name: float(getattr(self, f"{name}_weight")) for name in TERMS}
        return {name: weight for name, weight in weights.items() if weight}
