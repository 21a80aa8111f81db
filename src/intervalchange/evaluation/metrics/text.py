"""BLEU-1..4, ROUGE-L and CIDEr-D as pycocoevalcap 1.2 computes them (Papineni 2002, Lin 2004, Vedantam 2015).

They hardly notice an answer whose direction is inverted; `change` does. BLEU is over the corpus with the reference
length; ROUGE-L is the mean F with beta 1.2; CIDEr-D weighs n-grams by how rare they are among the references, by
default those that are scored, so it moves with the subset. METEOR is in `meteor`.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from intervalchange.evaluation.metrics.statistics import Array, Counts, point_estimates, ratio
from intervalchange.evaluation.metrics.tokens import tokenise

ORDER = 4
"""Longest n-gram."""
BETA = 1.2
"""Weight of recall in ROUGE-L."""
SIGMA = 6.0
"""Width of CIDEr-D's length penalty, in bigrams."""

BLOCK = 1 << 14
"""Pairs that are compared at once: bounds memory."""

DENSE = 16
"""Codes of up to so many times their number are counted in a table."""

Indices = NDArray[np.intp]


@dataclass(frozen=True)
class DocumentFrequency:
    """The references among which the rarity of an n-gram is counted: tokenised with how often each occurs, or frozen
    as the number of references that hold each n-gram. One that none of them holds counts as held by one."""

    references: int
    texts: Mapping[str, int] = field(repr=False)
    origin: str = "the scored references"
    """Where they come from, for the table: CIDEr-D is not comparable across origins."""
    frozen: Mapping[str, int] | None = field(default=None, repr=False)
    """N-gram, words joined by blanks -> references that hold it."""
    _last: list[_Corpus] = field(default_factory=list, repr=False, compare=False)
    """The texts compared last: the floors of a file are its own texts, in another order."""

    @classmethod
    def of(cls, references: Sequence[str], origin: str = "the scored references") -> DocumentFrequency:
        """From the texts of references as they are (not tokenised)."""
        return cls(len(references), Counter(map(tokenise, references)), origin)

    def __str__(self) -> str:
        return f"{self.references} references, {self.origin}"

    def counted(self) -> dict[str, int]:
        """Every n-gram with the number of references that hold it; no reference can be read back from it."""
        if self.frozen is not None:
            return dict(self.frozen)
        corpus = self.corpus_with(())
        times = np.array(list(self.texts.values()), float)
        found: dict[str, int] = {}
        for grams in corpus.orders:
            held = np.bincount(grams.gram, weights=times[grams.text], minlength=grams.kinds)
            found |= zip(corpus.spelled(grams), held.astype(int).tolist(), strict=True)
        return found

    def corpus_with(self, texts: Iterable[str]) -> _Corpus:
        """The n-grams of the references, in their order, and of `texts` (tokenised) beside them."""
        known = self._last[0].index if self._last else dict.fromkeys(self.texts)
        new = dict.fromkeys(text for text in texts if text not in known)
        if new or not self._last:
            self._last[:] = [_Corpus.of([*known, *new])]
        return self._last[0]


@dataclass(frozen=True)
class _Grams:
    """Every n-gram of one n of some texts: an entry for each different n-gram of a text, by text then n-gram."""

    n: int
    kinds: int
    """How many different n-grams there are."""
    text: NDArray[np.int32]
    """(entries,) which text."""
    gram: NDArray[np.int32]
    """(entries,) which n-gram."""
    count: NDArray[np.int32]
    """(entries,) how often it occurs there."""
    first: Indices
    """(texts + 1,) where the entries of each text start."""
    seen: Indices
    """(kinds,) a position in the words of all texts where each n-gram starts."""


