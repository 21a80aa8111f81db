"""CM-CGNS, first stage: films and reports are aligned, with negatives chosen by clusters of sentences.

Cross-modal clustering-guided negative sampling (https://arxiv.org/abs/2506.11674). The published code has no licence
and does not run; this is written from facts about it, and nothing is copied. One film at a time: the `current` side of
a batch, with its report.

An image encoder gives patches and one vector of a film; a text encoder gives words, their means by sentence and one
vector of a report. Patches and sentences attend to each other. The loss is a sum of terms, each with a weight; 0 leaves
a term out, with the parts that only it needs:

    global   a film against the reports of all films of all processes, and back
    image    the patches of a film against the report as each attends to it (SimSiam)
    text     each sentence against the film as it attends to it, with the second nearest centroid as a hard negative
    word     GLoRIA's words against patches, every film with every report
    token    MGCA's token-wise contrast within a film and its report, of words or sentences and of patches
    prototype  MGCA's: a film and its report predict each other's assignment to prototypes

CM-CGNS is the first three; ConVIRT, GLoRIA and MGCA are presets of the same stage (`options.py`). The second stage,
`cm_cgns/reconstruct`, adds the fourth term of CM-CGNS.

Differs: tokens of a ResNet are its patches, row by row (published: a view that mixes channels and patches).
Differs: all films and sentences at once, under masks (published: a loop over the films).
Differs: sentences are gathered over processes and centroids are buffers: the same on all, saved, resumed, unchanged by
    evaluation (published: each process its own, a flag that is not saved, moved by validation too).
Differs: centroids start from the first batch and are completed by the next ones (published: a batch that is too small
    fails).
Differs: a centroid moves towards the mean of its members and stays at length 1 (`centroid_update: sum` as published).
Differs: each row has every hard negative, its own counted three times (`other_hard: zero` as published: constants).
Differs: the margin loss is a mean over false negatives (`margin_masked: false` as published: over all pairs).
Differs: the batch that completes the centroids already has hard negatives.
Differs: the same sentence, or report, of another film is not a negative.
Differs: the global scale stops at 100. Sentences: `data/extraction/sentences.py`; at most `sentences` per report.
Differs: selected by retrieval among the validation films (published: by a loss, on films of MIMIC's test split too).
Differs: AdamW; films augmented as in data/transforms.py. Also in the relatives; their other differences: on the page.
Differs: what is projected into the common space is standardised over the batch of all processes before it is brought
    to length 1 (`standardise: false` as published, and in `paper`): with random weights all reports have almost the
    same vector, and a contrast then draws films and reports together before it separates any.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import BertConfig, BertModel, PreTrainedTokenizerBase

from intervalchange.blocks.decoders import initial_spread
from intervalchange.blocks.encoder_weights import check_greys, load_encoder
from intervalchange.blocks.encoders import Encoder, Features, HubEncoder, levels_of, shape_of
from intervalchange.blocks.gathering import gather_rows, padded_to, several_processes
from intervalchange.blocks.processes import average_over_processes
from intervalchange.data.answer_words import case_uniforms
from intervalchange.losses import contrastive
from intervalchange.losses.clustering import clustered_contrast, cosines, margin_loss, nearest, second_nearest
from intervalchange.losses.local_alignment import (
    mutual_prediction,
    robust_weights,
    token_contrast,
    weighted_alignment,
    word_logits,
)
from intervalchange.losses.prototypes import prototype_prediction
from intervalchange.methods.base.method import Method, MethodOutput
from intervalchange.methods.cm_cgns.centroids import Centroids
from intervalchange.methods.cm_cgns.cross_modal import CrossModalAttention
from intervalchange.methods.cm_cgns.film_side import FilmEncoding, FilmHead
from intervalchange.methods.cm_cgns.options import CmCgnsConfig
from intervalchange.methods.cm_cgns.prototypes import Prototypes
from intervalchange.methods.cm_cgns.report_side import VECTOR_TERMS, ReportEncoder, ReportEncoding
from intervalchange.methods.cm_cgns.report_tokens import REPORT_PIECES, report_tokenizer, tokenize_reports
from intervalchange.methods.cm_cgns.validation import retrieval_outputs, retrieval_scores

HIGHEST_LOG_SCALE = math.log(100.0)
SEED_OF_SENTENCES = "sentence of a report"


class CmCgnsAlign(Method):
    """See the module's docstring."""

    config_class = CmCgnsConfig
    config: CmCgnsConfig
    name: ClassVar[str] = "cm_cgns/align"
    supervision: ClassVar[tuple[str, ...]] = ("reports",)
    unit: ClassVar[Literal["cases", "films"]] = "films"
    needs: ClassVar[tuple[str, ...]] = ("reports",)
    selection: ClassVar[str] = "retrieval.mrr"
    renamed_weights: ClassVar[Mapping[str, str]] = MappingProxyType(
        {
            r"^film_norm\.": "film_head.norm.",
            r"^place_projection\.": "film_head.patch_projection.",
            r"^film_pool\.": "film_head.pool.",
            r"^film_projection\.": "film_head.projection.",
            r"^norms\.place\.": "film_head.unit_patches.norm.",
            r"^norms\.film\.": "film_head.unit_vector.norm.",
            r"^text_encoder\.": "report_encoder.network.",
            r"^word_projection\.": "report_encoder.projection.",
            r"^text_pool\.": "report_encoder.pool.",
            r"^norms\.word\.": "report_encoder.unit_words.norm.",
            r"^norms\.report\.": "report_encoder.unit_vector.norm.",
            r"^cross\.place_": "cross.patch_",
        }
    )

    film_encoder: Encoder
    always_attend_to_sentences: ClassVar[bool] = False
    """Whether a later stage needs the report as each patch attends to it, whatever the terms."""

    def __init__(self, config: CmCgnsConfig, tokenizer: PreTrainedTokenizerBase | None = None) -> None:
        if tokenizer is None and config.vocabulary == REPORT_PIECES:
            tokenizer = report_tokenizer()
        super().__init__(config, tokenizer)
        terms = config.weights()
        self._step, self._epoch = 0, 0.0
        self.film_encoder = config.build_encoder()
        self._build_heads(config)
        if "global" in terms and config.global_learnt:
            self.global_scale = nn.Parameter(torch.empty(()))
        weighted = "token" in terms and config.token_form == "weighted"
        if weighted and isinstance(self.film_encoder, HubEncoder):
            self.film_encoder.return_attention()
        crossed = terms.keys() - ({"token"} if weighted else set())
        sentences = bool({"text", "token"} & crossed)
        patches = self.always_attend_to_sentences or bool({"image", "token"} & crossed)
        if sentences or patches:
            self.cross = CrossModalAttention(config.width, config.attention, sentences=sentences, patches=patches)
        if "image" in terms:
            half = config.width // 2
            self.predictor = nn.Sequential(nn.Linear(config.width, half), nn.ReLU(), nn.Linear(half, config.width))
        self.centroids: Centroids | None = None
        if "text" in terms and config.clusters:
            self.centroids = Centroids(
                config.clusters,
                config.width,
                start=config.cluster_start,
                rate=config.centroid_rate,
                how=config.centroid_update,
            )
        if "prototype" in terms:
            self.prototypes = Prototypes(config.prototypes, config.width)
        if "word" in terms:
            # Only a model that aligns words and patches has these (`tasks.image_text.WordsAndPatches`).
            self.film_parts, self.text_parts = self._film_parts, self._text_parts
        self._build()
        self.post_init()

    def _build(self) -> None:
        """What a later stage adds."""

    def _build_heads(self, config: CmCgnsConfig) -> None:
        """Both sides after the image encoder."""
        terms, shape = config.weights(), shape_of(self.film_encoder)
        channels, stride = shape[-1]
        patch_width, self.stride = shape[-config.patch_level]
        side = config.enlarge or getattr(self.film_encoder, "side", None) or config.pixels
        has_vector = bool(terms.keys() & VECTOR_TERMS)
        has_parts = self.always_attend_to_sentences or bool(terms.keys() - VECTOR_TERMS)
        self.film_head = FilmHead(
            channels,
            config.width,
            standardise=config.standardise,
            patches=config.patch_projection if has_parts else None,
            projection=config.projection if has_vector else None,
            pool_heads=config.pool_heads if has_vector and config.film_pool == "attention" else 0,
            tokens=math.ceil(side / stride) ** 2,
            patch_width=patch_width if config.patch_level > 1 else 0,
            hidden=config.projection_width,
            unit_parts=config.unit_parts,
        )
        bert = BertConfig(
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
        self.report_encoder = ReportEncoder(bert, config)

    def draw_weights(self, init: Any) -> None:
        """See `Method._init_weights`."""
        if hasattr(self, "global_scale"):
            init.constant_(self.global_scale, -math.log(self.config.global_temperature))

    def load_pretrained(self) -> None:
        if self.config.backbone_weights:
            check_greys(self.config.backbone_weights, self.config.greys)
            load_encoder(self.film_encoder, self.config.backbone_weights)
        if self.config.text_weights:
            published = BertModel.from_pretrained(self.config.text_weights, add_pooling_layer=False)
            self.report_encoder.network.load_state_dict(published.state_dict())

    def map_pretrained(self, tensors: Mapping[str, Tensor], run: Path) -> Mapping[str, Tensor]:
        check_greys(run, self.config.greys)
        return tensors

    def rate_factors(self) -> dict[str, float]:
        return {"report_encoder.network.": self.config.text_rate}

    def progress(self, step: int, steps: int, epoch: float) -> None:
        self._step, self._epoch = step, epoch

    # --- encoding ----------------------------------------------------------------------------------------------

    def encode_films(self, films: Tensor) -> FilmEncoding:
        """(b, 1, h, w) -> patches and vectors."""
        config = self.config
        if config.enlarge:
            films = F.interpolate(films, size=(config.enlarge, config.enlarge), mode="bilinear", align_corners=True)
        local = None
        if config.patch_level > 1:
            maps = levels_of(self.film_encoder, films)
            features, local = Features(maps[-1]), Features(maps[-config.patch_level]).tokens
        else:
            features = self.film_encoder(films)
        encoding: FilmEncoding = self.film_head(features.tokens, features.token, local)
        return replace(encoding, attention=features.attention)

    def encode_reports(self, reports: Sequence[str], uniforms: np.ndarray | None = None) -> ReportEncoding:
        """b reports -> words, sentences and vectors; of one sentence each, where uniforms (b) choose it."""
        limits = {"limit": self.config.tokens, "most": self.config.sentences}
        encoding: ReportEncoding = self.report_encoder(
            tokenize_reports(self.tokenizer, reports, **limits, device=self.device, uniforms=uniforms)
        )
        return encoding

    def _reports_of(self, batch: Mapping[str, Any]) -> ReportEncoding:
        """The reports of a batch in training: whole, or a sentence that depends on film and step alone."""
        uniforms = None
        if self.config.text_part == "sentence" and self.training:
            uniforms = case_uniforms(batch["case_id"], self._step, SEED_OF_SENTENCES, 1)[:, 0]
        return self.encode_reports(batch["report_current"], uniforms)

    # --- losses ------------------------------------------------------------------------------------------------

    def forward(self, **batch: Any) -> MethodOutput:
        film, report = self.encode_films(batch["current"]), self._reports_of(batch)
        terms = self.terms(film, report, batch)
        return MethodOutput.of(terms, self.config.weights())

    def terms(self, film: FilmEncoding, report: ReportEncoding, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """The unweighted terms that have a weight."""
        return {name: getattr(self, f"_{name}_term")(film, report, batch) for name in self.config.weights()}

    def _global_term(self, film: FilmEncoding, report: ReportEncoding, batch: Mapping[str, Any]) -> Tensor:
        sides = (film.vector, report.vector, report.tokens.report_codes, report.has_text)
        films, reports, codes, has_text = map(gather_rows, sides)
        scale = films.new_tensor(1 / self.config.global_temperature)
        if self.config.global_learnt:
            scale = self.global_scale.clamp(max=HIGHEST_LOG_SCALE).exp()
        logits = contrastive.cosine_logits(films, reports, scale)
        return contrastive.multi_positive(logits, contrastive.matches(codes), has_text, self.config.global_share)

    def _image_term(self, film: FilmEncoding, report: ReportEncoding, batch: Mapping[str, Any]) -> Tensor:
        attended = self.cross.attend_to_sentences(film.patches, report.sentences, report.tokens.sentence_mask)
        counted = report.has_text.float()
        predicted = self.predictor(film.patches), self.predictor(attended)
        return mutual_prediction(film.patches, attended, *predicted, counted, average_over_processes(counted.sum()))

    def _text_term(self, film: FilmEncoding, report: ReportEncoding, batch: Mapping[str, Any]) -> Tensor:
        """The sentences of all films and processes as rows."""
        attended = self.cross.attend_to_patches(report.sentences, film.patches)
        columns = (report.sentences, attended, report.tokens.sentence_mask, report.tokens.sentence_codes)
        sentences, attended, mask, codes = (gathered_texts(column, self.config.sentences) for column in columns)
        real = mask > 0
        return self.text_loss(sentences[real], attended[real], codes[real])

    def text_loss(self, sentences: Tensor, attended: Tensor, codes: Tensor) -> Tensor:
        """The contrast of sentences with what they attend to on their films: scalar. Training moves the centroids.

        sentences, attended: (n, d), row by row the same pair. codes: (n), equal for sentences in the same words.
        """
        config = self.config
        if not len(sentences):
            return 0 * sentences.sum()
        similarity = cosines(sentences, attended)
        same_words = codes[:, None] == codes[None, :]
        contrast = partial(clustered_contrast, similarity, temperature=config.text_temperature, left_out=same_words)
        if self.centroids is not None and self.training:
            self.centroids.update(attended.detach(), similarity)
        if self.centroids is None or not self.centroids.complete:
            return contrast(None)
        table = self.centroids.table.clone()
        hard_negatives = cosines(sentences, second_nearest(sentences.detach(), table))
        loss = contrast(hard_negatives, weight=config.hard_weight, others=config.other_hard)
        cluster = nearest(sentences.detach(), table)
        false_negatives = (cluster[:, None] == cluster[None, :]).fill_diagonal_(False)
        margin = margin_loss(similarity, false_negatives, config.margin_near, config.margin_far, config.margin_masked)
        return loss + config.margin_weight * margin

    def _word_term(self, film: FilmEncoding, report: ReportEncoding, batch: Mapping[str, Any]) -> Tensor:
        words, is_word = (gathered_texts(part, self.config.tokens) for part in (report.words, report.is_word))
        patches, codes, has_text = map(gather_rows, (film.patches, report.tokens.report_codes, report.has_text))
        return contrastive.multi_positive(
            self.word_similarity(patches, words, is_word), contrastive.matches(codes), has_text
        )

    def word_similarity(self, patches: Tensor, words: Tensor, is_word: Tensor) -> Tensor:
        """GLoRIA's logits (b, c): patches (b, n, d), words (c, l, d), masked by (c, l), as the word term has them."""
        config, every = self.config, torch.ones(patches.shape[:2], device=patches.device)
        return word_logits(
            patches,
            every,
            words,
            is_word,
            config.word_scale,
            normalise=config.unit_parts,
            aggregation=config.word_pool,
        )

    def _token_term(self, film: FilmEncoding, report: ReportEncoding, batch: Mapping[str, Any]) -> Tensor:
        mask, temperature = report.tokens.sentence_mask, self.config.token_temperature
        if self.config.token_form == "weighted":
            return self._weighted_token_term(film, report)
        of_sentences = self.cross.attend_to_patches(report.sentences, film.patches)
        of_patches = self.cross.attend_to_sentences(film.patches, report.sentences, mask)
        all_patches = torch.ones(film.patches.shape[:2], device=mask.device)
        both = token_contrast(report.sentences, of_sentences, mask, temperature)
        both = both + token_contrast(film.patches, of_patches, all_patches, temperature)
        counted = report.has_text.float()
        return 0.5 * (both * counted).sum() / average_over_processes(counted.sum()).clamp(min=1)

    def _weighted_token_term(self, film: FilmEncoding, report: ReportEncoding) -> Tensor:
        """MGCA's token-level alignment: the losses of words and of patches, added. The start token is no word."""
        assert report.attention is not None  # The text encoder returns it for this term.
        words, is_word = report.words[:, 1:], report.is_word[:, 1:]
        of_words = robust_weights(report.attention[:, 1:], is_word > 0)
        everywhere = torch.ones(film.patches.shape[:2], dtype=torch.bool, device=film.patches.device)
        of_patches = robust_weights(everywhere.float() if film.attention is None else film.attention, everywhere)
        losses = weighted_alignment(
            film.patches,
            words,
            is_word,
            of_patches,
            of_words,
            self.config.token_temperature,
            unit_readings=film.attention is None,
        )
        counted = report.has_text.float()
        return (losses * counted).sum() / average_over_processes(counted.sum()).clamp(min=1)

    def _prototype_term(self, film: FilmEncoding, report: ReportEncoding, batch: Mapping[str, Any]) -> Tensor:
        films, reports, has_text = map(gather_rows, (film.vector, report.vector, report.has_text))
        config, trained = self.config, self._epoch >= self.config.prototype_wait
        if self.training:
            self.prototypes.to_unit_length()
        return prototype_prediction(
            self.prototypes(films[has_text], trained),
            self.prototypes(reports[has_text], trained),
            temperature=config.prototype_temperature,
            epsilon=config.prototype_epsilon,
        )

    # --- use and validation ------------------------------------------------------------------------------------

    def film_vectors(self, films: Tensor) -> Tensor:
        """(n, 1, h, w) -> (n, d) of length 1."""
        return self.encode_films(films.to(self.device)).vector

    def text_vectors(self, texts: Sequence[str]) -> Tensor:
        """m reports or sentences -> (m, d) of length 1."""
        return self.encode_reports(texts).vector

    def _film_parts(self, films: Tensor) -> tuple[Tensor, Tensor]:
        """(n, 1, h, w) -> (n, d) and (n, p, d)."""
        encoding = self.encode_films(films.to(self.device))
        return encoding.vector, encoding.patches

    def _text_parts(self, texts: Sequence[str]) -> tuple[Tensor, Tensor, Tensor]:
        """m texts -> (m, d), (m, t, d), and which of these are words, (m, t)."""
        encoding = self.encode_reports(texts)
        return encoding.vector, encoding.words, encoding.is_word

    @torch.no_grad()
    def validation_outputs(self, batch: Any) -> list[Any]:
        film, report = self.encode_films(batch.current.to(self.device)), self.encode_reports(batch.report_current)
        return retrieval_outputs(film, report)

    def validation_scores(self, outputs: Sequence[Any]) -> dict[str, float]:
        return retrieval_scores(outputs)


def gathered_texts(parts: Tensor, length: int) -> Tensor:
    """(b, t, ...) of this process -> rows of all, first padded with zeros to `length`, as processes differ in t."""
    return gather_rows(padded_to(parts, length)) if several_processes() else parts
