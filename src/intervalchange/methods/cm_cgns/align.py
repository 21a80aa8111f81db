"""CM-CGNS, first stage: films and reports are aligned, with negatives that clusters of sentences choose.

Cross-modal clustering-guided negative sampling (https://arxiv.org/abs/2506.11674). The published code has no licence
and does not run; this is written from facts about it, and nothing is copied. One film at a time: the `current` side of
a batch, with its report.

An image encoder gives places and one vector of a film; a text encoder gives words, their means by sentence and one
vector of a report. Places and sentences read each other. What is learnt is a sum of terms, each with a weight; 0 leaves
a term out, and what only it needs is not built:

    global   a film against the reports of all films of all processes, and back
    image    the places of a film against what the report says at each (SimSiam)
    text     each sentence against what it finds on the films, with the second nearest centroid as a hard negative
    word     GLoRIA's words against places, every film with every report
    token    MGCA's token-wise contrast within a film and its report, of sentences and of places

CM-CGNS is the first three; ConVIRT, GLoRIA and a relative of MGCA are presets of the same stage. The second stage,
`cm_cgns/reconstruct`, adds the fourth term of CM-CGNS.

Differs: tokens of a ResNet are its places, row by row (published: a view that mixes channels and places).
Differs: all films and sentences at once, under masks (published: a loop over the films).
Differs: sentences are gathered over processes and centroids are buffers: the same on all, saved, resumed, left alone
    in evaluation (published: each process its own, a flag that is not saved, moved by validation too).
Differs: centroids begin with at most what a batch has and go on with the next (published: a batch of fewer fails).
Differs: a centroid moves towards the mean of its members and stays at length 1 (`centroid_update: sum` as published).
Differs: each row sees every hard negative, its own one threefold (`other_hard: zero` as published: constants).
Differs: the margin loss is a mean over false negatives (`margin_masked: false` as published: over all pairs).
Differs: the batch that centroids begin with already has hard negatives.
Differs: another's sentence, or report, in the very same words is no negative.
Differs: the global scale stops at 100. Sentences: `data/extraction/sentences.py`; at most `sentences` of a report.
Differs: chosen by retrieval among the validation films (published: by a loss, on films of MIMIC's test split too).
Differs: AdamW; films augmented as in data/transforms.py.
Differs: what is projected into the common space is standardised over the batch of all processes before it is brought
    to length 1 (`standardise: false` as published, and in `paper`): reports in words of random weights are all but
    one vector, and a contrast then draws films and reports together before it tells any apart.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import BertConfig, BertModel, PreTrainedTokenizerBase

from intervalchange.blocks.decoders import initial_spread
from intervalchange.blocks.encoder_weights import load_encoder
from intervalchange.blocks.encoders import Encoder, shape_of
from intervalchange.blocks.gathering import gather_rows, padded_to, several_processes
from intervalchange.blocks.processes import average_over_processes
from intervalchange.blocks.projection import BatchNorm, FirstBatchNorm
from intervalchange.errors import ConfigError
from intervalchange.losses import contrastive
from intervalchange.losses.clustering import (
    OthersHard,
    clustered_contrast,
    cosines,
    farthest_chain,
    margin_loss,
    moved_centroids,
    nearest,
    second_nearest,
)
from intervalchange.losses.local_alignment import mutual_prediction, token_contrast, word_logits
from intervalchange.methods.base.encoder import HubEncoderConfig
from intervalchange.methods.base.method import Method, MethodOutput
from intervalchange.methods.cm_cgns.cross_modal import Activation, AttentionPool, CrossModalAttention
from intervalchange.methods.cm_cgns.report_tokens import (
    REPORT_PIECES,
    ReportTokens,
    read_reports,
    report_tokenizer,
    sentence_means,
)

WARMEST = math.log(100.0)


class CmCgnsConfig(HubEncoderConfig):
    """Encoders, the space both meet in, and the terms."""

    model_type = "cm_cgns_align"

    vocabulary: str = REPORT_PIECES
    """`report_pieces`: words of the grammar and of reports, others spelled; else a tokenizer's hub name or folder."""
    standardise: bool = True
    """Channels of the map are standardised by the first batch; what is projected into the common space, over each."""
    film_pool: Literal["mean", "attention"] = "mean"
    """How places become one vector, where the encoder has no class token."""
    pool_heads: int = 8

    text_weights: str = ""
    """Hub name or folder of a BERT of this size, loaded once when training starts."""
    text_vocabulary: int = 0
    """Rows of the table of words; 0 for the tokenizer's size."""
    text_width: int = 128
    text_layers: int = 2
    text_heads: int = 4
    text_feedforward: int = 256
    text_pool: Literal["attention", "mean"] = "attention"
    """How sentences become one vector."""
    text_rate: float = 1.0
    """Learning rate of the text encoder relative to the rest."""
    tokens: int = 160
    """Longest report in tokens, with its two marks."""
    sentences: int = 16
    """Most sentences of a report."""
    dropout: float = 0.1
    """Of the text encoder."""

    width: int = 128
    """Of the space in which films and reports meet."""
    projection: Literal["linear", "mlp"] = "linear"
    """From the film's vector to that space; `mlp` as in ConVIRT."""
    attention: Activation = "sigmoid"
    """How places and sentences read each other."""

    global_weight: float = 1.0
    image_weight: float = 1.0
    text_weight: float = 1.0
    word_weight: float = 0.0
    token_weight: float = 0.0
    global_temperature: float = 0.1
    """What the learnt scale of the global term starts at, as 1 / scale."""
    text_temperature: float = 1.0
    token_temperature: float = 0.1
    word_scale: float = 10.0
    """Scale of GLoRIA's logits of films and reports."""

    clusters: int = 128
    """Centroids of the text term; 0: in-batch negatives alone."""
    cluster_start: float = 0.4
    """Centroids begin once the mean cosine of a batch's sentences and findings is no larger."""
    centroid_rate: float = 0.001
    centroid_update: Literal["mean", "sum"] = "mean"
    hard_weight: float = 3.0
    other_hard: OthersHard = "include"
    margin_weight: float = 0.0001
    margin_near: float = 0.2
    """alpha: how much less than its partner a false negative is at least to be like a sentence."""
    margin_far: float = 0.5
    """beta: how much less at most."""
    margin_masked: bool = True

    def __post_init__(self, **kwargs: Any) -> None:
        super().__post_init__(**kwargs)
        if self.clusters == 1:
            raise ConfigError("one centroid leaves no second nearest.", remedy="Set --model.clusters 2 or more, or 0.")
        if self.text_width % self.text_heads or self.width % self.pool_heads:
            raise ConfigError(
                "a width is no multiple of its heads.", remedy="Change text_width or text_heads, width or pool_heads."
            )
        if not any(self.weights().values()):
            raise ConfigError("no term has a weight.", remedy="Set --model.global_weight 1 or another.")

    def weights(self) -> dict[str, float]:
        """Term -> weight; those of 0 are left out."""
        names = ("global", "image", "text", "word", "token")
        given = {name: float(getattr(self, f"{name}_weight")) for name in names}
        return {name: weight for name, weight in given.items() if weight}


