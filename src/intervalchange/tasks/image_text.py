"""An encoder that has seen films with their reports: what a task needs of it, and how films and texts are put into it.

Any model that gives films and texts vectors in one space can be asked without training: see `zero_shot.py` and
`retrieval.py`. n films, m texts, d width, p places of a film, t words of a text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.nn import functional as F

from intervalchange.data.batch import collate
from intervalchange.data.dataset import FilmDataset
from intervalchange.losses.contrastive import cosine_logits
from intervalchange.losses.local_alignment import word_logits

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
        """(n, 1, h, w) -> vectors (n, d) and tokens (n, p, d), from one look."""

    def text_parts(self, texts: list[str]) -> tuple[Tensor, Tensor, Tensor]:
        """m texts -> vectors (m, d), tokens (m, t, d) and which of them are words, (m, t), from one reading."""


@dataclass(frozen=True)
class SeenFilms:
    """Some films through an image-text model."""

    vectors: Tensor
    """(n, d)."""
    tokens: Tensor | None
    """(n, p, d)."""


@dataclass(frozen=True)
class ReadTexts:
    """Some texts through it."""

    vectors: Tensor
    """(m, d)."""
    tokens: Tensor | None
    """(m, t, d)."""
    mask: Tensor | None
    """(m, t)."""


@torch.no_grad()
def see(model: Any, data: FilmDataset, rows: Sequence[int], local: bool = False) -> SeenFilms:
    """Films of a data set, a batch at a time. `local`: also their tokens."""
    vectors, tokens = [], []
    for start in range(0, len(rows), FILMS_AT_ONCE):
        films = collate([data[row] for row in rows[start : start + FILMS_AT_ONCE]]).current.to(model.device)
        vector, *parts = model.film_parts(films) if local else (model.film_vectors(films),)
        vectors.append(vector.float().cpu())
        tokens += [part.float().cpu() for part in parts]
    return SeenFilms(torch.cat(vectors), torch.cat(tokens) if local else None)


@torch.no_grad()
def read(model: Any, texts: Sequence[str], local: bool = False) -> ReadTexts:
    """Texts, each distinct one once, a batch at a time. `local`: also their tokens."""
    once = list(dict.fromkeys(texts))
    place = {text: number for number, text in enumerate(once)}
    rows = torch.tensor([place[text] for text in texts])
    parts = [once[start : start + TEXTS_AT_ONCE] for start in range(0, len(once), TEXTS_AT_ONCE)]
    if not local:
        return ReadTexts(torch.cat([model.text_vectors(part).float().cpu() for part in parts])[rows], None, None)
    told = [tuple(one.float().cpu() for one in model.text_parts(part)) for part in parts]
    longest = max(mask.shape[1] for _, _, mask in told)
    vectors = torch.cat([vector for vector, _, _ in told])
    tokens = torch.cat([F.pad(own, (0, 0, 0, longest - own.shape[1])) for _, own, _ in told])
    masks = torch.cat([F.pad(mask, (0, longest - mask.shape[1])) for _, _, mask in told])
    return ReadTexts(vectors[rows], tokens[rows], masks[rows])


def similarity(seen: SeenFilms, told: ReadTexts) -> Tensor:
    """(n, m): cosine of each film with each text; where both have tokens, the mean of it and of their local
    similarity (`losses.local_alignment.word_logits`), as GLoRIA adds the two. A film's row depends on no other
    film."""
    alike = cosine_logits(seen.vectors, told.vectors, torch.ones(()))
    if seen.tokens is None or told.tokens is None or told.mask is None:
        return alike
    texts = list(zip(told.tokens.split(PAIRED_AT_ONCE), told.mask.split(PAIRED_AT_ONCE), strict=True))
    local = [
        torch.cat([word_logits(part, part.new_ones(part.shape[:2]), *text) for text in texts], dim=1)
        for part in seen.tokens.split(PAIRED_AT_ONCE)
    ]
    return 0.5 * (alike + torch.cat(local))
