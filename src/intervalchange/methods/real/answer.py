"""ReAl: "Spot the Difference: Difference Visual Question Answering with Residual Alignment" (Lu et al., MICCAI 2024).

https://doi.org/10.1007/978-3-031-72086-4_61 ; no code was published, this is written from the paper.

Orientation: the paper's main image is our `current`, its reference image our `prior`. The residual image is
R = current - prior. One encoder E_I reads both films, a second one E_R reads R; each feature map goes through a
projection (queries in a small transformer decoder; shared by the two films, own for R) to a few tokens; GPT-2 answers
after [residual; prior; current; question]. Loss: L_gen, the answer's negative log-likelihood, plus L_con, which aligns
the features of R with the difference of the films' features.

Differs: the paper prints no learning rate, batch, epochs, beams, or size of its projections: `paper` marks each of ours
    as a guess.
Differs: L_gen is a mean over all tokens of a batch, so a long answer weighs more than a short one.
Differs: what the paper leaves open or prints ambiguously is a field of `RealConfig`; the default is listed first.
Differs: L_con compares (current - prior) with the residual's features; the printed form has the opposite sign
    (`con_sign=-1`).
Differs: L_con is a mean over elements (`reduction="sum"` is the literal norm, which at 512 px dwarfs L_gen).
Differs: the difference of film features is detached for the first `detach_epochs` epochs (0 is literal), because
    constant features would also bring L_con to zero.
Differs: L_con is taken on the feature maps before projection (`con_at="tokens"`: after it).
Differs: learned slot embeddings tell the three groups of visual tokens apart; the paper names none (`slots=False`).
Differs: the residual is halved so that its range is that of a film (`residual_scale=1.0` is literal).
Differs: the question is read by the decoder's own embedding table; the paper's text encoder is not specified.
Differs: the channels of the feature maps are standardised before projection (`blocks/projection.py`), without which
    the projection sees what all films share and little else (docs/log.md, 2026-11-24).
Differs: a film that is absent is masked, with its residual, so questions about one film can be answered too.
Differs: no ImageNet or GPT-2 weights unless named (`backbone_weights`, `decoder_weights`); films have one channel.
Differs: training reads whole films with the paired augmentation of data/transforms.py, not random 512 px patches with
    colour jitter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from intervalchange.blocks.attribution import activation_attribution
from intervalchange.blocks.decoders import AnswerDecoder
from intervalchange.blocks.encoder_weights import check_greys, load_encoder
from intervalchange.blocks.encoders import Encoder
from intervalchange.blocks.processes import average_over_processes
from intervalchange.blocks.projection import QueryProjection
from intervalchange.blocks.type_embedding import TypeEmbedding
from intervalchange.errors import ConfigError
from intervalchange.losses import residual_alignment
from intervalchange.losses.alignment import Reduction
from intervalchange.methods.base.answerer import Answerer, AttributionMaps, Context, DecoderConfig
from intervalchange.methods.base.encoder import EncoderConfig
from intervalchange.methods.base.method import MethodOutput

SLOTS = ("residual", "prior", "current")
"""The groups of visual tokens, in the order of their embeddings."""


class RealConfig(EncoderConfig, DecoderConfig):
    """Configuration of ReAl. The rows of the paper's ablation are `residual=False`; `alignment=False`; both True."""

    model_type = "real"

    residual: bool = True
    """Read the residual image through E_R and show its tokens to the decoder."""
    alignment: bool = True
    """Add L_con. Needs `residual`."""
    alignment_weight: float = 1.0
    """Weight of L_con beside L_gen."""
    con_sign: int = 1
    """1: residual features meet current - prior. -1: the printed form, prior - current."""
    con_at: Literal["map", "tokens"] = "map"
    """Where L_con is taken: on the encoders' maps, or on the projected tokens."""
    reduction: Reduction = "mean"
    """Of the squared distance over the elements of a case: `mean`, or the literal `sum`."""
    detach_epochs: float = 1.0
    """Epochs during which L_con sends no gradient into the film features; 0 for the literal form."""
    residual_scale: float = 0.5
    """R = residual_scale * (current - prior)."""
    order: tuple[str, ...] = ("residual", "prior", "current")
    """Order of the visual tokens before the question."""
    slots: bool = True
    """Add a learned embedding a slot."""

    backbone: Literal["conv", "pyramid", "resnet50"] = "conv"
    """Of E_I and E_R, as are its weights and sizes. The paper's is `resnet50`."""

    queries: int = 16
    """Tokens that each projection makes."""
    projection_width: int = 128
    projection_layers: int = 1
    projection_heads: int = 4
    projection_feedforward: int = 256

    decoder_positions: int = 256
    """Longest sequence: visual tokens, question, answer."""
    decoder_weights: str = ""
    """Hub name or folder of a published GPT-2 of this size, loaded once when training starts."""
    encoder_rate: float = 1.0
    """Learning rate of the two encoders relative to the rest."""
    decoder_rate: float = 1.0
    """Learning rate of the decoder relative to the rest."""
    vocab_size: int = 0
    """Rows of the embedding table; 0 for the tokenizer's size."""

    def __post_init__(self, **kwargs: Any) -> None:
        super().__post_init__(**kwargs)
        if sorted(self.order) != sorted(SLOTS):
            raise ConfigError(
                f"model option 'order' is {self.order}.", remedy="Name residual, prior, current once each."
            )
        if self.alignment and not self.residual:
            raise ConfigError("alignment needs the residual.", remedy="Set --model.alignment false too.")
        if self.backbone_weights and self.backbone == "conv":
            raise ConfigError(
                "there are no published weights for 'conv'.", remedy="Set --model.backbone resnet50 (or pyramid) too."
            )
        if abs(self.con_sign) != 1:
            raise ConfigError(f"model option 'con_sign' is {self.con_sign}.", remedy="It is 1 or -1.")
        length = 3 * self.queries + self.positions
        if length > self.decoder_positions:
            raise ConfigError(
                f"a sequence can have {length} tokens but the decoder has {self.decoder_positions} positions.",
                remedy=f"Set --model.decoder_positions {length}.",
            )