@dataclass(frozen=True)
class SeenFilm:
    """Films through the image side."""

    places: Tensor
    """(b, n, d), each of length 1."""
    vector: Tensor
    """(b, d) of length 1."""


@dataclass(frozen=True)
class ReadReport:
    """Reports through the text side."""

    text: ReportTokens
    words: Tensor
    """(b, t, d), each of length 1."""
    sentences: Tensor
    """(b, s, d): means of their words."""
    vector: Tensor
    """(b, d) of length 1."""

    @property
    def has(self) -> Tensor:
        """(b) bool: films whose report says something."""
        return self.text.spoken.any(dim=1)


@dataclass(frozen=True)
class FilmOutputs:
    """One film of validation."""

    film: np.ndarray
    """(d)."""
    report: np.ndarray
    """(d)."""
    code: int
    """Equal for reports in the same words."""


class Centroids(nn.Module):
    """Clusters of what sentences find on films: K directions, and how many of them there are yet."""

    table: Tensor
    filled: Tensor

    def __init__(self, count: int, width: int) -> None:
        super().__init__()
        self.register_buffer("table", torch.zeros(count, width))
        self.register_buffer("filled", torch.zeros((), dtype=torch.long))

    @property
    def ready(self) -> bool:
        return int(self.filled) == len(self.table)

    @torch.no_grad()
    def follow(self, rows: Tensor, alike: Tensor, config: CmCgnsConfig) -> None:
        """Begin, go on beginning, or move with the rows (n, d) of a step; `alike` are its (n, n) cosines."""
        if self.ready:
            self.table.copy_(moved_centroids(self.table, rows, config.centroid_rate, config.centroid_update))
        elif float(alike.mean()) <= config.cluster_start:
            have = int(self.filled)
            chain = farthest_chain(rows, len(self.table) - have, self.table[have - 1] if have else None)
            self.table[have : have + len(chain)] = chain
            self.filled.fill_(have + len(chain))