def _numbered(codes: Indices) -> tuple[Indices, Indices]:
    """(kinds,) where each different code stands and (n,) its number in their order: `np.unique`, without sorting where
    the codes are small numbers."""
    largest = int(codes.max(initial=0))
    if largest > DENSE * len(codes):
        _, seen, number = np.unique(codes, return_index=True, return_inverse=True)
        return seen, number
    position = np.full(largest + 1, -1, np.intp)
    position[codes] = np.arange(len(codes))
    present = np.flatnonzero(position >= 0)
    number = np.zeros(largest + 1, np.intp)
    number[present] = np.arange(len(present))
    return position[present], number[codes]


@dataclass(frozen=True)
class _Corpus:
    """Some texts as numbers."""

    index: Mapping[str, int]
    """text -> its number."""
    sizes: Indices
    """(texts,) number of words."""
    vocabulary: list[str]
    words: Indices
    """The words of all texts, one after another, as indices into the vocabulary."""
    orders: tuple[_Grams, ...]
    """n = 1 .. ORDER."""

    @classmethod
    def of(cls, texts: Sequence[str]) -> _Corpus:
        known: defaultdict[str, int] = defaultdict()
        known.default_factory = known.__len__  # A new word gets the next number.
        split = [[known[word] for word in text.split()] for text in texts]
        sizes = np.fromiter(map(len, split), np.intp, len(split))
        words = np.fromiter(chain.from_iterable(split), np.intp, int(sizes.sum()))
        del split
        owner = np.repeat(np.arange(len(texts)), sizes)
        left = np.repeat(np.cumsum(sizes), sizes) - np.arange(len(words))  # words up to the end of the text
        start, gram = np.arange(len(words)), words
        orders = []
        for n in range(1, ORDER + 1):
            if n > 1:  # An n-gram is the (n-1)-gram at its start and its last word.
                kept = left[start] >= n
                start, gram = start[kept], gram[kept] * len(known) + words[start[kept] + n - 1]
            seen, gram = _numbered(gram)
            kinds = len(seen)
            entry, count = np.unique(owner[start] * max(kinds, 1) + gram, return_counts=True)
            text, held = (part.astype(np.int32) for part in np.divmod(entry, max(kinds, 1)))
            del entry
            first = np.searchsorted(text, np.arange(len(texts) + 1))
            orders.append(_Grams(n, kinds, text, held, count.astype(np.int32), first, start[seen]))
        return cls({text: number for number, text in enumerate(texts)}, sizes, list(known), words, tuple(orders))

    def padded(self, texts: Indices, fill: int) -> Indices:
        """(p,) texts -> (p, k) their words as numbers, `fill` after the last."""
        column = np.arange(self.sizes[texts].max(initial=0))
        position = np.minimum(self.starts[texts][:, None] + column, len(self.words) - 1)
        return np.where(column < self.sizes[texts][:, None], self.words[position], fill)

    @cached_property
    def starts(self) -> Indices:
        """(texts,) where the words of each text start."""
        return np.cumsum(self.sizes) - self.sizes

    def spelled(self, grams: _Grams) -> list[str]:
        """The n-grams as words joined by blanks."""
        words = self.words[grams.seen[:, None] + np.arange(grams.n)].tolist()
        return [" ".join(self.vocabulary[word] for word in gram) for gram in words]

    def weights(self, grams: _Grams, frequency: DocumentFrequency, times: Array) -> Array:
        """tf-idf of every entry; times (texts,) is how often each text is a reference."""
        if frequency.frozen is not None:
            held = np.array([frequency.frozen.get(gram, 0) for gram in self.spelled(grams)], float)
        else:
            held = np.bincount(grams.gram, weights=times[grams.text], minlength=grams.kinds)
        weights: Array = grams.count * (math.log(frequency.references) - np.log(np.maximum(held, 1)))[grams.gram]
        return weights


def common_subsequence(first: Sequence[str], second: Sequence[str]) -> int:
    """Length of the longest common subsequence, a row of the table as the bits of one number (Hyyrö 2004)."""
    positions: dict[str, int] = {}
    for position, word in enumerate(first):
        positions[word] = positions.get(word, 0) | 1 << position
    full = (1 << len(first)) - 1
    row = full
    for word in second:
        shared = row & positions.get(word, 0)
        row = (row + shared | row - shared) & full
    return len(first) - row.bit_count()


