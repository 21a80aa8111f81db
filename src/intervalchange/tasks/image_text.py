"""What a task needs of an encoder trained on films with reports, and how films and texts are encoded with it.

Any model with vectors of films and texts in one space can be used without training: see `zero_shot.py` and
`retrieval.py`. n films, m texts, d width, p patches of a film, t words of a text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.nn import functional as F

from intervalchange.data.batch import collate
from intervalchange.data.dataset import FilmDataset
from intervalchange.losses.contrastive import cosine_logits
from intervalchange.losses.local_alignment import TOKEN_SHARPNESS, Pooling, word_logits

FILMS_AT_ONCE, TEXTS_AT_ONCE, PAIRED_AT_ONCE = 32, 64, 16


@runtime_checkable
class ImageText(Protocol):
    """Films and texts in one space."""

    def film_vectors(self, films: Tensor) -> Tensor:
        """(n, 1, h, w) standardised films -> (n, d), L2-normalised."""

    def text_vectors(self, texts: list[str]) -> Tensor:
        """m texts, reports or sentences -> (m, d), L2-normalised."""


@runtime_checkable
class WordsAndPatches(Protocol):
    """Also the parts of both, where a model aligns them (GLoRIA)."""

    def film_parts(self, films: Tensor) -> tuple[Tensor, Tensor]:
        """(n, 1, h, w) -> vectors (n, d) and tokens (n, p, d), in one pass."""

    def text_parts(self, texts: list[str]) -> tuple[Tensor, Tensor, Tensor]:
        """m texts -> vectors (m, d), tokens (m, t, d) and which of them are words, (m, t), in one pass."""


@dataclass(frozen=True)
class EncodedFilms:
    """Films encoded by an image-text model."""

    vectors: Tensor
    """(n, d)."""
    tokens: Tensor | None
    """(n, p, d)."""


@dataclass(frozen=True)
class EncodedTexts:
    """Texts encoded by an image-text model."""

    vectors: Tensor
    """(m, d)."""
    tokens: Tensor | None
    """(m, t, d)."""
    mask: Tensor | None
    """(m, t)."""


@torch.no_grad()
def encode_films(model: Any, data: FilmDataset, rows: Sequence[int], local: bool = False) -> EncodedFilms:
    """Films of a data set, a batch at a time. `local`: also their tokens."""
    vectors, tokens = [], []
    for start in range(0, len(rows), FILMS_AT_ONCE):
        films = collate([data[row] for row in rows[start : start + FILMS_AT_ONCE]]).current.to(model.device)
        vector, *parts = model.film_parts(films) if local else (model.film_vectors(films),)
        vectors.append(vector.float().cpu())
        tokens += [part.float().cpu() for part in parts]
    return EncodedFilms(torch.cat(vectors), torch.cat(tokens) if local else None)


@torch.no_grad()
def encode_texts(model: Any, texts: Sequence[str], local: bool = False) -> EncodedTexts:
    """Texts, each distinct one once, a batch at a time. `local`: also their tokens."""
    distinct = list(dict.fromkeys(texts))
    row_of = {text: row for row, text in enumerate(distinct)}
    rows = torch.tensor([row_of[text] for text in texts])
    parts = [distinct[start : start + TEXTS_AT_ONCE] for start in range(0, len(distinct), TEXTS_AT_ONCE)]
    if not local:
        return EncodedTexts(torch.cat([model.text_vectors(part).float().cpu() for part in parts])[rows], None, None)
    encoded = [tuple(tensor.float().cpu() for tensor in model.text_parts(part)) for part in parts]
    longest = max(mask.shape[1] for _, _, mask in encoded)
    vectors = torch.cat([vector for vector, _, _ in encoded])
    tokens = torch.cat([F.pad(own, (0, 0, 0, longest - own.shape[1])) for _, own, _ in encoded])
    masks = torch.cat([F.pad(mask, (0, longest - mask.shape[1])) for _, _, mask in encoded])
    return EncodedTexts(vectors[rows], tokens[rows], masks[rows])


Form = Literal["ours", "published"]
"""How similarities are made and pooled: ours, or as in GLoRIA, whose choices MGCA takes over."""


@dataclass(frozen=True)
class LocalForm:
    """How the parts of a film and of a text are compared (`losses.local_alignment.word_logits`)."""

    pooling: Pooling = "mean"
    scale: float = 1.0
    normalise: bool = True
    """Parts have length 1 in the attention, as the model was trained."""
    skip_start: bool = False
    """The start token is no word, though it was one in training (GLoRIA)."""

    @classmethod
    def of(cls, model: Any, form: Form = "ours", retrieval: bool = False) -> LocalForm:
        """That of a model. Published: five times the cosine of the best word; in retrieval, the sum over the words."""
        normalise = bool(getattr(model.config, "unit_parts", True))
        if form == "ours":
            return cls(normalise=normalise)
        if retrieval:
            return cls("sum", 1.0, normalise)
        return cls("max", TOKEN_SHARPNESS, normalise, skip_start=getattr(model.config, "marks", "none") == "start")


def similarity(
    films: EncodedFilms, texts: EncodedTexts, local: LocalForm | None = None, standardise: bool = False
) -> Tensor:
    """(n, m): cosine of each film with each text; where both have tokens, the mean of it and of their local
    similarity, as GLoRIA adds the two. The row of a film does not depend on other films. standardise: each of the two
    first to mean 0 and deviation 1 over the texts of a film, as GLoRIA's retrieval does."""
    cosine = cosine_logits(films.vectors, texts.vectors, torch.ones(()))
    if films.tokens is None or texts.tokens is None or texts.mask is None:
        return _over_texts(cosine) if standardise else cosine
    form = local or LocalForm()
    columns = list(zip(texts.tokens.split(PAIRED_AT_ONCE), texts.mask.split(PAIRED_AT_ONCE), strict=True))
    parts = torch.cat(
        [
            torch.cat([_local(part, *words, form) for words in columns], dim=1)
            for part in films.tokens.split(PAIRED_AT_ONCE)
        ]
    )
    return 0.5 * (_over_texts(cosine) + _over_texts(parts)) if standardise else 0.5 * (cosine + parts)


def _local(tokens: Tensor, words: Tensor, mask: Tensor, form: LocalForm) -> Tensor:
    every = tokens.new_ones(tokens.shape[:2])
    if form.skip_start:
        mask = torch.cat([torch.zeros_like(mask[:, :1]), mask[:, 1:]], dim=1)
    return word_logits(tokens, every, words, mask, form.scale, normalise=form.normalise, aggregation=form.pooling)


def _over_texts(scores: Tensor) -> Tensor:
    """(n, m): each row to mean 0 and deviation 1; a row without any spread is only centred."""
    spread = scores.std(1, correction=0, keepdim=True)
    return (scores - scores.mean(1, keepdim=True)) / torch.where(spread > 0, spread, torch.ones_like(spread))
