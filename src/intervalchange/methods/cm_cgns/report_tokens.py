"""Reports as tokens that know their sentence, and a tokenizer for reports that needs no download.

b reports, t tokens, s sentences.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from torch import Tensor
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from intervalchange.blocks.tokenizer import template_words
from intervalchange.data.answer_words import text_code
from intervalchange.data.extraction.sentences import sentences

REPORT_PIECES = "report_pieces"
"""Name of the vocabulary of `report_tokenizer`; `reports` (`blocks/tokenizer.py`) has whole words alone."""
_SPECIAL = ("<pad>", "<bos>", "<eos>", "<unk>")
_SIGNS = "abcdefghijklmnopqrstuvwxyz0123456789"
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
"""What reports say beside the findings and places of the grammar."""


@dataclass(frozen=True)
class ReportTokens:
    """Reports of a batch."""

    ids: Tensor
    """(b, t) int64: a start mark, the words of the sentences one after another, an end mark, padding."""
    mask: Tensor
    """(b, t) int64: 1 for marks and words, 0 for padding."""
    sentence: Tensor
    """(b, t) int64: the sentence that a word is of, -1 for marks and padding."""
    spoken: Tensor
    """(b, s) int64: 1 where a sentence has a word that was kept."""
    codes: Tensor
    """(b, s) int64: equal where two sentences are in the same words; -1 where there is none."""
    report_codes: Tensor
    """(b) int64: equal where two reports say the same sentences."""


@lru_cache(maxsize=200_000)
def report_sentences(report: str) -> tuple[str, ...]:
    """What a report says is seen, sentence by sentence, in lower case; a text in which no sentence is found is one."""
    found = sentences(report) or ([" ".join(report.split())] if report.strip() else [])
    return tuple(sentence.lower() for sentence in found)


def read_reports(
    tokenizer: PreTrainedTokenizerBase,
    reports: Sequence[str],
    *,
    limit: int,
    most: int,
    device: torch.device | str = "cpu",
) -> ReportTokens:
    """Reports -> tokens; at most `limit` of them with the marks, and at most `most` sentences of each report."""
    texts = [report_sentences(report)[:most] for report in reports]
    flat = [sentence for one in texts for sentence in one]
    rows = tokenizer(flat, add_special_tokens=False)["input_ids"] if flat else []
    number, count = np.array([len(one) for one in texts], np.int64), len(texts)
    owner = np.repeat(np.arange(count), number)
    order = np.arange(len(flat)) - np.repeat(number.cumsum() - number, number)
    lengths = np.array([len(row) for row in rows], np.int64)
    film, sentence = np.repeat(owner, lengths), np.repeat(order, lengths)
    words = np.bincount(film, minlength=count).astype(np.int64)
    place = 1 + np.arange(len(film)) - (words.cumsum() - words)[film]
    kept = place < limit - 1
    film, sentence, place = film[kept], sentence[kept], place[kept]
    end = 1 + np.minimum(words, limit - 2)

    shape = (count, int(end.max(initial=1)) + 1)
    ids, index = np.full(shape, int(tokenizer.pad_token_id), np.int64), np.full(shape, -1, np.int64)
    ids[:, 0] = _mark(tokenizer, "cls", "bos")
    ids[np.arange(count), end] = _mark(tokenizer, "sep", "eos")
    ids[film, place] = np.fromiter((token for row in rows for token in row), np.int64)[kept]
    index[film, place] = sentence
    spoken = np.zeros((count, max(1, int(number.max(initial=0)))), np.int64)
    codes = np.full(spoken.shape, -1, np.int64)
    spoken[film, sentence] = 1
    codes[owner, order] = [text_code(one) for one in flat]
    mask = (np.arange(shape[1]) <= end[:, None]).astype(np.int64)
    whole = np.array([text_code(" . ".join(one)) for one in texts], np.int64)
    return ReportTokens(*(torch.from_numpy(one).to(device) for one in (ids, mask, index, spoken, codes, whole)))


def _mark(tokenizer: PreTrainedTokenizerBase, first: str, second: str) -> int:
    """The id of a mark: BERT's, or the one that stands for it."""
    found = getattr(tokenizer, f"{first}_token_id")
    return int(getattr(tokenizer, f"{second}_token_id") if found is None else found)


def sentence_means(tokens: Tensor, sentence: Tensor, count: int) -> Tensor:
    """(b, t, d), the sentence of each token (b, t) or -1 -> (b, count, d); zeros for a sentence without any."""
    member = (sentence[:, None, :] == torch.arange(count, device=sentence.device)[None, :, None]).to(tokens.dtype)
    return member @ tokens / member.sum(-1, keepdim=True).clamp(min=1)


def report_tokenizer() -> PreTrainedTokenizerFast:
    """Words of the grammar and of reports; any other word is spelled, so that none is unknown."""
    words = {part for word in template_words() for part in word.lower().replace("-", " ").split()}
    words |= set(_WORDS.split())
    pieces = [*sorted(words | set(_SIGNS)), *(f"##{sign}" for sign in _SIGNS)]
    vocabulary = {piece: number for number, piece in enumerate(dict.fromkeys((*_SPECIAL, *pieces)))}
    return _wrapped(_word_pieces(vocabulary))


def learnt_tokenizer(texts: Sequence[str], size: int) -> PreTrainedTokenizerFast:
    """Word pieces learnt from texts, at most `size`."""
    tokenizer = _word_pieces({})
    trainer = trainers.WordPieceTrainer(vocab_size=size, special_tokens=list(_SPECIAL), show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    return _wrapped(tokenizer)


def _word_pieces(vocabulary: dict[str, int]) -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(prefix="##", cleanup=True)
    return tokenizer


def _wrapped(tokenizer: Tokenizer) -> PreTrainedTokenizerFast:
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