def common_subsequences(first: Indices, second: Indices) -> Indices:
    """`common_subsequence` of many pairs at once. first (p, at most 64), second (p, k): words as numbers, filled up
    with -1 and -2 -> (p,)."""
    words = np.pad(first, ((0, 0), (0, 64 - first.shape[1])), constant_values=-1)
    lengths = (words >= 0).sum(1)
    row = full = np.packbits(words >= 0, axis=1, bitorder="little").view("<u8")[:, 0]
    for column in second.T:
        shared = row & np.packbits(words == column[:, None], axis=1, bitorder="little").view("<u8")[:, 0]
        row = (row + shared | row - shared) & full
    common: Indices = lengths - np.bitwise_count(row)
    return common


def _rouge(corpus: _Corpus, predicted: Indices, target: Indices) -> Array:
    """(pairs,) ROUGE-L of pairs of texts. A blank that does not break (as in "1 1/2") parts no words."""
    texts = list(corpus.index)
    sizes = np.array([text.count(" ") + 1 for text in texts], np.intp)
    quick = (sizes == corpus.sizes) & (sizes <= 64)
    common = np.zeros(len(predicted), np.intp)
    rows = np.flatnonzero(quick[predicted] & quick[target])
    for start in range(0, len(rows), BLOCK):
        block = rows[start : start + BLOCK]
        common[block] = common_subsequences(corpus.padded(predicted[block], -1), corpus.padded(target[block], -2))
    for row in np.flatnonzero(~(quick[predicted] & quick[target])):
        common[row] = common_subsequence(texts[predicted[row]].split(" "), texts[target[row]].split(" "))
    precision, recall = common / sizes[predicted], common / sizes[target]
    scale = recall + BETA**2 * precision
    return np.divide((1 + BETA**2) * precision * recall, scale, out=np.zeros(len(common)), where=common > 0)


def tally(hypotheses: Sequence[str], references: Sequence[str], frequency: DocumentFrequency | None = None) -> Counts:
    """Counts per answer; each different pair is worked out once. `measures` turns their sums into metrics."""
    frequency = frequency or DocumentFrequency.of(references)
    texts = [*map(tokenise, hypotheses)], [*map(tokenise, references)]
    corpus = frequency.corpus_with(chain(*texts))
    predicted, target = np.array([[corpus.index[text] for text in side] for side in texts], dtype=np.intp)
    # By reference: its n-grams are then looked up one after another, which is faster.
    pairs, row = np.unique(target * len(corpus.index) + predicted, return_inverse=True)
    target, predicted = np.divmod(pairs, len(corpus.index))
    times = np.zeros(len(corpus.sizes))
    times[: len(frequency.texts)] = list(frequency.texts.values())
    correct, cider = _overlaps(corpus, frequency, times, predicted, target)
    rouge = _rouge(corpus, predicted, target)
    words = corpus.sizes[predicted].astype(float)
    return {
        "text_cases": np.ones(len(row)),
        "text_correct": correct[row],
        "text_guesses": np.maximum(0, words[:, None] - np.arange(ORDER))[row],
        "text_words": words[row],
        "text_reference_words": corpus.sizes[target].astype(float)[row],
        "text_rouge": rouge[row],
        "text_cider": cider[row],
    }


