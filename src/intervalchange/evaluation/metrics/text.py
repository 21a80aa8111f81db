"""BLEU-1..4, ROUGE-L and CIDEr-D as pycocoevalcap 1.2 computes them (Papineni 2002, Lin 2004, Vedantam 2015).

They hardly notice an answer whose direction is inverted; `change` does. BLEU is over the corpus with the reference
length; ROUGE-L is the mean F with beta 1.2; CIDEr-D weighs n-grams by how rare they are among the references, by
default those that are scored, so it moves with the subset. METEOR 1.5 needs Java and pycocoevalcap.
"""

from __future__ import annotations

import math
import shutil
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import IO, cast

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

Places = NDArray[np.intp]


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
        corpus = _Corpus.of(list(self.texts))
        times = np.array(list(self.texts.values()), float)
        found: dict[str, int] = {}
        for grams in corpus.orders:
            held = np.bincount(grams.gram, weights=times[grams.text], minlength=grams.kinds)
            found |= zip(corpus.spelled(grams), held.astype(int).tolist(), strict=True)
        return found


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
    first: Places
    """(texts + 1,) where the entries of each text start."""
    seen: Places
    """(kinds,) a place in the words of all texts where each n-gram starts."""


@dataclass(frozen=True)
class _Corpus:
    """Some texts as numbers."""

    sizes: Places
    """(texts,) number of words."""
    vocabulary: list[str]
    words: Places
    """The words of all texts, one after another, as places in the vocabulary."""
    orders: tuple[_Grams, ...]
    """n = 1 .. ORDER."""

    @classmethod
    def of(cls, texts: Sequence[str]) -> _Corpus:
        known: dict[str, int] = {}
        split = [[known.setdefault(word, len(known)) for word in text.split()] for text in texts]
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
            _, seen, gram = np.unique(gram, return_index=True, return_inverse=True)
            kinds = len(seen)
            entry, count = np.unique(owner[start] * max(kinds, 1) + gram, return_counts=True)
            text, held = (part.astype(np.int32) for part in np.divmod(entry, max(kinds, 1)))
            del entry
            first = np.searchsorted(text, np.arange(len(texts) + 1))
            orders.append(_Grams(n, kinds, text, held, count.astype(np.int32), first, start[seen]))
        return cls(sizes, list(known), words, tuple(orders))

    def spelled(self, grams: _Grams) -> list[str]:
        """The n-grams as words joined by blanks."""
        words = self.words[grams.seen[:, None] + np.arange(grams.n)].tolist()
        return [" ".join(self.vocabulary[word] for word in places) for places in words]

    def weights(self, grams: _Grams, frequency: DocumentFrequency, times: Array) -> Array:
        """tf-idf of every entry; times (texts,) is how often each text is a reference."""
        if frequency.frozen is not None:
            held = np.array([frequency.frozen.get(gram, 0) for gram in self.spelled(grams)], float)
        else:
            held = np.bincount(grams.gram, weights=times[grams.text], minlength=grams.kinds)
        return grams.count * (math.log(frequency.references) - np.log(np.maximum(held, 1)))[grams.gram]


def _common_subsequence(one: Sequence[str], two: Sequence[str]) -> int:
    """Length of the longest common subsequence, a row of the table as the bits of one number (Hyyrö 2004)."""
    places: dict[str, int] = {}
    for place, word in enumerate(one):
        places[word] = places.get(word, 0) | 1 << place
    full = (1 << len(one)) - 1
    row = full
    for word in two:
        shared = row & places.get(word, 0)
        row = (row + shared | row - shared) & full
    return len(one) - row.bit_count()


def _rouge(hypothesis: str, reference: str) -> float:
    one, two = hypothesis.split(" "), reference.split(" ")
    common = _common_subsequence(one, two)
    if not common:
        return 0.0
    precision, recall = common / len(one), common / len(two)
    return (1 + BETA**2) * precision * recall / (recall + BETA**2 * precision)


def tally(hypotheses: Sequence[str], references: Sequence[str], frequency: DocumentFrequency | None = None) -> Counts:
    """Counts per answer; each different pair is worked out once. `measures` turns their sums into metrics."""
    frequency = frequency or DocumentFrequency.of(references)
    texts: dict[str, int] = {text: place for place, text in enumerate(frequency.texts)}
    index: dict[tuple[int, int], int] = {}
    where = np.array(
        [
            index.setdefault((texts.setdefault(one, len(texts)), texts.setdefault(two, len(texts))), len(index))
            for one, two in zip(map(tokenise, hypotheses), map(tokenise, references), strict=True)
        ],
        dtype=np.intp,
    )
    names = list(texts)
    corpus = _Corpus.of(names)
    times = np.zeros(len(names))
    times[: len(frequency.texts)] = list(frequency.texts.values())
    said, true = np.array(list(index), dtype=np.intp).reshape(-1, 2).T
    correct, cider = _overlaps(corpus, frequency, times, said, true)
    rouge = np.array([_rouge(names[one], names[two]) for one, two in index])
    words = corpus.sizes[said].astype(float)
    return {
        "text_cases": np.ones(len(where)),
        "text_correct": correct[where],
        "text_guesses": np.maximum(0, words[:, None] - np.arange(ORDER))[where],
        "text_words": words[where],
        "text_reference_words": corpus.sizes[true].astype(float)[where],
        "text_rouge": rouge[where],
        "text_cider": cider[where],
    }


