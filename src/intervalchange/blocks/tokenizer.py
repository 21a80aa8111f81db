"""Tokenizers: the closed vocabulary of the question and answer templates, or a published one by name.

The template tokenizer is word-level: one token a word (hyphenated words whole) or punctuation mark, lower case but for
the views PA and AP. For text made of its words, decode(encode(text)) == text. It needs no download and is saved beside
the weights as tokenizer.json.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from torch import Tensor
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from intervalchange.errors import ConfigError
from intervalchange.findings import ALIASES, FINDINGS, LEVELS, PRE_LOCATIONS, TYPES
from intervalchange.grammar import NOTHING, QUESTIONS

TEMPLATE = "template"
REPORTS = "reports"

_WORD = r"[A-Za-z0-9]+(?:[-'/][A-Za-z0-9]+)*"
_SPECIAL = ("<pad>", "<bos>", "<eos>", "<unk>")
_ANSWERS = (
    NOTHING,
    "the level of has changed from to and .",
    "the main image has an additional finding of , and than the reference image.",
    "the main image has additional findings of , and than the reference image.",
    "the main image is missing the finding findings of , and than the reference image.",
    "yes no PA AP view left right side area lung upper mid lower zone base apex the and in with no finding none",
    "costophrenic angle hilar hemidiaphragm mediastinum cardiac silhouette spine clavicle rib heart diaphragm stomach",
)

_REPORTS = (
    "since prior study a unchanged new now stable previously present resolved increased decreased worsened improved",
    "its place central venous line endotracheal tube pacemaker leads lungs well expanded size normal",
    "cardiopulmonary process",
)
"""Words of the findings and impressions of simulated reports beyond the templates."""

_POST_LOCATIONS = ("soft", "tissues", "region", "lungs", "bases", "lobes", "hemithorax", "medial", "probably", "also")
"""Words of the released answers beyond the templates: "the lung bases", "the lower and probably also middle lobe"."""


def template_words() -> list[str]:
    """Every word and mark of the templates, findings, aliases, levels, types and locations, sorted."""
    texts: list[str] = [*_ANSWERS, *FINDINGS, *LEVELS, *TYPES, *PRE_LOCATIONS]
    texts += [alias for aliases in ALIASES.values() for alias in aliases]
    texts += [re.sub(r"\{\w+\}", " ", form) for forms in QUESTIONS.values() for form in forms]
    words = {word for text in texts for word in re.findall(rf"{_WORD}|[^\sA-Za-z0-9]", text)}
    views = {"PA", "AP"}
    return sorted(
        {word if word in views else word.lower() for word in words} | {".", ",", "?", ":", ";", "-", "(", ")"}
    )


def template_tokenizer(more: Sequence[str] = ()) -> PreTrainedTokenizerFast:
    """The closed-vocabulary tokenizer. more: words after those of the templates.

    A word that is added later comes last, so that those of an earlier version keep their ids.
    """
    words = dict.fromkeys((*_SPECIAL, *template_words(), *more, *_POST_LOCATIONS))
    vocabulary = {word: index for index, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.Lowercase(),
            normalizers.Replace(Regex(r"\bpa\b"), "PA"),
            normalizers.Replace(Regex(r"\bap\b"), "AP"),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Split(Regex(_WORD), behavior="isolated")]
    )
    tokenizer.decoder = decoders.WordPiece(prefix="##", cleanup=True)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        bos_token="<bos>",
        eos_token="<eos>",
        unk_token="<unk>",
        clean_up_tokenization_spaces=False,
        model_input_names=["input_ids", "attention_mask"],
    )


def load_tokenizer(vocabulary: str) -> PreTrainedTokenizerBase:
    """`template`, `reports` (with words of simulated reports), a folder of `save_pretrained`, or a hub name."""
    if vocabulary in (TEMPLATE, REPORTS):
        return template_tokenizer(" ".join(_REPORTS).split() if vocabulary == REPORTS else ())
    try:
        tokenizer: PreTrainedTokenizerBase = PreTrainedTokenizerFast.from_pretrained(vocabulary)
    except (OSError, ValueError) as error:
        if Path(vocabulary).exists():
            remedy = "The folder holds no tokenizer.json; was it written by `save_pretrained`?"
        else:
            remedy = "Download it once while online, give its folder, or use --model.vocabulary template."
        raise ConfigError(f"the tokenizer {vocabulary!r} cannot be loaded.", remedy=remedy) from error
    for token in ("bos_token", "pad_token"):
        if getattr(tokenizer, token) is None:
            setattr(tokenizer, token, tokenizer.eos_token)
    return tokenizer


@dataclass(frozen=True)
class Tokens:
    """Token ids with their mask; padding is masked, whatever its id."""

    ids: Tensor
    """(b, t) int64."""
    mask: Tensor
    """(b, t) int64: 1 for a token, 0 for padding."""


def encode(
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    *,
    side: str = "right",
    bos: bool = False,
    eos: bool = False,
    limit: int = 0,
    device: torch.device | str = "cpu",
) -> Tokens:
    """Texts -> padded ids. `side` is where the padding goes; `limit` cuts texts to so many tokens, marks included."""
    rows = tokenizer(list(texts), add_special_tokens=False)["input_ids"]
    room = limit - int(bos) - int(eos) if limit else None
    rows = [[tokenizer.bos_token_id] * bos + list(row[:room]) + [tokenizer.eos_token_id] * eos for row in rows]
    return _padded(rows, int(tokenizer.pad_token_id), side, device)


def _padded(rows: Iterable[list[int]], pad: int, side: str, device: torch.device | str) -> Tokens:
    rows = list(rows)
    length = max((len(row) for row in rows), default=0)
    ids = torch.full((len(rows), length), pad, dtype=torch.long)
    mask = torch.zeros((len(rows), length), dtype=torch.long)
    for index, row in enumerate(rows):
        span = slice(0, len(row)) if side == "right" else slice(length - len(row), length)
        ids[index, span] = torch.tensor(row, dtype=torch.long)
        mask[index, span] = 1
    return Tokens(ids.to(device), mask.to(device))


def decode(tokenizer: PreTrainedTokenizerBase, ids: Tensor) -> list[str]:
    """(b, t) ids -> texts, without special tokens and outer spaces."""
    return [text.strip() for text in tokenizer.batch_decode(ids, skip_special_tokens=True)]