def _overlaps(
    corpus: _Corpus, frequency: DocumentFrequency, times: Array, predicted: Indices, target: Indices
) -> tuple[Array, Array]:
    """Of each pair of texts: clipped n-gram matches (pairs, ORDER) and CIDEr-D (pairs,)."""
    correct, similarity = np.zeros((len(predicted), ORDER)), np.zeros((len(predicted), ORDER))
    for grams in corpus.orders:
        weights = corpus.weights(grams, frequency, times)
        norms = np.sqrt(np.bincount(grams.text, weights**2, minlength=len(corpus.sizes)))
        keys = grams.text.astype(np.intp) * grams.kinds + grams.gram
        for start in range(0, len(predicted), BLOCK):
            block = slice(start, start + BLOCK)
            matches, product = _matches(grams, keys, weights, predicted[block], target[block])
            scale = norms[predicted[block]] * norms[target[block]]
            correct[block, grams.n - 1] = matches
            similarity[block, grams.n - 1] = np.divide(product, scale, out=product, where=scale != 0)
    bigrams = np.maximum(corpus.sizes - 1, 0)
    penalty = np.exp(-((bigrams[predicted] - bigrams[target]) ** 2) / (2 * SIGMA**2))
    return correct, 10 * penalty * similarity.mean(axis=1)


def _matches(grams: _Grams, keys: Indices, weights: Array, predicted: Indices, target: Indices) -> tuple[Array, Array]:
    """(pairs,) clipped matches and CIDEr-D's dot product; keys (entries,) are text and n-gram as one number."""
    pairs = len(predicted)
    if not len(keys):
        return np.zeros(pairs), np.zeros(pairs)
    # Every n-gram of the answer of every pair, looked up among those of its reference.
    sizes = np.diff(grams.first)[predicted]
    pair = np.repeat(np.arange(pairs), sizes)
    entry = np.arange(len(pair)) + np.repeat(grams.first[predicted] - (np.cumsum(sizes) - sizes), sizes)
    wanted = target[pair] * grams.kinds + grams.gram[entry]
    found = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    hit = keys[found] == wanted
    pair, entry, found = pair[hit], entry[hit], found[hit]
    matches = np.bincount(pair, np.minimum(grams.count[entry], grams.count[found]).astype(float), minlength=pairs)
    product = np.bincount(pair, np.minimum(weights[entry], weights[found]) * weights[found], minlength=pairs)
    return matches.astype(float), product.astype(float)


def measures(sums: Counts) -> dict[str, Array]:
    """bleu1 .. bleu4, rouge_l_coco, cider_d from sums of `tally`."""
    precision = (sums["text_correct"] + 1e-15) / (sums["text_guesses"] + 1e-9)
    length = (sums["text_words"] + 1e-15) / (sums["text_reference_words"] + 1e-9)
    brevity = np.where(length < 1, np.exp(1 - 1 / np.maximum(length, 1e-300)), 1.0)
    bleu = np.cumprod(precision, axis=-1) ** (1 / np.arange(1, ORDER + 1))
    found = {f"bleu{n + 1}": bleu[..., n] * brevity for n in range(ORDER)}
    found["rouge_l_coco"] = ratio(sums["text_rouge"], sums["text_cases"])
    found["cider_d"] = ratio(sums["text_cider"], sums["text_cases"])
    return found


def undefined(references: Sequence[str], counts: Counts, frequency: DocumentFrequency) -> dict[str, str]:
    """Metric -> why these references cannot give it, whatever the answers: it has a number all the same, which is that
    of pycocoevalcap and means nothing.

    counts: a `tally` of answers against the references.
    """
    longest = int(np.max(counts["text_reference_words"], initial=0))
    reasons = {f"bleu{n}": f"no reference has {n} words" for n in range(longest + 1, ORDER + 1)}
    # Against itself a reference scores 0 only where none of its n-grams has a weight.
    if not np.any(counts["text_cider"]) and not np.any(tally(references, references, frequency)["text_cider"]):
        reasons["cider_d"] = "every n-gram of the references is in all of them, so that none has a weight"
    return reasons


def text_scores(
    hypotheses: Sequence[str], references: Sequence[str], frequency: DocumentFrequency | None = None
) -> dict[str, float]:
    """All n-gram scores of answers against their references, one reference each."""
    return point_estimates(tally(hypotheses, references, frequency), measures)