def _overlaps(
    corpus: _Corpus, frequency: DocumentFrequency, times: Array, said: Places, true: Places
) -> tuple[Array, Array]:
    """Of each pair of texts: clipped n-gram matches (pairs, ORDER) and CIDEr-D (pairs,)."""
    correct, similar = np.zeros((len(said), ORDER)), np.zeros((len(said), ORDER))
    for grams in corpus.orders:
        weights = corpus.weights(grams, frequency, times)
        norms = np.sqrt(np.bincount(grams.text, weights**2, minlength=len(corpus.sizes)))
        keys = grams.text.astype(np.intp) * grams.kinds + grams.gram
        for start in range(0, len(said), BLOCK):
            block = slice(start, start + BLOCK)
            one, two = said[block], true[block]
            matches, product = _matches(grams, keys, weights, one, two)
            scale = norms[one] * norms[two]
            correct[block, grams.n - 1] = matches
            similar[block, grams.n - 1] = np.divide(product, scale, out=product, where=scale != 0)
    bigrams = np.maximum(corpus.sizes - 1, 0)
    penalty = np.exp(-((bigrams[said] - bigrams[true]) ** 2) / (2 * SIGMA**2))
    return correct, 10 * penalty * similar.mean(axis=1)


def _matches(grams: _Grams, keys: Places, weights: Array, said: Places, true: Places) -> tuple[Array, Array]:
    """(pairs,) clipped matches and CIDEr-D's dot product; keys (entries,) are text and n-gram as one number."""
    pairs = len(said)
    if not len(keys):
        return np.zeros(pairs), np.zeros(pairs)
    # Every n-gram of the answer of every pair, looked up among those of its reference.
    sizes = np.diff(grams.first)[said]
    pair = np.repeat(np.arange(pairs), sizes)
    entry = np.arange(len(pair)) + np.repeat(grams.first[said] - (np.cumsum(sizes) - sizes), sizes)
    wanted = true[pair] * grams.kinds + grams.gram[entry]
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


def text_scores(
    hypotheses: Sequence[str], references: Sequence[str], frequency: DocumentFrequency | None = None
) -> dict[str, float]:
    """All n-gram scores of answers against their references, one reference each."""
    return point_estimates(tally(hypotheses, references, frequency), measures)


# --- METEOR ------------------------------------------------------------------------------------------------------


def meteor_absence() -> str:
    """Why METEOR 1.5 cannot run here; empty where it can."""
    if shutil.which("java") is None:
        return "unavailable: needs Java"
    if find_spec("pycocoevalcap") is None:
        return "unavailable: needs pycocoevalcap (pip install 'intervalchange[eval]')"
    return ""


def meteor_java15(
    corpora: Sequence[tuple[Sequence[str], Sequence[str]]],
) -> list[float | str]:
    """METEOR 1.5 of several corpora of (hypotheses, references) in one run of Java, or why it is unavailable.

    Each different pair is compared once; the program's own totals are over all of them, as pycocoevalcap's are.
    """
    reason = meteor_absence()
    if reason:
        return [reason] * len(corpora)
    spec = find_spec("pycocoevalcap")
    folder = Path(next(iter((spec and spec.submodule_search_locations) or [""]))) / "meteor"
    command = ["java", "-jar", "-Xmx2G", "meteor-1.5.jar", "-", "-", "-stdio", "-l", "en", "-norm"]
    try:
        with subprocess.Popen(
            command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as program:
            ask, tell = cast(IO[bytes], program.stdin), cast(IO[bytes], program.stdout)

            def answered(line: str) -> str:
                ask.write(f"{line}\n".encode())
                ask.flush()
                return tell.readline().decode().strip()

            known: dict[tuple[str, str], str] = {}
            results: list[float | str] = []
            for hypotheses, references in corpora:
                pairs = [(tokenise(one), tokenise(two)) for one, two in zip(hypotheses, references, strict=True)]
                for one, two in pairs:
                    if (one, two) not in known:
                        plain = one.replace("|||", "").replace("  ", " ")
                        known[one, two] = answered(f"SCORE ||| {two} ||| {plain}")
                first = answered("EVAL ||| " + " ||| ".join(known[pair] for pair in pairs))
                lines = [first, *(tell.readline().decode().strip() for _ in pairs)]
                results.append(float(lines[-1]))
            return results
    except (OSError, ValueError) as error:
        return [f"unavailable: METEOR stopped ({error})"] * len(corpora)
