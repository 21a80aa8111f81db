"""Names of metrics that say which program and which variant; the bare names of the field do not, and are refused."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from intervalchange.errors import ConfigError

BARE = {
    "meteor": (
        "METEOR is several programs whose metrics differ by more than half: NLTK's of the same answers is about 1.7 "
        "times that of Java",
        "text.meteor_java15 (METEOR 1.5, Java, as pycocoevalcap runs it)",
    ),
    "bleu": ("BLEU has an order and a corpus form", "text.bleu1 .. text.bleu4 (corpus, as pycocoevalcap)"),
    "rouge": ("ROUGE is a family", "text.rouge_l_coco (longest common subsequence, beta 1.2, as pycocoevalcap)"),
    "rouge_l": ("ROUGE-L weighs recall differently in each package", "text.rouge_l_coco (beta 1.2, as pycocoevalcap)"),
    "cider": (
        "CIDEr has a form with and one without the length penalty, and moves with the references it is weighed by",
        "text.cider_d (and text.idf, which says by which)",
    ),
}
"""What does not name a metric -> (why, what does)."""


def refuse_bare(name: str) -> None:
    """Raise ConfigError for a name that could be several metrics."""
    bare = name.lower().removeprefix("text.").replace("-", "_")
    if bare in BARE:
        why, full = BARE[bare]
        raise ConfigError(f"{name!r} is not a metric: {why}.", remedy=f"Ask for {full}.")


def similar(name: str, known: Iterable[str]) -> str:
    """A remedy that names metrics of a similar spelling."""
    close = get_close_matches(name, list(known), n=3, cutoff=0.4)
    return f"Did you mean {' or '.join(close)}?" if close else "`score FILE --json` lists every name."
