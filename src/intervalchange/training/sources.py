"""The prepared folders of a training: what is learnt from them, and what it is validated on."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from intervalchange.config import TrainConfig
from intervalchange.data.dataset import FilmDataset, FilmReader, PairDataset
from intervalchange.data.mixture import Mixture, names_of, shares_of
from intervalchange.data.prepared import Prepared
from intervalchange.data.transforms import Augment
from intervalchange.errors import ConfigError
from intervalchange.methods.base.method import Method, MethodConfig
from intervalchange.policy import EVALUATION_SEED

Items = FilmReader | Mixture
"""What a stage is trained on: cases, or films."""


@dataclass(frozen=True)
class Source:
    """A prepared folder and its share of every batch."""

    name: str
    prepared: Prepared
    share: float = 1.0


def open_sources(folders: Sequence[str | Path], mix: str = "") -> list[Source]:
    """Prepared folders with their shares, as in `3:1`; equal shares where `mix` is empty. Cohorts for evaluation are
    refused."""
    paths = [Path(folder) for folder in folders]
    shares = shares_of(mix, len(paths))
    sources = [Source(*fields) for fields in zip(names_of(paths), map(Prepared, paths), shares, strict=True)]
    for source in sources:
        refuse_evaluation_data(source.prepared)
    return sources


def refuse_evaluation_data(prepared: Prepared) -> None:
    """Refuse simulated cohorts with a seed of `EVALUATION_SEED` or more."""
    seed = (prepared.manifest.get("simulated") or {}).get("seed")
    if seed is not None and int(seed) >= EVALUATION_SEED:
        raise ConfigError(
            f"this cohort was simulated with seed {seed}, which is for evaluation only.",
            where=prepared.folder,
            remedy=f"Simulate one with a seed below {EVALUATION_SEED}.",
        )


def training_items(kind: type[Method], config: MethodConfig, sources: Sequence[Source], train: TrainConfig) -> Items:
    """What the stage is trained on, augmented. Says how many cases are left out because nobody knows their answer."""
    augment = Augment.of_strength(train.augment, train.equalise)
    parts = {
        source.name: _items(
            kind, config, source, sources, "train", train, augment=augment, seed=train.seed, share=train.share
        )
        for source in sources
    }
    unanswered = sum(
        len(source.prepared.case_rows("train", train.kinds or None)) - items.answered_count
        for source, items in zip(sources, parts.values(), strict=True)
        if isinstance(items, PairDataset)
    )
    if unanswered and train.share == 1:
        say(f"{unanswered:,} training cases without a known answer are left out.")
    if len(parts) == 1:
        return next(iter(parts.values()))
    _refuse_unknown_labels(config, list(parts.values()))
    mixture = Mixture(parts, [source.share for source in sources])
    counts = zip(mixture.names, mixture.in_epoch, mixture.parts, strict=True)
    say("an epoch shows " + ", ".join(f"{count:,} of {len(part):,} of {name}" for name, count, part in counts) + ".")
    return mixture


def validation_items(
    kind: type[Method],
    config: MethodConfig,
    sources: Sequence[Source],
    train: TrainConfig,
    limit: int | None = None,
) -> dict[str, FilmReader]:
    """What the stage is validated on, by source; at most `limit` items of each, evenly spread. A source whose split
    has nothing for the stage is left out."""
    has_answers = kind.unit == "cases"
    kinds = (train.kinds or None) if has_answers else None
    return {
        source.name: _items(kind, config, source, sources, "val", train, limit=limit)
        for source in sources
        if len(source.prepared.case_rows("val", kinds, answered=has_answers))
    }


def _items(
    kind: type[Method],
    config: MethodConfig,
    source: Source,
    sources: Sequence[Source],
    split: str,
    train: TrainConfig,
    **options: object,
) -> FilmReader:
    if kind.unit == "films" and len(sources) > 1:
        options["some_labels"] = True
    return kind.dataset(config, source.prepared, split, train.kinds or None, **options)


def _refuse_unknown_labels(config: MethodConfig, parts: Sequence[FilmReader]) -> None:
    """Refuse a label that none of several data sets has."""
    labels = getattr(config, "labels", ())
    tables = [part.label_table for part in parts if isinstance(part, FilmDataset) and part.label_table is not None]
    if not labels or not tables:
        return
    known = ~np.isnan(np.concatenate(tables)).all(axis=0)
    if not known.all():
        raise ConfigError(
            f"no film of these data sets has the label {labels[int(np.argmin(known))]!r}.",
            remedy="Leave it out of --model.labels.",
        )


def say(text: str) -> None:
    """A line for the person at the terminal."""
    print(text, file=sys.stderr)
