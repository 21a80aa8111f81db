"""Reports as tokens that know their sentence, and a tokenizer for reports that needs no download.

b reports, t tokens, s sentences.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from torch import Tensor
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from intervalchange.blocks.tokenizer import template_words
from intervalchange.data.answer_words import text_code
from intervalchange.data.extraction.sentences import sentences

Marks = Literal["none", "start", "end"]
"""Which of the tokens around a text counts as a word."""

REPORT_PIECES = "report_pieces"
"""Name of the vocabulary of `report_tokenizer`; `reports` (`blocks/tokenizer.py`) has whole words alone."""
_SPECIAL = ("<pad>", "<bos>", "<eos>", "<unk>")
_CHARACTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
_WORDS = """
new now since prior previous previously study seen unchanged stable similar again increased decreased improved improving
worsened worse worsening resolved persistent interval compared radiograph film size heart normal enlarged top limits
acute cardiopulmonary process lungs lung clear well expanded volumes low central venous line catheter place position tip
endotracheal tube nasogastric enteric pacemaker leads its chest wires sternotomy clips drain present chronic focal
patchy diffuse bilateral bibasilar bases vascular congestion interstitial opacities opacity silhouette contours hilar
mediastinal mediastinum within unremarkable evidence suggesting may represent likely suspicious mass nodule nodules
scarring degenerative changes spine osseous structures bony old healed fractures aorta tortuous calcified
atherosclerotic small large trace subsegmental airspace disease infiltrate which be or are was were has have been this
that on at as for by to an other than more less not without identified there here
"""
"""Words of reports beside the findings and locations of the grammar."""


@dataclass(frozen=True)
class ReportTokens:
    """Reports of a batch."""

    ids: Tensor
    """(b, t) int64: a start token, the words of the sentences one after another, an end token, padding."""
    mask: Tensor
    """(b, t) int64: 0 for padding."""
    sentence: Tensor
    """(b, t) int64: the sentence of each word; -1 for start and end tokens and padding."""
    sentence_mask: Tensor
    """(b, s) int64: 1 where a sentence has a word within the limit of tokens."""
    sentence_codes: Tensor
    """(b, s) int64: equal where two sentences are in the same words; -1 where there is none."""
    report_codes: Tensor
    """(b) int64: equal where two reports have the same sentences."""
    word: Tensor
    """(b, t) int64: the word that each token is a piece of, start and end tokens being words; -1 for padding."""


@lru_cache(maxsize=200_000)
def report_sentences(report: str) -> tuple[str, ...]:
    """The sentences of a report on what is seen, in lower case; a text without any recognised is one sentence."""
    texts = sentences(report) or ([" ".join(report.split())] if report.strip() else [])
    return tuple(text.lower() for text in texts)


def tokenize_reports(
    tokenizer: PreTrainedTokenizerBase,
    reports: Sequence[str],
    *,
    limit: int,
    most: int,
    device: torch.device | str = "cpu",
    uniforms: np.ndarray | None = None,
) -> ReportTokens:
    """Reports -> tokens: at most `limit` per report, start and end among them, of at most `most` sentences.

    uniforms: (b) in [0, 1), to take one sentence of each report, any with the same probability.
    """
    texts = [report_sentences(report)[:most] for report in reports]
    if uniforms is not None:
        texts = [
            text and (text[min(int(u * len(text)), len(text) - 1)],) for text, u in zip(texts, uniforms, strict=True)
        ]
    flat = [sentence for text in texts for sentence in text]
    rows = tokenizer(flat, add_special_tokens=False)["input_ids"] if flat else []
    number, count = np.array([len(text) for text in texts], np.int64), len(texts)
    owner = np.repeat(np.arange(count), number)
    order = np.arange(len(flat)) - np.repeat(number.cumsum() - number, number)
    # One entry per word of all reports: its report, its sentence, its position in the report.
    lengths = np.array([len(row) for row in rows], np.int64)
    report, sentence = np.repeat(owner, lengths), np.repeat(order, lengths)
    words = np.bincount(report, minlength=count).astype(np.int64)
    position = 1 + np.arange(len(report)) - (words.cumsum() - words)[report]
    fits = position < limit - 1
    report, sentence, position = report[fits], sentence[fits], position[fits]
    end = 1 + np.minimum(words, limit - 2)

    shape = (count, int(end.max(initial=1)) + 1)
    ids, index = np.full(shape, int(tokenizer.pad_token_id), np.int64), np.full(shape, -1, np.int64)
    ids[:, 0] = _special_token(tokenizer, "cls", "bos")
    ids[np.arange(count), end] = _special_token(tokenizer, "sep", "eos")
    ids[report, position] = np.fromiter((token for row in rows for token in row), np.int64)[fits]
    index[report, position] = sentence
    sentence_mask = np.zeros((count, max(1, int(number.max(initial=0)))), np.int64)
    codes = np.full(sentence_mask.shape, -1, np.int64)
    sentence_mask[report, sentence] = 1
    codes[owner, order] = [text_code(sentence) for sentence in flat]
    mask = (np.arange(shape[1]) <= end[:, None]).astype(np.int64)
    report_codes = np.array([text_code(" . ".join(text)) for text in texts], np.int64)
    inside = mask > 0
    whole = inside & ~_continuations(tokenizer)[ids]
    word = np.where(inside, whole.cumsum(1) - 1, -1)
    arrays = (ids, mask, index, sentence_mask, codes, report_codes, word)
    return ReportTokens(*(torch.from_numpy(array).to(device) for array in arrays))


@lru_cache(maxsize=8)
def _continuations(tokenizer: PreTrainedTokenizerBase) -> np.ndarray:
    """(tokens of the vocabulary,) bool: pieces that go on with the word before them."""
    pieces = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    return np.array([str(piece).startswith("##") for piece in pieces])


def _special_token(tokenizer: PreTrainedTokenizerBase, bert: str, other: str) -> int:
    """The id of a special token by BERT's name for it or, where that is missing, by the other name."""
    number = getattr(tokenizer, f"{bert}_token_id")
    return int(getattr(tokenizer, f"{other}_token_id") if number is None else number)


