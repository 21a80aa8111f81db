"""ReAl: "Spot the Difference: Difference Visual Question Answering with Residual Alignment" (Lu et al., MICCAI 2024).

https://doi.org/10.1007/978-3-031-72086-4_61 ; no code was published, this is written from the paper.

Orientation: the paper's main image is our `current`, its reference image our `prior`. The residual image is
R = current - prior. One encoder E_I reads both films, a second one E_R reads R; each feature map goes through a
projection (queries in a small transformer decoder; shared by the two films, own for R) to a few tokens; GPT-2 answers
after [residual; prior; current; question]. Loss: L_gen, the answer's negative log-likelihood, plus L_con, which aligns
the features of R with the difference of the films' features.

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

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from intervalchange.blocks.attribution import activation_attribution
from intervalchange.blocks.decoders import AnswerDecoder
from intervalchange.blocks.encoders import Backbone, ConvEncoder, Encoder, build_encoder
from intervalchange.blocks.processes import average_over_processes
from intervalchange.blocks.projection import QueryProjection
from intervalchange.blocks.tokenizer import Tokens, decode, encode
from intervalchange.blocks.type_embedding import TypeEmbedding
from intervalchange.errors import ConfigError
from intervalchange.losses import answer_nll, residual_alignment, sequence_log_probability
from intervalchange.losses.alignment import Reduction
from intervalchange.methods.base.method import Method, MethodConfig, MethodOutput
from intervalchange.records import Prediction

Slot = Literal["residual", "prior", "current"]


class RealConfig(MethodConfig):
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

    backbone: Backbone = "conv"
    """`conv`: small, from scratch. `pyramid`: the trunk of set_difference. `resnet50`: the paper's."""
    backbone_weights: str = ""
    """Weights for E_I and E_R, loaded once when training starts. `resnet50`: hub name or folder of a published one;
    `pyramid`: a run folder of set_difference, whose labels the model has then seen as well."""
    encoder_widths: tuple[int, ...] = (32, 64, 128)
    """Channels of each stage of `conv` and `pyramid`."""
    encoder_depth: int = 1
    """Residual blocks a stage of `conv` and `pyramid`."""
    pyramid_width: int = 48
    """Channels of the map of `pyramid`."""
    stem_stride: int = 4
    """Stride of the first stage of `conv`; the others halve."""

    queries: int = 16
    """Tokens that each projection makes."""
    projection_width: int = 128
    projection_layers: int = 1
    projection_heads: int = 4
    projection_feedforward: int = 256

    decoder_width: int = 128
    decoder_layers: int = 2
    decoder_heads: int = 4
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
    dropout: float = 0.1
    question_tokens: int = 40
    """Longest question; longer ones are cut."""
    answer_tokens: int = 96
    """Longest answer, EOS included."""
    beams: int = 1
    """Beams of the search for an answer; 1 is greedy."""

    def __post_init__(self, **kwargs: Any) -> None:
        super().__post_init__(**kwargs)
        if sorted(self.order) != ["current", "prior", "residual"]:
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
        length = 3 * self.queries + self.question_tokens + 1 + self.answer_tokens
        if length > self.decoder_positions:
            raise ConfigError(
                f"a sequence can have {length} tokens but the decoder has {self.decoder_positions} positions.",
                remedy=f"Set --model.decoder_positions {length}.",
            )


@dataclass(frozen=True)
class Visual:
    """What was seen of a batch. Keys: prior, current, and residual where the model reads one."""

    films: Tensor
    """(2b, c, g, g): the maps of all priors, then of all currents; `maps` holds views of it."""
    maps: dict[str, Tensor]
    """(b, c, g, g) each."""
    tokens: dict[str, Tensor]
    """(b, queries, d) each."""
    has_prior: Tensor
    """(b) bool."""