class CmCgnsAlign(Method):
    """See the module's docstring."""

    config_class = CmCgnsConfig
    config: CmCgnsConfig
    name: ClassVar[str] = "cm_cgns/align"
    supervision: ClassVar[tuple[str, ...]] = ("reports",)
    unit: ClassVar[Literal["cases", "films"]] = "films"
    needs: ClassVar[tuple[str, ...]] = ("reports",)
    selection: ClassVar[str] = "retrieval.mrr"

    film_encoder: Encoder
    places_read_sentences: ClassVar[bool] = False
    """Whether a later stage asks for what the report says at each place."""

    def __init__(self, config: CmCgnsConfig, tokenizer: PreTrainedTokenizerBase | None = None) -> None:
        if tokenizer is None and config.vocabulary == REPORT_PIECES:
            tokenizer = report_tokenizer()
        super().__init__(config, tokenizer)
        self._build_film_side(config)
        self._build_text_side(config)
        if config.standardise:
            kinds = ("place", "film", "word", "report")
            self.norms = nn.ModuleDict({kind: BatchNorm(config.width) for kind in kinds})
        terms = config.weights()
        sentences = bool({"text", "token"} & terms.keys())
        places = self.places_read_sentences or bool({"image", "token"} & terms.keys())
        if sentences or places:
            self.cross = CrossModalAttention(config.width, config.attention, sentences=sentences, places=places)
        if "image" in terms:
            half = config.width // 2
            self.predictor = nn.Sequential(nn.Linear(config.width, half), nn.ReLU(), nn.Linear(half, config.width))
        if "text" in terms and config.clusters:
            self.centroids = Centroids(config.clusters, config.width)
        if "word" in terms:
            # Only a model that aligns words and places says so (`tasks.image_text.WordsAndPlaces`).
            self.film_parts, self.text_parts = self._film_parts, self._text_parts
        self._build()
        self.post_init()

    def _build(self) -> None:
        """What a later stage adds."""

    def _build_film_side(self, config: CmCgnsConfig) -> None:
        self.film_encoder = config.build_encoder()
        seen, self.stride = shape_of(self.film_encoder)[-1]
        if config.standardise:
            self.film_norm = FirstBatchNorm(seen)
        if self.places_read_sentences or config.weights().keys() - {"global"}:
            self.place_projection = nn.Linear(seen, config.width)
        if "global" in config.weights():
            if config.film_pool == "attention":
                side = getattr(self.film_encoder, "side", None) or config.pixels
                self.film_pool = AttentionPool(seen, config.pool_heads, math.ceil(side / self.stride) ** 2)
            inner = [nn.Linear(seen, seen), nn.ReLU()] if config.projection == "mlp" else []
            self.film_projection = nn.Sequential(*inner, nn.Linear(seen, config.width))
            self.global_scale = nn.Parameter(torch.empty(()))

    def _build_text_side(self, config: CmCgnsConfig) -> None:
        shape = BertConfig(
            vocab_size=config.text_vocabulary or len(self.tokenizer),
            hidden_size=config.text_width,
            num_hidden_layers=config.text_layers,
            num_attention_heads=config.text_heads,
            intermediate_size=config.text_feedforward,
            hidden_dropout_prob=config.dropout,
            attention_probs_dropout_prob=config.dropout,
            initializer_range=initial_spread(config.text_width),
            pad_token_id=0,
        )
        self.text_encoder = BertModel(shape, add_pooling_layer=False)
        self.word_projection = nn.Linear(config.text_width, config.width)
        if config.text_pool == "attention" and "global" in config.weights():
            self.text_pool = AttentionPool(config.width, config.pool_heads)

    def draw_weights(self, init: Any) -> None:
        """See `Method._init_weights`."""
        if hasattr(self, "global_scale"):
            init.constant_(self.global_scale, -math.log(self.config.global_temperature))

    def load_pretrained(self) -> None:
        if self.config.backbone_weights:
            load_encoder(self.film_encoder, self.config.backbone_weights)
        if self.config.text_weights:
            published = BertModel.from_pretrained(self.config.text_weights, add_pooling_layer=False)
            self.text_encoder.load_state_dict(published.state_dict())

    def rate_factors(self) -> dict[str, float]:
        return {"text_encoder.": self.config.text_rate}

    # --- the two sides -----------------------------------------------------------------------------------------

    def directions(self, kind: str, projected: Tensor, counted: Tensor | None = None) -> Tensor:
        """(..., d), (...) which rows are real, None for all -> (..., d) of length 1, standardised before if asked."""
        values = self.norms[kind](projected, counted) if self.config.standardise else projected
        return F.normalize(values, dim=-1)

    def see(self, films: Tensor) -> SeenFilm:
        """(b, 1, h, w) -> places and vectors."""
        features = self.film_encoder(films)
        token = features.token
        tokens = self.film_norm(features.tokens) if self.config.standardise else features.tokens
        if hasattr(self, "place_projection"):
            places = self.directions("place", self.place_projection(tokens))
        else:
            places = F.normalize(tokens, dim=-1)
        if not hasattr(self, "film_projection"):
            return SeenFilm(places, F.normalize(places.mean(1), dim=-1))
        if token is None:
            token = self.film_pool(tokens) if hasattr(self, "film_pool") else tokens.mean(1)
        return SeenFilm(places, self.directions("film", self.film_projection(token)))

    def read(self, reports: Sequence[str]) -> ReadReport:
        """b reports -> words, sentences and vectors."""
        config = self.config
        text = read_reports(self.tokenizer, reports, limit=config.tokens, most=config.sentences, device=self.device)
        order = torch.arange(text.ids.shape[1], device=self.device).expand_as(text.ids)
        hidden = self.text_encoder(
            input_ids=text.ids, attention_mask=text.mask, token_type_ids=torch.zeros_like(text.ids), position_ids=order
        ).last_hidden_state
        words = self.directions("word", self.word_projection(hidden), text.sentence >= 0)
        sentences = sentence_means(words, text.sentence, text.spoken.shape[1])
        if hasattr(self, "text_pool"):
            vector = self.text_pool(sentences, text.spoken)
        else:
            vector = contrastive.masked_mean(sentences, text.spoken)
        return ReadReport(text, words, sentences, self.directions("report", vector, text.spoken.any(dim=1)))

    # --- losses ------------------------------------------------------------------------------------------------

    def forward(self, **batch: Any) -> MethodOutput:
        film, report = self.see(batch["current"]), self.read(batch["report_current"])
        terms = self.terms(film, report, batch)
        return MethodOutput.of(terms, self.config.weights())

    def terms(self, film: SeenFilm, report: ReadReport, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """The unweighted terms that have a weight."""
        return {name: getattr(self, f"_{name}_term")(film, report, batch) for name in self.config.weights()}

    def _global_term(self, film: SeenFilm, report: ReadReport, batch: Mapping[str, Any]) -> Tensor:
        seen, said, codes, has = map(gather_rows, (film.vector, report.vector, report.text.report_codes, report.has))
        logits = contrastive.cosine_logits(seen, said, self.global_scale.clamp(max=WARMEST).exp())
        return contrastive.multi_positive(logits, contrastive.matches(codes), has)

    def _image_term(self, film: SeenFilm, report: ReadReport, batch: Mapping[str, Any]) -> Tensor:
        said = self.cross.places_read(film.places, report.sentences, report.text.spoken)
        has = report.has.float()
        total = average_over_processes(has.sum())
        return mutual_prediction(film.places, said, self.predictor(film.places), self.predictor(said), has, total)

    def _text_term(self, film: SeenFilm, report: ReadReport, batch: Mapping[str, Any]) -> Tensor:
        """Sentences of all films and processes, as rows; `found` is what each finds on its film."""
        found = self.cross.sentences_read(report.sentences, film.places)
        rows = (report.sentences, found, report.text.spoken, report.text.codes)
        told, found, spoken, codes = (gathered_texts(one, self.config.sentences) for one in rows)
        kept = spoken > 0
        return self.text_loss(told[kept], found[kept], codes[kept])

    def text_loss(self, told: Tensor, found: Tensor, codes: Tensor) -> Tensor:
        """Rows (n, d) of sentences and of what they find, (n) what they say -> scalar. Moves centroids in training."""
        config = self.config
        if not len(told):
            return 0 * told.sum()
        alike = cosines(told, found)
        same = codes[:, None] == codes[None, :]
        options: dict[str, Any] = {"temperature": config.text_temperature, "left_out": same}
        if not config.clusters:
            return clustered_contrast(alike, None, **options)
        if self.training:
            self.centroids.follow(found.detach(), alike, config)
        if not self.centroids.ready:
            return clustered_contrast(alike, None, **options)
        table = self.centroids.table.clone()
        hard = cosines(told, second_nearest(told.detach(), table))
        loss = clustered_contrast(alike, hard, weight=config.hard_weight, others=config.other_hard, **options)
        own = nearest(told.detach(), table)
        false = (own[:, None] == own[None, :]).fill_diagonal_(False)
        margin = margin_loss(alike, false, config.margin_near, config.margin_far, config.margin_masked)
        return loss + config.margin_weight * margin

    def _word_term(self, film: SeenFilm, report: ReadReport, batch: Mapping[str, Any]) -> Tensor:
        text = report.text
        words, mask = (gathered_texts(one, self.config.tokens) for one in (report.words, (text.sentence >= 0).long()))
        places, codes, has = map(gather_rows, (film.places, text.report_codes, report.has))
        seen = torch.ones(places.shape[:2], device=places.device)
        logits = word_logits(places, seen, words, mask, self.config.word_scale)
        return contrastive.multi_positive(logits, contrastive.matches(codes), has)

    def _token_term(self, film: SeenFilm, report: ReadReport, batch: Mapping[str, Any]) -> Tensor:
        spoken, temperature = report.text.spoken, self.config.token_temperature
        found = self.cross.sentences_read(report.sentences, film.places)
        said = self.cross.places_read(film.places, report.sentences, spoken)
        everywhere = torch.ones(film.places.shape[:2], device=found.device)
        has = report.has.float()
        both = token_contrast(report.sentences, found, spoken, temperature)
        both = both + token_contrast(film.places, said, everywhere, temperature)
        return 0.5 * (both * has).sum() / average_over_processes(has.sum()).clamp(min=1)

    # --- use and validation ------------------------------------------------------------------------------------

    def film_vectors(self, films: Tensor) -> Tensor:
        """(n, 1, h, w) -> (n, d) of length 1."""
        return self.see(films.to(self.device)).vector

    def text_vectors(self, texts: Sequence[str]) -> Tensor:
        """m reports or sentences -> (m, d) of length 1."""
        return self.read(texts).vector

    def _film_parts(self, films: Tensor) -> tuple[Tensor, Tensor]:
        """(n, 1, h, w) -> (n, d) and (n, p, d)."""
        seen = self.see(films.to(self.device))
        return seen.vector, seen.places

    def _text_parts(self, texts: Sequence[str]) -> tuple[Tensor, Tensor, Tensor]:
        """m texts -> (m, d), (m, t, d), and which of these are words, (m, t)."""
        read = self.read(texts)
        return read.vector, read.words, (read.text.sentence >= 0).long()

    @torch.no_grad()
    def validation_outputs(self, batch: Any) -> list[Any]:
        film, report = self.film_vectors(batch.current), self.read(batch.report_current)
        facts = (film.float().cpu().numpy(), report.vector.float().cpu().numpy(), report.text.report_codes.tolist())
        return [FilmOutputs(*one) for one in zip(*facts, strict=True)]

    def validation_scores(self, outputs: Sequence[Any]) -> dict[str, float]:
        """Retrieval among the films of validation, both directions: `retrieval.mrr`, `retrieval.recall.1`, `.5`."""
        alike = np.stack([one.film for one in outputs]) @ np.stack([one.report for one in outputs]).T
        codes = np.array([one.code for one in outputs])
        same = codes[:, None] == codes[None, :]
        ranks = np.concatenate([first_ranks(alike, same), first_ranks(alike.T, same.T)])
        metrics = {f"retrieval.recall.{top}": float((ranks < top).mean()) for top in (1, 5)}
        return {"retrieval.mrr": float((1 / (1 + ranks)).mean())} | metrics


def gathered_texts(parts: Tensor, length: int) -> Tensor:
    """(b, t, ...) of this process -> rows of all, first padded with zeros to `length`, as processes differ in t."""
    return gather_rows(padded_to(parts, length)) if several_processes() else parts


def first_ranks(alike: np.ndarray, same: np.ndarray) -> np.ndarray:
    """(n, m) similarities, which pairs belong together -> (n): how many wrong ones come before the first right one.

    A wrong one that is exactly as alike comes before: a model that says the same of everything finds nothing.
    """
    best = np.where(same, alike, -np.inf).max(1, keepdims=True)
    return ((alike >= best) & ~same).sum(1)