@dataclass(frozen=True)
class EncodedFilms:
    """The maps of b pairs of films."""

    films: Tensor
    """(2b, c, g, g): those of all priors, then of all currents."""
    residual: Tensor | None
    """(b, c, g, g), where the model reads a residual."""
    has_prior: Tensor
    """(b) bool."""

    def maps(self) -> dict[str, Tensor]:
        """Slot -> (b, c, g, g)."""
        maps = dict(zip(("prior", "current"), self.films.chunk(2), strict=True))
        return maps if self.residual is None else {**maps, "residual": self.residual}


class Real(Answerer):
    """ReAl. See the module's docstring."""

    config_class = RealConfig
    config: RealConfig
    name = "real/answer"

    decoder: AnswerDecoder
    film_encoder: Encoder
    film_projection: QueryProjection
    residual_encoder: Encoder
    residual_projection: QueryProjection

    def __init__(self, config: RealConfig, tokenizer: PreTrainedTokenizerBase | None = None) -> None:
        super().__init__(config, tokenizer)
        self.film_encoder = config.build_encoder()
        self.film_projection = self._projection(self.film_encoder.width)
        if config.residual:
            self.residual_encoder = config.build_encoder()
            self.residual_projection = self._projection(self.residual_encoder.width)
        if config.slots:
            self.slots = TypeEmbedding(len(SLOTS), config.decoder_width)
        self.decoder = config.gpt2(self.tokenizer, config.decoder_positions, config.vocab_size)
        self._detached = config.detach_epochs > 0
        self.post_init()

    def _projection(self, in_width: int) -> QueryProjection:
        config = self.config
        return QueryProjection(
            in_width,
            config.projection_width,
            config.decoder_width,
            queries=config.queries,
            layers=config.projection_layers,
            heads=config.projection_heads,
            feedforward=config.projection_feedforward,
            dropout=config.dropout,
        )

    def load_pretrained(self) -> None:
        """The backbones that the configuration names, into a model that is about to be trained."""
        if self.config.backbone_weights:
            check_greys(self.config.backbone_weights, self.config.greys)
            for encoder in (self.film_encoder, *([self.residual_encoder] if self.config.residual else [])):
                load_encoder(encoder, self.config.backbone_weights)
        if self.config.decoder_weights:
            self.decoder.load_pretrained(self.config.decoder_weights)

    def map_pretrained(self, tensors: Mapping[str, Tensor], run: Path) -> Mapping[str, Tensor]:
        """As they are; an encoder that has seen films scaled in another way is refused."""
        check_greys(run, self.config.greys)
        return super().map_pretrained(tensors, run)

    def rate_factors(self) -> dict[str, float]:
        rates = dict.fromkeys(("film_encoder.", "residual_encoder."), self.config.encoder_rate)
        return {**rates, "decoder.": self.config.decoder_rate}

    def progress(self, step: int, steps: int, epoch: float) -> None:
        self._detached = epoch < self.config.detach_epochs

    # --- films and question ----------------------------------------------------------------------------------------

    def residual_image(self, current: Tensor, prior: Tensor) -> Tensor:
        """R (b, 1, h, w): exactly zero for identical films, negated when they are exchanged."""
        return self.config.residual_scale * (current - prior)

    def encode_films(self, batch: Mapping[str, Any]) -> EncodedFilms:
        """Films (b, 1, h, w) -> maps. The current film stands in for an absent prior, and is masked later."""
        current, prior, has_prior = (batch[name].to(self.device) for name in ("current", "prior", "has_prior"))
        prior = torch.where(has_prior.view(-1, 1, 1, 1), prior, current)
        films = self.film_encoder(torch.cat([prior, current]).contiguous()).map
        residual = self.residual_encoder(self.residual_image(current, prior)).map if self.config.residual else None
        return EncodedFilms(films, residual, has_prior)

    def tokens(self, encoded: EncodedFilms) -> dict[str, Tensor]:
        """Slot -> (b, queries, d)."""
        tokens = dict(zip(("prior", "current"), self.film_projection(encoded.films).chunk(2), strict=True))
        if encoded.residual is not None:
            tokens["residual"] = self.residual_projection(encoded.residual)
        return tokens

    def context(self, films: EncodedFilms, batch: Mapping[str, Any]) -> Context:
        return self.visual_prefix(self.tokens(films), films.has_prior, batch["question"])

    def visual_prefix(self, tokens: Mapping[str, Tensor], has_prior: Tensor, questions: Sequence[str]) -> Context:
        """[residual; prior; current; question], in the configured order."""
        parts, masks = [], []
        for slot in self.config.order:
            if slot in tokens:
                part = tokens[slot]
                shown = torch.ones_like(has_prior) if slot == "current" else has_prior
                parts.append(part + self.slots.weight[SLOTS.index(slot)] if self.config.slots else part)
                masks.append(shown.long()[:, None].expand(-1, part.shape[1]))
        question, mask = self.prefix(questions)
        prefix = torch.cat([*parts, question.to(parts[0].dtype)], dim=1)
        return Context(prefix, torch.cat([*masks, mask], dim=1))

    def attributed(self, films: EncodedFilms) -> Sequence[Tensor]:
        return (films.films,)

    def evidence(self, films: EncodedFilms, gradients: Sequence[Tensor]) -> Sequence[AttributionMaps | None]:
        return activation_attribution(films.films, gradients[0])

    # --- training --------------------------------------------------------------------------------------------------

    def forward(self, **batch: Any) -> MethodOutput:
        films = self.encode_films(batch)
        tokens = self.tokens(films)
        context = self.visual_prefix(tokens, films.has_prior, batch["question"])
        terms = {"generation": self.generation_loss(context, batch["answer"])}
        if self.config.alignment:
            features = films.maps() if self.config.con_at == "map" else tokens
            terms["alignment"] = self.alignment(features, films.has_prior)
        logged = self._residual_terms(films.maps()) if self.config.residual else {}
        return MethodOutput.of(terms, {"alignment": self.config.alignment_weight}, logged)

    def alignment(self, features: Mapping[str, Tensor], has_prior: Tensor) -> Tensor:
        """L_con of the features of each slot, over the cases that have a prior."""
        return residual_alignment(
            features["prior"],
            features["current"],
            features["residual"],
            sign=self.config.con_sign,
            reduction=self.config.reduction,
            detach=self._detached,
            weight=has_prior,
            reduce_mean=average_over_processes,
        )

    @torch.no_grad()
    def _residual_terms(self, maps: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What shows a collapse: size of the residual's features, of the films' difference, and their cosine."""
        residual = maps["residual"].float().flatten(1)
        difference = (maps["current"] - maps["prior"]).float().flatten(1)
        return {
            "residual_rms": residual.square().mean().sqrt(),
            "difference_rms": difference.square().mean().sqrt(),
            "residual_cosine": nn.functional.cosine_similarity(residual, difference, dim=1).mean(),
        }