def sentence_means(tokens: Tensor, sentence: Tensor, count: int) -> Tensor:
    """(b, t, d), the sentence of each token (b, t) or -1 -> (b, count, d); zeros for a sentence without any."""
    member = (sentence[:, None, :] == torch.arange(count, device=sentence.device)[None, :, None]).to(tokens.dtype)
    return member @ tokens / member.sum(-1, keepdim=True).clamp(min=1)


def merged_pieces(states: Tensor, word: Tensor) -> Tensor:
    """(b, t, ...) states of tokens, the word of each (b, t) or -1 -> (b, w, ...): the sum of each word's pieces."""
    words = int(word.max().clamp(min=0)) + 1
    member = (word[:, None, :] == torch.arange(words, device=word.device)[None, :, None]).to(states.dtype)
    merged = member @ states.reshape(*word.shape, -1)
    return merged.unflatten(-1, states.shape[2:]) if states.ndim > 2 else merged[..., 0]


def report_tokenizer() -> PreTrainedTokenizerFast:
    """Words of the grammar and of reports; any other word is spelled out, so that no word is unknown."""
    words = {part for word in template_words() for part in word.lower().replace("-", " ").split()}
    words |= set(_WORDS.split())
    pieces = [*sorted(words | set(_CHARACTERS)), *(f"##{character}" for character in _CHARACTERS)]
    vocabulary = {piece: number for number, piece in enumerate(dict.fromkeys((*_SPECIAL, *pieces)))}
    return _with_special_tokens(_word_pieces(vocabulary))


def learnt_tokenizer(texts: Sequence[str], size: int) -> PreTrainedTokenizerFast:
    """Word pieces learnt from texts, at most `size`."""
    tokenizer = _word_pieces({})
    trainer = trainers.WordPieceTrainer(vocab_size=size, special_tokens=list(_SPECIAL), show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    return _with_special_tokens(tokenizer)


def _word_pieces(vocabulary: dict[str, int]) -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(prefix="##", cleanup=True)
    return tokenizer


def _with_special_tokens(tokenizer: Tokenizer) -> PreTrainedTokenizerFast:
    pad, bos, eos, unk = _SPECIAL
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=pad,
        bos_token=bos,
        eos_token=eos,
        unk_token=unk,
        clean_up_tokenization_spaces=False,
        model_input_names=["input_ids", "attention_mask"],
    )