class Real(Method):
    """ReAl. See the module's docstring."""

    config_class = RealConfig
    config: RealConfig
    name = "real/answer"
    supervision = ("answers",)

    film_encoder: Encoder
    film_projection: QueryProjection
    residual_encoder: Encoder
    residual_projection: QueryProjection

    def __init__(self, config: RealConfig, tokenizer: PreTrainedTokenizerBase | None = None) -> None:
        super().__init__(config, tokenizer)
        sizes = (config.encoder_widths, config.encoder_depth, config.stem_stride, config.pyramid_width)
        self.film_encoder = build_encoder(config.backbone, *sizes)
        self.film_projection = self._projection(self.film_encoder.width)
        if config.residual:
            self.residual_encoder = build_encoder(config.backbone, *sizes)
            self.residual_projection = self._projection(self.residual_encoder.width)
        if config.slots:
            self.slots = TypeEmbedding(3, config.decoder_width)
        self.decoder = AnswerDecoder(
            self.tokenizer,
            width=config.decoder_width,
            layers=config.decoder_layers,
            heads=config.decoder_heads,
            positions=config.decoder_positions,
            dropout=config.dropout,
            vocab_size=config.vocab_size,
        )
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
        encoders = [self.film_encoder, *([self.residual_encoder] if self.config.residual else [])]
        for encoder in encoders:
            if self.config.backbone_weights and not isinstance(encoder, ConvEncoder):
                encoder.load_pretrained(self.config.backbone_weights)
        if self.config.decoder_weights:
            self.decoder.load_pretrained(self.config.decoder_weights)

    def rate_factors(self) -> dict[str, float]:
        rates = dict.fromkeys(("film_encoder.", "residual_encoder."), self.config.encoder_rate)
        return {**rates, "decoder.": self.config.decoder_rate}

    def progress(self, step: int, steps: int, epoch: float) -> None:
        self._detached = epoch < self.config.detach_epochs

    # --- seeing ------------------------------------------------------------------------------------------------

    def residual_image(self, current: Tensor, prior: Tensor) -> Tensor:
        """R (b, 1, h, w): exactly zero for identical films, negated when they are exchanged."""
        return self.config.residual_scale * (current - prior)

    def see(self, current: Tensor, prior: Tensor, has_prior: Tensor) -> Visual:
        """Films (b, 1, h, w) -> maps (b, c, g, g) and tokens (b, queries, d) of prior, current and residual."""
        absent = ~has_prior.view(-1, 1, 1, 1)
        prior = torch.where(absent, current, prior)
        films = self.film_encoder(torch.cat([prior, current]).contiguous()).map
        maps = dict(zip(("prior", "current"), films.chunk(2), strict=True))
        tokens = dict(zip(("prior", "current"), self.film_projection(films).chunk(2), strict=True))
        if self.config.residual:
            maps["residual"] = self.residual_encoder(self.residual_image(current, prior)).map
            tokens["residual"] = self.residual_projection(maps["residual"])
        return Visual(films, maps, tokens, has_prior)

    def prefix(self, visual: Visual, questions: list[str]) -> tuple[Tensor, Tensor]:
        """[residual; prior; current; question] as embeddings (b, p, d) with a mask (b, p)."""
        parts, masks = [], []
        for slot in self.config.order:
            if slot not in visual.tokens:
                continue
            part = visual.tokens[slot]
            if self.config.slots:
                part = part + self.slots.weight[("residual", "prior", "current").index(slot)]
            shown = torch.ones_like(visual.has_prior) if slot == "current" else visual.has_prior
            parts.append(part)
            masks.append(shown.long()[:, None].expand(-1, part.shape[1]))
        question = encode(self.tokenizer, questions, side="left", limit=self.config.question_tokens, device=self.device)
        parts.append(self.decoder.embed(question.ids).to(parts[0].dtype))
        masks.append(question.mask)
        return torch.cat(parts, dim=1), torch.cat(masks, dim=1)

    # --- training ----------------------------------------------------------------------------------------------

    def forward(self, **batch: Any) -> MethodOutput:
        visual = self.see(batch["current"], batch["prior"], batch["has_prior"])
        prefix, mask = self.prefix(visual, batch["question"])
        answer = self._answer_tokens(batch["answer"])
        logits = self.decoder(prefix, mask, answer)
        generation = answer_nll(logits, answer.ids, answer.mask, reduce_mean=average_over_processes)
        terms = {"generation": generation.detach()}
        loss = generation
        if self.config.residual:
            terms |= self._residual_terms(visual)
        if self.config.alignment:
            alignment = self.alignment(visual)
            terms["alignment"] = alignment.detach()
            loss = loss + self.config.alignment_weight * alignment
        return MethodOutput(loss=loss, terms=terms)

    def _answer_tokens(self, answers: list[str]) -> Tokens:
        return encode(self.tokenizer, answers, eos=True, limit=self.config.answer_tokens, device=self.device)

    def alignment(self, visual: Visual) -> Tensor:
        """L_con, over the cases that have a prior."""
        features = visual.maps if self.config.con_at == "map" else visual.tokens
        return residual_alignment(
            features["prior"],
            features["current"],
            features["residual"],
            sign=self.config.con_sign,
            reduction=self.config.reduction,
            detach=self._detached,
            weight=visual.has_prior,
            reduce_mean=average_over_processes,
        )

    @torch.no_grad()
    def _residual_terms(self, visual: Visual) -> dict[str, Tensor]:
        """What shows a collapse: size of the residual's features, of the films' difference, and their cosine."""
        residual = visual.maps["residual"].float().flatten(1)
        difference = (visual.maps["current"] - visual.maps["prior"]).float().flatten(1)
        return {
            "residual_rms": residual.square().mean().sqrt(),
            "difference_rms": difference.square().mean().sqrt(),
            "residual_cosine": nn.functional.cosine_similarity(residual, difference, dim=1).mean(),
        }

    # --- answering ---------------------------------------------------------------------------------------------

    def answer(self, batch: Any, *, evidence: bool = False) -> list[Prediction]:
        """Greedy or beam answers; confidence is the probability of the whole answer under the model."""
        self.check_prior(batch)
        with torch.set_grad_enabled(evidence):
            visual = self.see(*(getattr(batch, name).to(self.device) for name in ("current", "prior", "has_prior")))
            prefix, mask = self.prefix(visual, batch.question)
            tokens = self.decoder.generate(
                prefix.detach(), mask, limit=self.config.answer_tokens, beams=self.config.beams
            )
            logits = self.decoder(prefix, mask, tokens)
            likelihood = sequence_log_probability(logits, tokens.ids, tokens.mask)
        attribution = activation_attribution(likelihood, visual.films) if evidence else None
        return self.predictions(
            batch,
            decode(self.tokenizer, tokens.ids),
            confidence=[{"answer": probability} for probability in likelihood.detach().double().exp().tolist()],
            evidence=attribution,
        )
